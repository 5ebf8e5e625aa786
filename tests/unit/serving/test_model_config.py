import os

import pytest
from tensorflow_serving.config import file_system_storage_path_source_pb2 as source_pb2

from schemas.errors import ServingError
from serving import model_config

Policy = source_pb2.FileSystemStoragePathSourceConfig.ServableVersionPolicy

TEXT = """
model_config_list {
  config {
    name: 'digits'
    base_path: '/models/digits'
    model_platform: 'tensorflow'
    model_version_policy { specific { versions: 3 versions: 5 } }
    version_labels { key: 'stable' value: 3 }
  }
}
"""


def test_a_file_is_read_and_what_is_written_is_read_again(tmp_path):
  path = tmp_path / 'models.config'
  path.write_text(TEXT)
  config = model_config.read(path)
  (model,) = config.model_config_list.config
  assert (model.name, model.base_path) == ('digits', '/models/digits')
  assert list(model.model_version_policy.specific.versions) == [3, 5]
  assert dict(model.version_labels) == {'stable': 3}
  model_config.write(tmp_path / 'deep/copy.config', config)
  assert model_config.read(tmp_path / 'deep/copy.config') == config
  assert os.listdir(tmp_path / 'deep') == ['copy.config']


def test_a_config_that_cannot_be_served_leaves_the_file_as_it_was(tmp_path):
  path = tmp_path / 'models.config'
  model_config.write(path, model_config.single('digits', '/models/digits'))
  before = path.read_bytes()
  with pytest.raises(ServingError, match='absolute'):
    bad = model_config.single('digits', '/x')
    bad.model_config_list.config[0].base_path = 'relative'
    model_config.write(path, bad)
  assert path.read_bytes() == before


@pytest.mark.parametrize(
  'text, part',
  [
    ('model_config_list { config { nme: "x" } }', 'text format.*nme'),
    ('custom_model_config { }', 'custom_model_config'),
    ('model_config_list { config { base_path: "/x" } }', 'a name'),
    ('model_config_list { config { name: "a" base_path: "x" } }', 'absolute path'),
    (
      'model_config_list { config { name: "a" base_path: "/x" model_platform: "tensorflow" } '
      'config { name: "a" base_path: "/y" model_platform: "tensorflow" } }',
      'Illegal to list model a multiple times',
    ),
    ('model_config_list { config { name: "a" base_path: "/x" } }', 'model_platform'),
    (
      'model_config_list { config { name: "a" base_path: "/x" model_platform: "torch" } }',
      'model_platform.*torch',
    ),
    (
      'model_config_list { config { name: "a" base_path: "/x" model_platform: "tensorflow" '
      'model_version_policy { specific { } } } }',
      'policy specific',
    ),
    (
      'model_config_list { config { name: "a" base_path: "/x" model_platform: "tensorflow" '
      'version_labels { key: "" value: 1 } } }',
      'a label',
    ),
    ('\n', 'Received: an empty file'),
  ],
)
def test_a_mistake_is_told_with_its_file(tmp_path, text, part):
  path = tmp_path / 'models.config'
  path.write_text(text)
  with pytest.raises(ServingError, match=f'models.config: .*{part}'):
    model_config.read(path)


def test_a_file_that_is_not_there(tmp_path):
  with pytest.raises(ServingError, match='absent.config: expected a model config file'):
    model_config.read(tmp_path / 'absent.config')


@pytest.mark.parametrize(
  'policy, wanted',
  [
    (Policy(), [9]),
    (Policy(latest=Policy.Latest(num_versions=2)), [9, 4]),
    (Policy(latest=Policy.Latest(num_versions=7)), [9, 4, 1]),
    (Policy(all=Policy.All()), [9, 4, 1]),
    (Policy(specific=Policy.Specific(versions=[1, 5, 4])), [4, 1]),
  ],
)
def test_which_versions_a_policy_wants(policy, wanted):
  assert model_config.wanted(policy, {4, 1, 9}) == wanted
  assert model_config.wanted(policy, set()) == []
