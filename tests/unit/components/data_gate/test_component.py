"""The gate behind TFX's own StatisticsGen and ExampleValidator, on real images."""

import csv
import io
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from PIL import Image
from tensorflow_transform.tf_metadata import schema_utils
from tfx.components import ExampleValidator, StatisticsGen
from tfx.orchestration import metadata, pipeline
from tfx.orchestration.local import local_dag_runner

from components.data_gate.component import DataGate
from components.image_example_gen.component import ImageExampleGen
from components.import_schema_gen.component import ImportSchemaGen
from components.schema_gen.component import SchemaGen
from components.schema_gen.statistics import statistics_options
from schemas import features
from schemas.config import DataConfig

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'


@pytest.fixture
def root(tmp_path):
  """Forty images; each has a site of its own, so val and test hold sites that train lacks."""
  folder = tmp_path / 'data'
  (folder / 'images').mkdir(parents=True)
  with open(folder / 'labels.csv', 'w', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(('filename', 'label', 'site', 'split'))
    for number in range(40):
      pixels = np.random.default_rng(number).integers(0, 256, (9, 13, 3), dtype=np.uint8)
      Image.fromarray(pixels).save(folder / 'images' / f'{number:02d}.png')
      writer.writerow(
        (
          f'{number:02d}.png',
          ('cat', 'dog')[number % 2],
          f'site{number}' if number % 5 else '',
          'val' if number in (8, 9) else '',
        )
      )
  return folder


@pytest.fixture
def run(tmp_path, root):
  """Returns run(schema): the components up to the gate; the folder of the artifacts."""

  def run(schema: str | None = None) -> pathlib.Path:
    example_gen = ImageExampleGen(DataConfig(root=root), str(tmp_path / 'state'), 'code')
    statistics_gen = StatisticsGen(
      examples=example_gen.outputs['examples'], stats_options=statistics_options()
    )
    if schema is None:
      schema_gen = SchemaGen(
        statistics=statistics_gen.outputs['statistics'],
        exclude_splits=['val', 'test'],
        code_fingerprint='code',
      )
    else:
      schema_gen = ImportSchemaGen(schema_file=schema)
    validator = ExampleValidator(
      statistics=statistics_gen.outputs['statistics'], schema=schema_gen.outputs['schema']
    )
    gate = DataGate(
      anomalies=validator.outputs['anomalies'],
      schema=schema_gen.outputs['schema'],
      dataset=example_gen.outputs['dataset'],
      statistics=statistics_gen.outputs['statistics'],
      code_fingerprint='code',
    )
    local_dag_runner.LocalDagRunner().run(
      pipeline.Pipeline(
        'test',
        str(tmp_path / 'artifacts'),
        components=[example_gen, statistics_gen, schema_gen, validator, gate],
        metadata_connection_config=metadata.sqlite_metadata_connection_config(
          str(tmp_path / 'metadata.sqlite')
        ),
        enable_cache=True,
        beam_pipeline_args=[FN_API],
      )
    )
    return tmp_path / 'artifacts'

  return run


def _only(folder: pathlib.Path, pattern: str) -> pathlib.Path:
  [path] = folder.glob(pattern)
  return path


def test_clean_data_passes_and_its_schema_reads_the_records(run):
  artifacts = run()
  report = json.loads(_only(artifacts, 'DataGate/report/*/report.json').read_text())
  assert report['passed'] is True
  assert report['splits'] == ['train', 'val', 'test']
  dataset = json.loads(_only(artifacts, 'ImageExampleGen/dataset/*/dataset.json').read_text())
  assert report['dataset_sha256'] == dataset['dataset_sha256']

  schema = tfdv.load_schema_text(str(_only(artifacts, 'SchemaGen/schema/*/schema.pbtxt')))
  assert {feature.name for feature in schema.feature} == {
    features.IMAGE,
    features.IMAGE_ID,
    features.IMAGE_PATH,
    features.IMAGE_FORMAT,
    features.LEAK,
    features.WIDTH,
    features.HEIGHT,
    features.ASPECT,
    features.BRIGHTNESS,
    features.CONTRAST,
    features.SHARPNESS,
    features.BYTES,
    features.LABEL,
    features.BRIGHTNESS_BUCKET,
    features.SIZE_BUCKET,
    'column/site',
  }
  spec = schema_utils.schema_as_feature_spec(schema).feature_spec
  records = tf.data.TFRecordDataset(
    str(_only(artifacts, 'ImageExampleGen/examples/*/Split-val/*.tfrecord'))
  )
  parsed = tf.io.parse_example(list(records.as_numpy_iterator()), spec)
  assert parsed[features.IMAGE].shape == (dataset['splits']['val'],)
  for image in parsed[features.IMAGE].numpy():
    assert Image.open(io.BytesIO(image)).size == (13, 9)

  statistics = tfdv.load_stats_binary(
    str(_only(artifacts, 'StatisticsGen/statistics/*/Split-train/FeatureStats.pb'))
  )
  encoded = next(
    feature
    for feature in statistics.datasets[0].features
    if list(feature.path.step) == [features.IMAGE]
  )
  assert encoded.WhichOneof('stats') == 'bytes_stats'


def test_an_unknown_label_stops_the_run_with_split_value_count_and_files(run, root, tmp_path):
  artifacts = run()
  schema = str(_only(artifacts, 'SchemaGen/schema/*/schema.pbtxt'))
  labels = (root / 'labels.csv').read_text()
  (root / 'labels.csv').write_text(
    labels.replace('08.png,cat', '08.png,cta')
    .replace('09.png,dog', '09.png,cta')
    .replace('10.png,cat,,', '10.png,cta,,train')
  )
  with pytest.raises(Exception, match='split val, feature label') as error:
    run(schema)
  text = str(error.value)
  for split, received in (('train', '1 image: 10.png'), ('val', '2 images: 08.png, 09.png')):
    assert (
      f"split {split}, feature label: expected one of 'cat', 'dog'. Received: 'cta' in {received}."
    ) in text
  assert 'Mend or remove these rows' in text
  assert 'extend the schema' in text
  assert 'split test' not in text
  assert not list(artifacts.glob('DataGate/report/*/report.json'))[1:]


def test_a_column_that_the_schema_lacks_stops_the_run(run, tmp_path):
  schema = tfdv.load_schema_text(str(_only(run(), 'SchemaGen/schema/*/schema.pbtxt')))
  kept = [feature for feature in schema.feature if feature.name != 'column/site']
  del schema.feature[:]
  schema.feature.extend(kept)
  tfdv.write_schema_text(schema, str(tmp_path / 'schema.pbtxt'))
  with pytest.raises(Exception, match='split test, feature column/site: New column'):
    run(str(tmp_path / 'schema.pbtxt'))
