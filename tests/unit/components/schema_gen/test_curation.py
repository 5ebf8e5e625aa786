import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tensorflow_transform.tf_metadata import schema_utils

from components.schema_gen import curation, statistics
from schemas import features

# As TFDV infers it from a few images.
_INFERRED = """
feature { name: "image/encoded" type: BYTES presence { min_fraction: 1 min_count: 1 }
  shape { dim { size: 1 } } }
feature { name: "image/id" type: BYTES domain: "image/id" presence { min_count: 1 }
  value_count { min: 1 max: 1 } }
feature { name: "image/format" type: BYTES domain: "image/format" }
feature { name: "image/leak" type: BYTES domain: "image/leak" }
feature { name: "image/width" type: INT shape { dim { size: 1 } } }
feature { name: "image/brightness" type: FLOAT shape { dim { size: 1 } } }
feature { name: "bucket/size" type: BYTES string_domain { name: "bucket/size" value: "tiny" } }
feature { name: "column/site" type: BYTES domain: "column/site" }
feature { name: "label" type: BYTES domain: "label" }
feature { name: "mine" type: BYTES domain: "mine" }
string_domain { name: "image/id" value: "1f" }
string_domain { name: "image/format" value: "PNG" }
string_domain { name: "image/leak" value: "no" }
string_domain { name: "column/site" value: "north" }
string_domain { name: "label" value: "dog" value: "cat" }
string_domain { name: "mine" value: "x" }
"""


@pytest.fixture
def curated():
  schema = curation.curate(text_format.Parse(_INFERRED, schema_pb2.Schema()))
  return {feature.name: feature for feature in schema.feature}, schema


def test_only_rules_are_left_as_domains(curated):
  by_name, schema = curated
  domains = {name: feature.WhichOneof('domain_info') for name, feature in by_name.items()}
  assert domains == {
    'image/encoded': 'image_domain',
    'image/id': None,
    'image/format': 'string_domain',
    'image/leak': 'string_domain',
    'image/width': 'int_domain',
    'image/brightness': 'float_domain',
    'bucket/size': 'string_domain',
    'column/site': None,
    'label': 'string_domain',
    'mine': 'domain',
  }
  assert list(by_name['label'].string_domain.value) == ['cat', 'dog']
  assert list(by_name['bucket/size'].string_domain.value) == ['tiny', 'small', 'medium', 'large']
  formats = by_name['image/format'].string_domain.value
  assert set(formats) == {'JPEG', 'PNG', 'GIF', 'BMP', 'WEBP', 'TIFF', 'HEIF', 'AVIF'}
  assert list(by_name['image/leak'].string_domain.value) == ['yes', 'no']
  # What is not ours stays as it was.
  assert [domain.name for domain in schema.string_domain] == ['mine']


def test_every_key_is_a_required_scalar(curated):
  by_name, schema = curated
  spec = schema_utils.schema_as_feature_spec(schema).feature_spec
  assert spec['image/encoded'] == tf.io.FixedLenFeature([], tf.string)
  assert spec['label'] == tf.io.FixedLenFeature([], tf.string)
  assert spec['image/width'] == tf.io.FixedLenFeature([], tf.int64)
  for name in set(by_name) - {'mine'}:
    assert by_name[name].presence.min_fraction == 1
    assert isinstance(spec[name], tf.io.FixedLenFeature)


def test_the_inferred_schema_is_not_changed():
  inferred = text_format.Parse(_INFERRED, schema_pb2.Schema())
  before = schema_pb2.Schema()
  before.CopyFrom(inferred)
  curation.curate(inferred, ['bird'])
  assert inferred == before


def test_more_labels_than_tfdv_makes_a_domain_of():
  # Above 100 values it infers none.
  schema = text_format.Parse('feature { name: "label" type: BYTES }', schema_pb2.Schema())
  labels = [f'class{number:03d}' for number in range(150)]
  [label] = curation.curate(schema, labels).feature
  assert list(label.string_domain.value) == labels


def test_label_values_come_from_the_label_alone():
  listed = text_format.Parse(
    """
    datasets {
      features { path { step: "column/site" } type: STRING string_stats { rank_histogram {
        buckets { label: "north" } } } }
      features { path { step: "label" } type: STRING string_stats { rank_histogram {
        buckets { label: "dog" } buckets { label: "cat" } } } }
    }""",
    statistics_pb2.DatasetFeatureStatisticsList(),
  )
  assert statistics.label_values(listed) == ['cat', 'dog']


def test_the_image_is_bytes_to_the_statistics():
  [feature] = statistics.statistics_options().schema.feature
  assert feature.name == features.IMAGE
  assert feature.WhichOneof('domain_info') == 'image_domain'
