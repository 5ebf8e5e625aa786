import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.schema_gen import comparators, curation


def _curated(text, labels=()):
  [feature] = curation.curate(text_format.Parse(text, schema_pb2.Schema()), labels).feature
  return feature


# Five points of 100 %, or half of an average class: 0.5 / 20 = 0.025, 0.5 / 80 = 0.00625.
@pytest.mark.parametrize(
  ('classes', 'expected'), [(2, 0.05), (10, 0.05), (20, 0.025), (80, 0.0063)]
)
def test_the_label_may_change_by_half_a_class_at_most(classes, expected):
  label = _curated('feature { name: "label" type: BYTES }', [f'c{n}' for n in range(classes)])
  for comparator in (label.drift_comparator, label.skew_comparator):
    assert comparator.infinity_norm.threshold == pytest.approx(expected)
    assert not comparator.HasField('jensen_shannon_divergence')


@pytest.mark.parametrize(
  ('name', 'kind'),
  [(f'image/{name}', 'FLOAT') for name in ('brightness', 'contrast', 'sharpness', 'aspect')]
  + [(f'image/{name}', 'INT') for name in ('width', 'height', 'bytes')],
)
def test_a_measurement_has_a_divergence_over_quantiles(name, kind):
  feature = _curated(f'feature {{ name: "{name}" type: {kind} }}')
  for comparator in (feature.drift_comparator, feature.skew_comparator):
    assert comparator.jensen_shannon_divergence.threshold == pytest.approx(0.1)
    assert (
      comparator.jensen_shannon_divergence.source.type == schema_pb2.HistogramSelection.QUANTILES
    )


@pytest.mark.parametrize('name', ['image/id', 'image/format', 'bucket/size', 'column/site'])
def test_nothing_else_is_compared(name):
  feature = _curated(f'feature {{ name: "{name}" type: BYTES }}')
  assert not feature.HasField('drift_comparator')
  assert not feature.HasField('skew_comparator')


def test_the_bundled_schema_has_the_same_comparators():
  from tensorflow_data_validation import load_schema_text

  schema = load_schema_text('schemas/digits/schema.pbtxt')
  for feature in schema.feature:
    expected = schema_pb2.Feature(name=feature.name)
    expected.string_domain.value.extend(feature.string_domain.value)
    comparators.add(expected)
    assert feature.drift_comparator == expected.drift_comparator
    assert feature.skew_comparator == expected.skew_comparator
