import os
import pathlib
import time

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner

from components.image_example_gen import component, driver
from schemas.config import DataConfig

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'
CACHED = metadata_store_pb2.Execution.CACHED
COMPLETE = metadata_store_pb2.Execution.COMPLETE


@pytest.fixture
def launch(tmp_path):
  """Returns launch(root): runs the component by TFX's own runner; the state of its execution."""
  store = metadata.sqlite_metadata_connection_config(str(tmp_path / 'metadata.sqlite'))

  def launch(root, code='code', data=None, **settings):
    generator = component.ImageExampleGen(
      DataConfig(root=root, **(data or {})), str(tmp_path / 'state'), code, **settings
    )
    local_dag_runner.LocalDagRunner().run(
      pipeline.Pipeline(
        'test',
        str(tmp_path / 'artifacts'),
        components=[generator],
        enable_cache=True,
        metadata_connection_config=store,
        beam_pipeline_args=[FN_API],
      )
    )
    with metadata.Metadata(store) as handle:
      return max(handle.store.get_executions(), key=lambda one: one.id).last_known_state

  return launch


def test_an_unchanged_run_is_cached_and_every_change_is_noticed(good_data, launch, encode):
  assert launch(good_data) == COMPLETE
  lock = good_data / 'splits.lock.csv'
  written = lock.read_text()
  assert launch(good_data) == CACHED
  assert launch(good_data, code='other') == COMPLETE
  assert launch(good_data) == CACHED

  # A touched file with the same bytes is the same file.
  os.utime(good_data / 'images' / '01.png', ns=(time.time_ns(),) * 2)
  assert launch(good_data) == CACHED

  # An image changes under an unchanged CSV.
  image = good_data / 'images' / '02.png'
  content = image.read_bytes()
  image.write_bytes(encode(2002))
  assert launch(good_data) == COMPLETE
  assert launch(good_data) == CACHED
  image.write_bytes(content)

  # A person moves an image.
  lock.write_text(written.replace(',train', ',val', 1))
  assert launch(good_data) == COMPLETE
  assert launch(good_data) == CACHED

  # A person removes the lock: the next run writes it again.
  lock.unlink()
  assert launch(good_data) == COMPLETE
  assert lock.read_text() == written
  assert launch(good_data) == CACHED


def test_a_given_fingerprint_is_used_as_it_is(good_data, launch, encode):
  assert launch(good_data, data_fingerprint='given') == COMPLETE
  (good_data / 'images' / '02.png').write_bytes(encode(2002))
  assert launch(good_data, data_fingerprint='given') == CACHED
  assert launch(good_data, data_fingerprint='other') == COMPLETE


def test_what_changes_no_record_makes_none_again(good_data, launch, tmp_path):
  assert launch(good_data) == COMPLETE
  for data in (
    {'card': {'source': 'a field', 'owner': 'Ada', 'required': True}},
    {'schema_path': tmp_path / 'schema.pbtxt'},
    {'slice_columns': ('site',)},
    {'bundled': 'digits'},
  ):
    assert launch(good_data, data=data) == CACHED
  # A lower limit has to be able to stop the run.
  assert launch(good_data, data={'max_bad_fraction': 0.0}) == COMPLETE


def test_a_run_that_failed_is_not_trusted(good_data, launch):
  content = (good_data / 'images' / '02.png').read_bytes()
  (good_data / 'images' / '02.png').write_bytes(b'')
  for _ in range(2):
    with pytest.raises(Exception, match='1 of 20 rows are bad'):
      launch(good_data)
  (good_data / 'images' / '02.png').write_bytes(content)
  assert launch(good_data) == COMPLETE


def test_data_that_cannot_be_read_fails_in_the_executor(tmp_path, launch):
  with pytest.raises(Exception, match='data.root'):
    launch(tmp_path / 'nowhere')


def test_the_fingerprint_says_nothing_of_the_place(good_data, tmp_path):
  before = driver.data_fingerprint(DataConfig(root=good_data), tmp_path / 'state1')
  moved = good_data.rename(tmp_path / 'moved')
  assert driver.data_fingerprint(DataConfig(root=moved), tmp_path / 'state2') == before
  assert pathlib.Path(tmp_path, 'state2', 'ingest.sqlite3').exists()
