"""A curated schema beside what the data say, and the one brought up to the other.

What a person wrote beyond what is inferred (the values of a column, narrower
limits, another threshold) is no difference as long as the data keep to it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tensorflow_metadata.proto.v0 import schema_pb2

from components.schema_gen.data_schema import Column, DataSchema
from schemas import features

_COMPARATORS = ('drift_comparator', 'skew_comparator')
_SHOWN = 10


class Difference(NamedTuple):
  """One feature of which the data say something else.

  Attributes:
    name: of the feature.
    changes: sentences: what would be written into the schema.
    feature: as it would be written; None where it would be taken out.
  """

  name: str
  changes: list[str]
  feature: schema_pb2.Feature | None


def compare(curated: schema_pb2.Schema, data: DataSchema) -> Iterator[Difference]:
  """Yields a difference for each feature that is not as the data say, by name."""
  inferred = {feature.name: feature for feature in data.schema().feature}
  known = {feature.name: feature for feature in curated.feature}
  domains = {domain.name: domain for domain in curated.string_domain}
  for name in sorted({*inferred, *known}):
    if name not in known:
      yield Difference(name, ['is new in the data'], inferred[name])
    elif name not in inferred:
      yield Difference(name, ['is no longer in the data'], None)
    else:
      feature = _resolved(known[name], domains)
      changes = _update(feature, inferred[name], data.column(name))
      if changes:
        yield Difference(name, changes, feature)


def updated(curated: schema_pb2.Schema, accepted: Iterable[Difference]) -> schema_pb2.Schema:
  """Returns the schema with differences written into it; what is new comes last."""
  by_name = {difference.name: difference.feature for difference in accepted}
  result = schema_pb2.Schema()
  result.CopyFrom(curated)
  del result.feature[:]
  for feature in curated.feature:
    if feature.name not in by_name:
      result.feature.append(feature)
    else:
      changed = by_name.pop(feature.name)
      if changed is not None:
        result.feature.append(changed)
  result.feature.extend(feature for feature in by_name.values() if feature is not None)
  return result


def _resolved(feature: schema_pb2.Feature, domains: dict) -> schema_pb2.Feature:
  """Returns a copy, with the values in place of the name of a list of them."""
  result = schema_pb2.Feature()
  result.CopyFrom(feature)
  if result.WhichOneof('domain_info') == 'domain' and result.domain in domains:
    result.string_domain.CopyFrom(domains[result.domain])
  return result


def _update(feature: schema_pb2.Feature, inferred: schema_pb2.Feature, said: Column) -> list[str]:
  """Brings a feature up to what the data say, and returns what that changed."""
  changes = []
  if feature.type != inferred.type:
    changes.append(f'type {_kind(inferred)} and not {_kind(feature)}')
    # A domain of the old type would say nothing of the new one.
    feature.CopyFrom(inferred)
    return changes
  changes += _update_domain(feature, inferred, said)
  changes += _update_comparators(feature, inferred)
  return changes


def _update_domain(
  feature: schema_pb2.Feature, inferred: schema_pb2.Feature, said: Column
) -> list[str]:
  kind = feature.WhichOneof('domain_info')
  if kind == 'string_domain':
    return _update_values(feature.string_domain, inferred, said)
  if kind in ('int_domain', 'float_domain'):
    return _update_limits(getattr(feature, kind), said)
  if kind is None and inferred.WhichOneof('domain_info') == 'string_domain':
    feature.string_domain.CopyFrom(inferred.string_domain)
    return [f'a list of values: {_listed(inferred.string_domain.value)}']
  return []


def _update_values(
  domain: schema_pb2.StringDomain, inferred: schema_pb2.Feature, said: Column
) -> list[str]:
  # Formats and buckets are lists of ours; those of a person are judged by the data.
  ours = inferred.WhichOneof('domain_info') == 'string_domain'
  wanted = list(inferred.string_domain.value) if ours else said.values
  new = [value for value in wanted if value not in domain.value]
  gone = []
  if inferred.name == features.LABEL:
    gone = [value for value in domain.value if value not in wanted]
  changes = []
  if new:
    changes.append(f'also {_listed(new)}')
  if gone:
    changes.append(f'no longer {_listed(gone)}, which no image has')
  if changes:
    kept = [value for value in domain.value if value not in gone]
    del domain.value[:]
    domain.value.extend([*kept, *new])
  return changes


def _update_limits(domain, said: Column) -> list[str]:
  changes = []
  for bound, value, beyond in (
    ('min', said.lowest, lambda value, limit: value < limit),
    ('max', said.highest, lambda value, limit: value > limit),
  ):
    if value is not None and domain.HasField(bound) and beyond(value, getattr(domain, bound)):
      changes.append(f'{bound} {value:g} and not {getattr(domain, bound):g}')
      setattr(domain, bound, value)
  return changes


def _update_comparators(feature: schema_pb2.Feature, inferred: schema_pb2.Feature) -> list[str]:
  changes = []
  for name in _COMPARATORS:
    if inferred.HasField(name) and not feature.HasField(name):
      getattr(feature, name).CopyFrom(getattr(inferred, name))
      changes.append(f'a {name}')
  return changes


def _kind(feature: schema_pb2.Feature) -> str:
  return schema_pb2.FeatureType.Name(feature.type)


def _listed(values: Iterable[str]) -> str:
  values = list(values)
  more = f' and {len(values) - _SHOWN} more' if len(values) > _SHOWN else ''
  return ', '.join(map(repr, values[:_SHOWN])) + more
