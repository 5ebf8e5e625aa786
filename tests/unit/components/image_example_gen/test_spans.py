"""Which folder a span is, and that ExampleGen's own mechanism finds the same one."""

import csv

import numpy as np
import pyarrow.parquet as pq
import pytest
from ml_metadata.proto import metadata_store_pb2
from PIL import Image
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner
from tfx.types import artifact_utils

from components.image_example_gen import component, spans
from schemas.config import DataConfig
from schemas.errors import DataError

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'


@pytest.fixture
def root(tmp_path):
  """Spans 1, 2 and 10; 10 is the latest, though 2 is the last by name."""
  folder = tmp_path / 'data [new] (1).d'
  for name in ('span-1', 'span-2', 'span-10'):
    (folder / name).mkdir(parents=True)
    (folder / name / 'labels.csv').write_text('filename,label\n')
  return folder


def test_the_latest_span_and_its_folder(root):
  data = DataConfig(root=root)
  assert spans.resolve(data) == 10
  assert spans.at(data).root == root / 'span-10'
  assert spans.at(data).span == 10


def test_one_span_can_be_pinned_and_the_lock_stays_in_the_root(root):
  data = DataConfig(root=root, span=2)
  assert spans.resolve(data) == 2
  found = spans.at(data)
  assert found.root == root / 'span-2'
  assert found.lock == root / 'splits.lock.csv'
  assert spans.at(data, 1).root == root / 'span-1'
  named = spans.at(DataConfig(root=root, lock=root / 'other.csv'))
  assert named.lock == root / 'other.csv'


@pytest.mark.parametrize('pin', [None, 2])
def test_numbers_padded_with_zeros(tmp_path, pin):
  for name in ('span-01', 'span-02'):
    (tmp_path / name / 'cat').mkdir(parents=True)
  data = DataConfig(root=tmp_path, span=pin)
  assert spans.resolve(data) == 2
  assert spans.at(data).root == tmp_path / 'span-02'


def test_without_span_folders_there_is_span_0(tmp_path):
  (tmp_path / 'cat').mkdir()
  data = DataConfig(root=tmp_path)
  assert spans.resolve(data) == 0
  assert spans.at(data, 0) is data


def test_a_manifest_in_the_root_makes_span_folders_those_of_images(root):
  (root / 'labels.csv').write_text('filename,label\n')
  assert spans.folders(DataConfig(root=root)) == {}
  assert spans.resolve(DataConfig(root=root)) == 0


@pytest.mark.parametrize('find', [spans.resolve, spans.at])
def test_a_span_that_is_not_there_is_named_beside_those_that_are(root, find):
  with pytest.raises(DataError, match=r'span-1, span-2, span-10 .* Received: 3\.'):
    find(DataConfig(root=root, span=3))


def test_a_pinned_span_needs_span_folders(tmp_path):
  with pytest.raises(DataError, match='expected folders span-N in'):
    spans.resolve(DataConfig(root=tmp_path, span=3))


def test_two_folders_of_one_number_and_one_without_a_number(root):
  (root / 'span-02').mkdir()
  with pytest.raises(DataError, match='Received: span-02 and span-2'):
    spans.folders(DataConfig(root=root))
  (root / 'span-02').rmdir()
  (root / 'span-old').mkdir()
  (root / 'span-old' / 'x.txt').write_text('x')
  with pytest.raises(DataError, match='must end in a number'):
    spans.resolve(DataConfig(root=root))


def _write(folder, first, count):
  (folder / 'images').mkdir(parents=True)
  with open(folder / 'labels.csv', 'w', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(('filename', 'label'))
    for number in range(first, first + count):
      pixels = np.random.default_rng(number).integers(0, 256, (9, 13, 3), dtype=np.uint8)
      Image.fromarray(pixels).save(folder / 'images' / f'{number}.png')
      writer.writerow((f'{number}.png', ('cat', 'dog')[number % 2]))


def test_a_run_reads_the_latest_span_and_copies_keep_their_split(tmp_path):
  root = tmp_path / 'data'
  store = metadata.sqlite_metadata_connection_config(str(tmp_path / 'metadata.sqlite'))

  def launch(span=None):
    generator = component.ImageExampleGen(
      DataConfig(root=root, span=span), str(tmp_path / 'state'), 'code'
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
      execution = max(handle.store.get_executions(), key=lambda one: one.id)
      types = {kind.name: kind for kind in handle.store.get_artifact_types()}
      examples = artifact_utils.deserialize_artifact(
        types['Examples'],
        max(handle.store.get_artifacts_by_type('Examples'), key=lambda one: one.id),
      )
      dataset = max(
        handle.store.get_artifacts_by_type('components.Dataset'), key=lambda one: one.id
      )
    rows = pq.read_table(f'{dataset.uri}/manifest.parquet').to_pylist()
    return execution, examples, {row['image_id']: row for row in rows}

  _write(root / 'span-1', 0, 20)
  _, examples, first = launch()
  assert examples.span == 1
  assert len(first) == 20

  # The images of span 1 come again in span 2, with ten more.
  _write(root / 'span-2', 0, 30)
  execution, examples, second = launch()
  assert examples.span == 2
  assert execution.custom_properties['span'].int_value == 2
  assert len(second) == 30
  assert {key: second[key]['split'] for key in first} == {
    key: row['split'] for key, row in first.items()
  }
  assert (root / 'splits.lock.csv').is_file()
  assert not list(root.glob('span-*/splits.lock.csv'))

  # Naming the latest is the same as not naming it.
  execution, examples, _ = launch(span=2)
  assert execution.last_known_state == metadata_store_pb2.Execution.CACHED
  _, examples, _ = launch(span=1)
  assert examples.span == 1


def test_a_decision_about_one_span_lets_the_others_run(tmp_path, run_ingest, encode, write_data):
  for span in (1, 2):
    names = [f'{span}{n:02d}.png' for n in range(20)]
    write_data(
      [(name, 'ab'[n % 2]) for n, name in enumerate(names)],
      {name: encode(100 * span + n) for n, name in enumerate(names)},
      root=tmp_path / 'spans' / f'span-{span}',
    )
  (tmp_path / 'spans' / 'decisions.csv').write_text('filename,decision\n103.png,drop\n')
  for span, images in ((1, 19), (2, 20)):
    found = spans.at(DataConfig(root=tmp_path / 'spans', span=span))
    result = run_ingest(found.root, lock=found.lock, decisions=found.decisions, span=found.span)
    assert result.summary['images'] == images
