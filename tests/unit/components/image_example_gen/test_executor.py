import json
import pathlib

import apache_beam as beam
import pyarrow as pa
import pytest
from tfx.components.util import tfxio_utils
from tfx.types import standard_artifacts

import components
from components.image_example_gen import component_keys as keys
from components.image_example_gen import executor
from schemas import features
from schemas.config import DataConfig

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'


@pytest.fixture
def outputs(tmp_path):
  result = {}
  for key, kind in (
    (keys.EXAMPLES, standard_artifacts.Examples),
    (keys.QUARANTINE, components.Quarantine),
    (keys.DATASET, components.Dataset),
  ):
    artifact = kind()
    artifact.uri = str(tmp_path / 'out' / key)
    pathlib.Path(artifact.uri).mkdir(parents=True)
    result[key] = [artifact]
  return result


def test_artifacts_are_described_and_tfx_reads_the_records(good_data, outputs, tmp_path):
  context = executor.Executor.Context(
    beam_pipeline_args=[FN_API], tmp_dir=str(tmp_path / 'tmp'), unique_id='1'
  )
  (tmp_path / 'spans').mkdir()
  good_data.rename(tmp_path / 'spans' / 'span-3')
  executor.Executor(context).Do(
    {},
    outputs,
    {
      keys.CONFIG: DataConfig(root=tmp_path / 'spans').model_dump_json(by_alias=True),
      keys.STATE_DIR: str(tmp_path / 'state'),
      keys.CODE_FINGERPRINT: 'code',
      keys.DATA_FINGERPRINT: 'given',
      keys.SPAN: 3,
    },
  )
  [examples] = outputs[keys.EXAMPLES]
  assert json.loads(examples.split_names) == ['train', 'val', 'test']
  assert examples.span == 3
  [dataset] = outputs[keys.DATASET]
  summary = json.loads(pathlib.Path(dataset.uri, 'dataset.json').read_text())
  for key in (keys.DATASET_SHA256, keys.MANIFEST_SHA256):
    assert dataset.get_string_custom_property(key) == summary[key]
    assert len(summary[key]) == 64

  # As StatisticsGen, Transform and Evaluator read them.
  for split, count in (('train', 16), ('val', 2), ('test', 2)):
    source = tfxio_utils.get_split_tfxio([examples], split, ['test'])
    path = tmp_path / f'read-{split}'
    with beam.Pipeline(argv=[FN_API]) as pipeline:
      _ = (
        pipeline
        | source.BeamSource()
        | beam.FlatMap(lambda batch: pa.Table.from_batches([batch])[features.LABEL].to_pylist())
        | beam.Map(lambda values: values[0].decode())
        | beam.io.WriteToText(str(path), num_shards=1)
      )
    labels = pathlib.Path(f'{path}-00000-of-00001').read_text().split()
    assert len(labels) == count
    assert set(labels) == {'cat', 'dog'}
