"""What the rows of manifest.parquet say, and how a curated schema differs from it."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.schema_gen import difference
from components.schema_gen.data_schema import Column, DataSchema
from schemas import features


def write(path, **changed):
  """Twelve images: eight of train, one each of val, test and two of production."""
  columns = {
    'path': [f'{n}.png' for n in range(12)],
    'image_id': [f'{n:064x}' for n in range(12)],
    'pixel_id': ['x'] * 12,
    'label': ['cat', 'dog'] * 5 + ['newt', 'toad'],
    'split': ['train'] * 8 + ['val', 'test'] + ['production'] * 2,
    'leak': ['no'] * 12,
    'row': list(range(12)),
    'format': ['PNG'] * 12,
    'width': [20 + n for n in range(12)],
    'height': [30] * 12,
    'bytes': [500 + n for n in range(12)],
    'aspect': [0.5 + n / 10 for n in range(12)],
    'brightness': [0.1 + n / 20 for n in range(12)],
    'contrast': [0.2] * 12,
    'sharpness': [0.01 * n for n in range(12)],
    'bucket/brightness': ['medium'] * 12,
    'bucket/size': ['tiny'] * 12,
    'column/site': ['north', 'south', ''] * 4,
    **changed,
  }
  pq.write_table(pa.table({name: values for name, values in columns.items() if values}), path)
  return DataSchema(path)


@pytest.fixture
def data(tmp_path):
  return write(tmp_path / 'manifest.parquet')


def _differences(curated, data):
  return {each.name: each.changes for each in difference.compare(curated, data)}


def test_the_schema_has_the_keys_of_the_records_and_no_label_of_production(data):
  schema = data.schema()
  by_name = {feature.name: feature for feature in schema.feature}
  assert set(by_name) == {
    features.IMAGE,
    features.IMAGE_ID,
    features.IMAGE_PATH,
    features.IMAGE_FORMAT,
    features.WIDTH,
    features.HEIGHT,
    features.ASPECT,
    features.BRIGHTNESS,
    features.CONTRAST,
    features.SHARPNESS,
    features.BYTES,
    features.LABEL,
    features.LEAK,
    features.BRIGHTNESS_BUCKET,
    features.SIZE_BUCKET,
    'column/site',
  }
  assert list(by_name['label'].string_domain.value) == ['cat', 'dog']
  assert by_name['image/width'].type == schema_pb2.INT
  assert by_name['image/aspect'].type == schema_pb2.FLOAT
  assert by_name['label'].HasField('drift_comparator')


def test_columns_say_values_and_limits_without_production(data):
  assert data.column('label') == Column(['cat', 'dog'])
  assert data.column('image/width') == Column([], 20, 29)
  assert data.column('column/site') == Column(['', 'north', 'south'])
  assert data.column('column/unknown') == Column([])


def test_its_own_schema_is_neither_broken_nor_different(data):
  schema = data.schema()
  assert _differences(schema, data) == {}
  assert not any(found.anomaly_info for _, found in data.anomalies(schema))


def test_a_new_label_breaks_the_schema_in_its_split(data, tmp_path):
  later = write(
    tmp_path / 'later.parquet', label=['cat', 'dog'] * 4 + ['eel', 'eel', 'newt', 'toad']
  )
  broken = {split: sorted(found.anomaly_info) for split, found in later.anomalies(data.schema())}
  assert broken == {'train': [], 'val': ['label'], 'test': ['label']}


def test_every_kind_of_difference_is_told_and_taking_them_over_leaves_none(data, tmp_path):
  curated = data.schema()
  by_name = {feature.name: feature for feature in curated.feature}
  by_name['label'].string_domain.value[:] = ['ant', 'cat']
  by_name['image/width'].int_domain.min = 25
  by_name['image/width'].int_domain.max = 28
  by_name['image/brightness'].ClearField('drift_comparator')
  by_name['image/format'].string_domain.value.remove('BMP')
  by_name['image/height'].type = schema_pb2.BYTES
  by_name['column/site'].string_domain.value.append('north')
  curated.feature.remove(by_name['image/bytes'])
  curated.feature.add(name='column/old', type=schema_pb2.BYTES)
  expected = {
    'label': ["also 'dog'", "no longer 'ant', which no image has"],
    'image/width': ['min 20 and not 25', 'max 29 and not 28'],
    'image/brightness': ['a drift_comparator'],
    'image/format': ["also 'BMP'"],
    'image/height': ['type INT and not BYTES'],
    'column/site': ["also '', 'south'"],
    'image/bytes': ['is new in the data'],
    'column/old': ['is no longer in the data'],
  }
  assert _differences(curated, data) == expected
  taken = difference.updated(curated, difference.compare(curated, data))
  assert _differences(taken, data) == {}
  only = [each for each in difference.compare(curated, data) if each.name == 'label']
  assert set(_differences(difference.updated(curated, only), data)) == set(expected) - {'label'}


def test_what_a_person_wrote_beyond_the_inferred_is_no_difference(data):
  curated = data.schema()
  by_name = {feature.name: feature for feature in curated.feature}
  by_name['column/site'].string_domain.value.extend(['', 'north', 'south', 'west'])
  by_name['image/width'].int_domain.min = 10
  by_name['label'].drift_comparator.infinity_norm.threshold = 0.2
  assert _differences(curated, data) == {}


def test_shared_lists_of_values_are_looked_up(data):
  curated = data.schema()
  [label] = [feature for feature in curated.feature if feature.name == 'label']
  label.domain = 'animals'
  curated.string_domain.add(name='animals', value=['cat'])
  [found] = difference.compare(curated, data)
  assert found.changes == ["also 'dog'"]
  assert list(found.feature.string_domain.value) == ['cat', 'dog']
  text_format.MessageToString(difference.updated(curated, [found]))
