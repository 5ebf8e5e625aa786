import shutil

import pytest

from schemas.errors import ServingError
from serving import model_config
from serving.served_models import ServedModels, Spec
from serving.status_error import FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, StatusError
from tests.unit.serving import exports


@pytest.fixture(scope='module')
def models(tmp_path_factory):
  """Two models, `half` of three versions (slope 1, 2, 3) and `other` of one (slope 9)."""
  root = tmp_path_factory.mktemp('models')
  for version in (1, 2, 3):
    exports.write_affine_model(root / f'half/{version}', slope=float(version), offset=0.0)
  exports.write_affine_model(root / 'other/1', slope=9.0, offset=0.0)
  return root


def config(root, *names, versions=(), labels=None):
  made = model_config.single(names[0], root / names[0])
  for name in names[1:]:
    made.MergeFrom(model_config.single(name, root / name))
  first = made.model_config_list.config[0]
  first.model_version_policy.specific.versions.extend(versions)
  if not versions:
    first.ClearField('model_version_policy')
  first.version_labels.update(labels or {})
  return made


def slope(served, name, version=None, label=None):
  with served.use(Spec(name, version, label)) as lent:
    return lent.servable.run('serving_default', {'x': [1.0]})['y'].tolist()[0]


def code(served, *spec):
  with pytest.raises(StatusError) as error, served.use(Spec(*spec)):
    pass
  return error.value.code, str(error.value)


def test_models_versions_and_labels(models):
  served = ServedModels(
    config(models, 'half', 'other', versions=[1, 3], labels={'stable': 1, 'canary': 3})
  )
  assert not served.ready
  served.poll()
  assert served.ready and served.names == ['half', 'other']
  assert slope(served, 'half') == 3.0 and slope(served, 'other') == 9.0
  assert slope(served, 'half', 1) == 1.0
  assert slope(served, 'half', label='stable') == 1.0
  assert slope(served, 'half', label='canary') == 3.0
  assert code(served, 'half', 2) == (
    NOT_FOUND,
    'Servable not found for request: Specific(half, 2)',
  )
  assert code(served, 'absent') == (NOT_FOUND, 'Servable not found for request: Latest(absent)')
  assert code(served, 'half', None, 'x') == (
    INVALID_ARGUMENT,
    'Unrecognized servable version label: x',
  )
  assert [row.version for row in served.status(Spec('half'))] == [3, 1]
  assert [row.version for row in served.status(Spec('half', label='stable'))] == [1]
  with pytest.raises(StatusError, match='Could not find'):
    served.status(Spec('half', 2))
  served.close()


def test_another_config_takes_the_place_of_the_one_before(models):
  served = ServedModels(config(models, 'half', versions=[1]))
  served.poll()
  served.reload(config(models, 'other', 'half'))
  assert slope(served, 'half') == 3.0 and slope(served, 'other') == 9.0
  states = {row.version: row.state for row in served.status(Spec('half'))}
  assert states == {3: 'AVAILABLE', 1: 'END'}
  with served.use(Spec('half')) as lent:
    served.reload(config(models, 'other'))
    assert code(served, 'half')[0] == NOT_FOUND
    # It is in use, and answers on.
    assert lent.servable.run('serving_default', {'x': [1.0]})['y'].tolist() == [3.0]
  served.close()


def test_a_model_moves_to_another_path(models, tmp_path):
  served = ServedModels(config(models, 'half'))
  served.poll()
  moved = model_config.single('half', models / 'other')
  served.reload(moved)
  assert slope(served, 'half') == 9.0
  served.close()


def test_a_config_that_cannot_be_served_changes_nothing(models):
  served = ServedModels(config(models, 'half'))
  served.poll()
  bad = config(models, 'other')
  bad.model_config_list.config[0].base_path = 'relative'
  with pytest.raises(StatusError, match='absolute') as refused:
    served.reload(bad)
  assert refused.value.code == INVALID_ARGUMENT and served.names == ['half']
  served.close()


def test_a_label_names_only_what_is_in_service(models):
  served = ServedModels(config(models, 'half', versions=[1, 2], labels={'stable': 1}))
  served.poll()
  with pytest.raises(StatusError, match='label "stable".*AVAILABLE') as refused:
    served.reload(config(models, 'half', versions=[1, 2], labels={'stable': 3}))
  assert refused.value.code == FAILED_PRECONDITION
  assert slope(served, 'half', label='stable') == 1.0
  served.reload(config(models, 'half', versions=[1, 2], labels={'stable': 2}))
  assert slope(served, 'half', label='stable') == 2.0
  served.close()


def test_a_label_of_the_config_waits_for_its_version(models, tmp_path):
  shutil.copytree(models / 'half/1', tmp_path / 'half/1')
  wanted = config(tmp_path, 'half', labels={'stable': 2})
  served = ServedModels(wanted)
  served.poll()
  assert code(served, 'half', None, 'stable')[0] == INVALID_ARGUMENT
  shutil.copytree(models / 'half/2', tmp_path / 'half/2')
  served.poll()
  assert slope(served, 'half', label='stable') == 2.0
  served.close()


def test_a_model_without_a_version_is_told(models, tmp_path):
  (tmp_path / 'empty').mkdir()
  served = ServedModels(config(models, 'half'))
  served.poll()
  both = config(models, 'half')
  both.MergeFrom(model_config.single('empty', tmp_path / 'empty'))
  with pytest.raises(StatusError, match='expected a folder such as 1'):
    served.reload(both)
  assert slope(served, 'half') == 3.0 and not served.ready
  served.close()


def test_a_model_whose_files_cannot_be_read_does_not_keep_the_others_back(models, monkeypatch):
  from serving import versions

  real = versions.complete_versions

  def fails(path):
    if path.name == 'half':
      raise OSError(5, 'Input/output error')
    return real(path)

  monkeypatch.setattr(versions, 'complete_versions', fails)
  served = ServedModels(config(models, 'half', 'other'))
  with pytest.raises(ServingError, match='Input/output'):
    served.poll()
  assert slope(served, 'other') == 9.0
  served.close()
