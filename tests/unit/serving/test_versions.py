import shutil

import pytest
import tensorflow as tf

from schemas.errors import ServingError
from serving.servable import Servable
from serving.versions import VersionNotFoundError, Versions
from tests.unit.serving import exports


@pytest.fixture
def base(tmp_path, affine_model):
  shutil.copytree(affine_model, tmp_path / '1')
  return tmp_path


def answer(servable):
  return servable.run('serving_default', {'x': [2.0]})['y'].tolist()


def test_a_version_in_use_outlives_its_replacement_and_not_its_use(base):
  versions = Versions(base)
  versions.poll()
  exports.write_affine_model(base / '2', slope=10.0)
  with versions.use() as (number, old):
    versions.poll()
    with versions.use() as (newer, servable):
      assert (number, newer) == (1, 2)
      assert answer(servable) == [22.0]
    assert answer(old) == [3.0]
  with pytest.raises(tf.errors.CancelledError, match='closed'):
    answer(old)
  assert [(row.version, row.state) for row in versions.status()] == [(2, 'AVAILABLE'), (1, 'END')]
  versions.close()
  with pytest.raises(tf.errors.CancelledError, match='closed'):
    answer(servable)


def test_a_version_that_nobody_uses_is_closed_at_once(base):
  versions = Versions(base)
  versions.poll()
  with versions.use() as (_, old):
    pass
  exports.write_affine_model(base / '2')
  versions.poll()
  with pytest.raises(tf.errors.CancelledError, match='closed'):
    answer(old)
  versions.close()


def test_numbers_are_compared_as_numbers_and_other_names_are_none(base):
  shutil.copytree(base / '1', base / '00000010')
  shutil.copytree(base / '1', base / '9')
  for name in ('100x', '-5', 'publishing-77', '²'):
    shutil.copytree(base / '1', base / name)
  (base / '99').mkdir()  # without saved_model.pb
  (base / '98').write_text('a file')
  versions = Versions(base)
  versions.poll()
  with versions.use(10) as (number, _):
    assert number == 10
  with pytest.raises(VersionNotFoundError, match='version 9'), versions.use(9):
    pass
  versions.close()


def test_the_last_version_stays_when_its_folder_is_gone(base):
  versions = Versions(base)
  versions.poll()
  shutil.rmtree(base / '1')
  versions.poll()
  with versions.use() as (_, servable):
    assert answer(servable) == [3.0]
  versions.close()


def test_a_version_that_fails_is_tried_again_only_when_its_file_changes(base, affine_model):
  tries = []

  def prepare(servable):
    tries.append(servable.path.name)
    if servable.path.name == '2' and len(tries) < 3:
      raise ServingError('not today')

  versions = Versions(base, prepare=prepare)
  versions.poll()
  shutil.copytree(affine_model, base / '2')
  versions.poll()
  versions.poll()
  assert tries == ['1', '2']
  failed = versions.status()[0]
  assert (failed.version, failed.state, failed.error_message) == (2, 'END', 'not today')
  (base / '2/saved_model.pb').rename(base / '2/old')
  shutil.copy(affine_model / 'saved_model.pb', base / '2/saved_model.pb')
  versions.poll()
  assert tries == ['1', '2', '2']
  with versions.use() as (number, _):
    assert number == 2
  versions.close()


def test_files_that_cannot_be_read_now_are_tried_again_and_the_old_version_stays(
  base, affine_model
):
  broken = []

  def load(path):
    if path.name in broken:
      raise PermissionError(13, 'Permission denied', str(path))
    return Servable(path)

  versions = Versions(base, load=load)
  versions.poll()
  shutil.copytree(affine_model, base / '2')
  broken.append('2')
  for _ in range(2):
    with pytest.raises(ServingError, match='2: expected files that can be read. .*denied'):
      versions.poll()
  failed = versions.status()[0]
  assert (failed.version, failed.state, failed.code) == (2, 'END', tf.errors.UNAVAILABLE)
  with versions.use(1) as (_, servable):
    assert answer(servable) == [3.0]
  broken.clear()
  versions.poll()
  with versions.use(2):
    pass
  versions.close()


def test_a_listing_that_fails_leaves_the_version_in_service(base, monkeypatch):
  versions = Versions(base)
  versions.poll()

  def fails(path):
    raise OSError(116, 'Stale file handle')

  monkeypatch.setattr('serving.versions.complete_versions', fails)
  with pytest.raises(ServingError, match='Stale file handle'):
    versions.poll()
  with versions.use(1) as (_, servable):
    assert answer(servable) == [3.0]
  versions.close()


def test_a_defect_while_loading_is_a_failed_version_and_frees_what_was_loaded(base, affine_model):
  loaded = []

  def prepare(servable):
    loaded.append(servable)
    if servable.path.name == '2':
      raise ValueError('unheard of')

  versions = Versions(base, prepare=prepare)
  versions.poll()
  shutil.copytree(affine_model, base / '2')
  versions.poll()
  versions.poll()
  assert [servable.path.name for servable in loaded] == ['1', '2']
  failed = versions.status()[0]
  assert (failed.version, failed.state, failed.error_message) == (2, 'END', 'unheard of')
  with pytest.raises(tf.errors.CancelledError, match='closed'):
    answer(loaded[1])
  versions.close()
