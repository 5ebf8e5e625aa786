"""What of an inferred schema is a rule, and what was chance.

TFDV takes the values that it saw for all that there can be: file names, hashes
and rare values of a column would be anomalies in val and test.
"""

from collections.abc import Iterable

from tensorflow_metadata.proto.v0 import schema_pb2

from components.schema_gen import comparators
from models.image_formats import file_magic
from schemas import features

# Every value that there can be.
_DOMAINS = {
  features.IMAGE_FORMAT: file_magic.FORMATS,
  features.BRIGHTNESS_BUCKET: tuple(name for name, _ in features.BRIGHTNESS_BUCKETS),
  features.SIZE_BUCKET: tuple(name for name, _ in features.SIZE_BUCKETS),
  features.LEAK: features.LEAK_VALUES,
}
# By definition; see schemas/features.py.
_FLOAT_LIMITS = {
  features.BRIGHTNESS: (0.0, 1.0),
  features.CONTRAST: (0.0, 0.5),
  features.SHARPNESS: (0.0, None),
  features.ASPECT: (0.0, None),
}
_INTEGER_LIMITS = {features.WIDTH: 1, features.HEIGHT: 1, features.BYTES: 1}
_STRINGS = (features.IMAGE, features.IMAGE_ID, features.IMAGE_PATH, features.LABEL, *_DOMAINS)
_KEYS = frozenset((*_STRINGS, *_FLOAT_LIMITS, *_INTEGER_LIMITS))


def curate(schema: schema_pb2.Schema, labels: Iterable[str] = ()) -> schema_pb2.Schema:
  """Returns the schema with rules in place of what was seen.

  Every record has exactly one value of each key. A domain is left to `label`
  (the inferred one, and `labels`), and given to what is defined by us: format,
  buckets and the limits of the measurements. The label and the measurements are
  compared between spans, and with production (comparators.py). A column of the manifest has none:
  write one into schema.pbtxt where its values are known.

  Args:
    schema: as TFDV inferred it; not changed.
    labels: further values of `label`, for where there are more than TFDV makes a
      domain of.
  """
  domains = {domain.name: domain for domain in schema.string_domain}
  result = schema_pb2.Schema()
  for inferred in sorted(schema.feature, key=lambda feature: feature.name):
    if inferred.name in _KEYS or inferred.name.startswith(features.COLUMN_PREFIX):
      result.feature.append(_curated(inferred, domains, labels))
    else:
      result.feature.add().CopyFrom(inferred)
      if inferred.domain in domains and inferred.WhichOneof('domain_info') == 'domain':
        result.string_domain.append(domains[inferred.domain])
  return result


def _curated(
  inferred: schema_pb2.Feature, domains: dict, labels: Iterable[str]
) -> schema_pb2.Feature:
  feature = schema_pb2.Feature(name=inferred.name, type=inferred.type)
  feature.presence.min_fraction = 1
  feature.presence.min_count = 1
  # No dimensions: a scalar, which Transform reads as FixedLenFeature([]).
  feature.shape.SetInParent()
  name = inferred.name
  if name == features.IMAGE:
    feature.image_domain.SetInParent()
  elif name == features.LABEL:
    values = {*_inferred_values(inferred, domains), *labels}
    if values:
      feature.string_domain.name = features.LABEL
      feature.string_domain.value.extend(sorted(values))
  elif name in _DOMAINS:
    feature.string_domain.name = name
    feature.string_domain.value.extend(_DOMAINS[name])
  elif name in _FLOAT_LIMITS:
    lowest, highest = _FLOAT_LIMITS[name]
    feature.float_domain.min = lowest
    if highest is not None:
      feature.float_domain.max = highest
  elif name in _INTEGER_LIMITS:
    feature.int_domain.min = _INTEGER_LIMITS[name]
  comparators.add(feature)
  return feature


def _inferred_values(feature: schema_pb2.Feature, domains: dict) -> Iterable[str]:
  kind = feature.WhichOneof('domain_info')
  if kind == 'string_domain':
    return feature.string_domain.value
  if kind == 'domain' and feature.domain in domains:
    return domains[feature.domain].value
  return ()
