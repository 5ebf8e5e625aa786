"""What `sightline serve` makes of its arguments."""

import io

import pytest

from pipeline import serve_command
from schemas.errors import ConfigError, ExportError
from serving import model_config


@pytest.fixture
def served(tmp_path, monkeypatch):
  """Serves an experiment as far as to the server, and returns what that is given."""
  from serving import server

  path = tmp_path / 'fruit.yaml'
  path.write_text('name: fruit\nrun: {root: root}\n')
  given = []
  monkeypatch.setattr(server, 'serve', lambda *arguments: given.append(arguments))
  monkeypatch.setattr(serve_command.library_output, 'terminal', io.StringIO)

  def serve(**models):
    chosen = serve_command.Models(**(models or {'config_path': path}))
    listening = serve_command.Listening('127.0.0.1', 0, 0)
    serve_command.serve(chosen, listening, 1.0, 0.0, False, fallback_previous=True)
    config, settings, *_ = given[-1]
    return list(config.model_config_list.config), settings

  return serve


def test_an_experiment_is_served_by_its_newest_version_until_it_has_labels(served, tmp_path):
  (model,), settings = served()
  assert (model.name, model.base_path) == ('fruit', str(tmp_path / 'root/serving/fruit'))
  assert model.model_version_policy.latest.num_versions == 2
  assert settings.model_config_file == tmp_path / 'root/serving/models.config'
  (tmp_path / 'root/serving').mkdir(parents=True)
  model.model_version_policy.specific.versions.append(7)
  model.version_labels['stable'] = 7
  labelled = model_config.single('nuts', '/models/nuts')
  model_config.write(settings.model_config_file, labelled)
  assert [one.name for one in served()[0]] == ['fruit']
  labelled.model_config_list.config.append(model)
  model_config.write(settings.model_config_file, labelled)
  assert served()[0] == list(labelled.model_config_list.config)


def test_a_folder_has_no_labels_and_a_file_names_its_models(served, tmp_path):
  (model,), settings = served(directory=tmp_path / 'a', name='b')
  assert (model.name, model.base_path, settings.model_config_file) == (
    'b',
    str(tmp_path / 'a'),
    None,
  )
  path = tmp_path / 'some.config'
  model_config.write(path, model_config.single('nuts', '/models/nuts'))
  (model,), settings = served(model_config_file=path)
  assert (model.name, settings.model_config_file) == ('nuts', path)


def test_a_backend_that_is_not_known_or_not_installed_is_said_at_once(monkeypatch, tmp_path):
  models = serve_command.Models(directory=tmp_path)
  listening = serve_command.Listening('127.0.0.1', 0, 0)
  with pytest.raises(ConfigError, match='expected tensorflow, openvino, .* Received: onnx'):
    serve_command.serve(models, listening, 1.0, 0.0, True, backend='onnx')
  monkeypatch.setattr(serve_command.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(ExportError, match=r"pip install 'sightline\[fast\]'"):
    serve_command.serve(models, listening, 1.0, 0.0, True, backend='openvino')


def test_the_backend_chooses_what_loads_a_version():
  from serving.frozen_servable import FrozenServable, load_aside
  from serving.openvino_servable import OpenVinoServable

  assert serve_command._loaders('openvino') == (OpenVinoServable, None)
  assert serve_command._loaders('tensorflow') == (FrozenServable, load_aside)


def test_a_file_that_names_its_models_takes_no_name(tmp_path, served):
  path = tmp_path / 'some.config'
  model_config.write(path, model_config.single('nuts', '/models/nuts'))
  with pytest.raises(ConfigError, match='no --name with --model-config-file.*Received: x'):
    served(model_config_file=path, name='x')
