import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from components.data_gate import findings


@pytest.fixture
def manifest(tmp_path):
  path = tmp_path / 'manifest.parquet'
  pq.write_table(
    pa.table(
      {
        'path': [f'{number}.png' for number in range(10)],
        'split': ['train'] * 2 + ['val'] * 8,
        'label': ['x', 'cat'] + ['x'] * 6 + ['y', 'cat'],
        'width': [0, 5, 0, 5, 5, 5, 5, 5, 5, 5],
        'column/site': ['n'] * 8 + ['', None],
      }
    ),
    path,
  )
  return path


def _feature(text):
  return text_format.Parse(text, schema_pb2.Feature())


def test_values_come_by_frequency_and_files_are_at_most_five(manifest):
  found = findings.offenders(
    'val', _feature('name: "label" string_domain { value: "cat" }'), manifest
  )
  assert found == findings.Offenders(['x', 'y'], 7, ['2.png', '3.png', '4.png', '5.png', '6.png'])


def test_limits_of_numbers(manifest):
  found = findings.offenders(
    'val', _feature('name: "image/width" int_domain { min: 1 max: 9 }'), manifest
  )
  assert found == findings.Offenders([0], 1, ['2.png'])


@pytest.mark.parametrize('text', ['name: "column/site"', 'name: "image/encoded" image_domain {}'])
def test_without_a_domain_or_a_column_nothing_is_looked_up(manifest, text):
  assert findings.offenders('val', _feature(text), manifest) is None


def test_the_line_names_split_feature_value_count_and_files(manifest):
  anomalies = text_format.Parse(
    """
    anomaly_info { key: "label" value { path { step: "label" } description: "words of TFDV"
      reason { description: "more words" } } }
    anomaly_info { key: "column/site" value { path { step: "column/site" }
      reason { type: FEATURE_TYPE_LOW_FRACTION_PRESENT description: "Low fraction." } } }
    anomaly_info { key: "image/encoded" value { path { step: "image/encoded" }
      reason { type: SCHEMA_MISSING_COLUMN description: "Gone." } } }
    anomaly_info { key: "image/width" value { path { step: "image/width" }
      reason { type: INT_TYPE_NOT_STRING description: "A string." } } }
    dataset_anomaly_info { reason { description: "Few rows." } }
    """,
    anomalies_pb2.Anomalies(),
  )
  schema = text_format.Parse(
    """
    feature { name: "label" string_domain { value: "cat" } } feature { name: "column/site" }
    feature { name: "image/encoded" } feature { name: "image/width" }
    """,
    schema_pb2.Schema(),
  )
  assert list(findings.explain('val', anomalies, schema, manifest)) == [
    'split val, feature column/site: Low fraction. Without a value: 8.png, 9.png.',
    'split val, feature image/encoded: Gone. In every image, such as 2.png, 3.png, 4.png, 5.png, '
    '6.png and others.',
    'split val, feature image/width: A string. In 2.png, 3.png, 4.png, 5.png, 6.png and others.',
    "split val, feature label: expected one of 'cat'. Received: 'x', 'y' in 7 images: 2.png, "
    '3.png, 4.png, 5.png, 6.png and others.',
    'split val: Few rows.',
  ]


def test_values_and_files_are_named_where_the_schema_shares_its_domains(manifest):
  anomalies = text_format.Parse(
    """
    anomaly_info { key: "label" value { path { step: "label" } description: "words of TFDV" } }
    anomaly_info { key: "column/site" value { path { step: "column/site" }
      description: "words of TFDV" } }
    """,
    anomalies_pb2.Anomalies(),
  )
  schema = text_format.Parse(
    """
    feature { name: "label" domain: "animals" } feature { name: "column/site" domain: "nowhere" }
    string_domain { name: "animals" value: "cat" value: "x" }
    """,
    schema_pb2.Schema(),
  )
  assert list(findings.explain('val', anomalies, schema, manifest)) == [
    'split val, feature column/site: words of TFDV In 2.png, 3.png, 4.png, 5.png, 6.png '
    'and others.',
    "split val, feature label: expected one of 'cat', 'x'. Received: 'y' in 1 image: 8.png.",
  ]
