"""The component behind TFX's own launcher, cache and metadata store."""

import json
import shutil

import numpy as np
import pytest
from ml_metadata.proto import metadata_store_pb2
from PIL import Image
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner

from components.audit.component import Audit
from components.image_example_gen.component import ImageExampleGen
from schemas.config import AuditConfig, DataConfig

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'
_STATE = metadata_store_pb2.Execution


@pytest.fixture
def root(tmp_path):
  """Forty images in a folder a class, and a file that is none."""
  for number in range(40):
    folder = tmp_path / 'data' / ('cat', 'dog')[number % 2]
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 200, (42, 66, 3), dtype=np.uint8)
    pixels[..., number % 2] += 50
    Image.fromarray(pixels).save(folder / f'{number:02d}.png')
  (tmp_path / 'data/dog/broken.png').write_bytes(b'no image')
  return tmp_path / 'data'


@pytest.fixture
def run(tmp_path, root):
  """Returns run(**settings): ImageExampleGen and Audit; the states of both executions."""
  store = metadata.sqlite_metadata_connection_config(str(tmp_path / 'metadata.sqlite'))

  def run(**settings):
    data = DataConfig(root=root, max_bad_fraction=0.1)
    example_gen = ImageExampleGen(data, str(tmp_path / 'state'), 'code')
    audit = Audit(
      dataset=example_gen.outputs['dataset'],
      quarantine=example_gen.outputs['quarantine'],
      name='pets',
      data=data,
      settings=AuditConfig(**settings),
      code_fingerprint='code',
    )
    local_dag_runner.LocalDagRunner().run(
      pipeline.Pipeline(
        'test',
        str(tmp_path / 'artifacts'),
        components=[example_gen, audit],
        metadata_connection_config=store,
        enable_cache=True,
        beam_pipeline_args=[FN_API],
      )
    )
    with metadata.Metadata(store) as handle:
      types = {kind.id: kind.name for kind in handle.store.get_execution_types()}
      last = sorted(handle.store.get_executions(), key=lambda execution: execution.id)[-2:]
    return {
      types[execution.type_id].rpartition('.')[2]: _STATE.State.Name(execution.last_known_state)
      for execution in last
    }

  return run


def _folders(tmp_path):
  return sorted((tmp_path / 'artifacts/Audit/audit').iterdir(), key=lambda path: int(path.name))


def test_the_audit_is_cached_and_runs_again_where_its_folder_was_deleted(run, tmp_path):
  assert run() == {'ImageExampleGen': 'COMPLETE', 'Audit': 'COMPLETE'}
  (first,) = _folders(tmp_path)
  assert {path.name for path in first.iterdir()} == {
    'audit.html',
    'audit.json',
    'findings.csv',
    'quarantine.csv',
    'suspects.csv',
  }
  assert 'broken.png' in (first / 'quarantine.csv').read_text(encoding='utf-8')
  summary = json.loads((first / 'audit.json').read_text(encoding='utf-8'))
  assert (summary['name'], summary['images'], summary['quarantined']) == ('pets', 40, 1)
  assert 'broken.png' in (first / 'audit.html').read_text(encoding='utf-8')

  assert run() == {'ImageExampleGen': 'CACHED', 'Audit': 'CACHED'}
  assert _folders(tmp_path) == [first]

  shutil.rmtree(first)
  assert run() == {'ImageExampleGen': 'CACHED', 'Audit': 'COMPLETE'}
  (second,) = _folders(tmp_path)
  assert second != first and (second / 'audit.html').is_file()

  # Another sample is another page, and the same records.
  assert run(seed=1) == {'ImageExampleGen': 'CACHED', 'Audit': 'COMPLETE'}
