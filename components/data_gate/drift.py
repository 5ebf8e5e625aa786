"""Two samples compared by the schema's comparators, and what changed in words.

Drift compares train with that of the span before, skew with production.
"""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList as Statistics

from components.data_gate import allowance, findings

DRIFT = 'drift'
SKEW = 'skew'
_SHOWN = 3


class Sample(NamedTuple):
  """One of two samples that are compared.

  Attributes:
    name: in words, such as `train of span 2`.
    statistics: by TFDV, of `split`.
    manifest: manifest.parquet, where its files are looked up.
    split: that it is, in the manifest.
  """

  name: str
  statistics: Statistics
  manifest: pathlib.Path
  split: str


class Change(NamedTuple):
  """A feature that changed by more than the schema and chance allow.

  Attributes:
    feature: its key.
    value: of the measure that the schema asks for.
    allowed: by the schema and chance together.
    what: how it changed, in words, without figures of the measure.
    line: all of it, with files.
  """

  feature: str
  value: float
  allowed: float
  what: str
  line: str


def compare(kind: str, now: Sample, other: Sample, schema: schema_pb2.Schema) -> Iterator[str]:
  """Yields the line of each change; see `changes`."""
  for change in changes(kind, now, other, schema):
    yield change.line


def changes(kind: str, now: Sample, other: Sample, schema: schema_pb2.Schema) -> Iterator[Change]:
  """Yields each feature that changed by more than the schema and chance allow.

  Args:
    kind: DRIFT or SKEW; says which comparators count.
    now: train of this span.
    other: what it is compared with.
    schema: with drift_comparator and skew_comparator; a feature without is passed over.
  """
  if not (_examples(now.statistics) and _examples(other.statistics)):
    return
  allowed = widened(schema, kind, now.statistics, other.statistics)
  anomalies = tfdv.validate_statistics(
    now.statistics,
    allowed,
    **{'previous_statistics' if kind == DRIFT else 'serving_statistics': other.statistics},
  )
  asked = {feature.name: _comparator(feature, kind) for feature in schema.feature}
  for info in sorted(anomalies.drift_skew_info, key=lambda info: list(info.path.step)):
    name = '/'.join(info.path.step)
    for measured in getattr(info, f'{kind}_measurements'):
      if measured.value > measured.threshold:
        yield _change(kind, name, measured, asked[name], now, other)


def widened(
  schema: schema_pb2.Schema, kind: str, now: Statistics, other: Statistics
) -> schema_pb2.Schema:
  """Returns the schema with thresholds that allow for what chance does to these samples."""
  result = schema_pb2.Schema()
  result.CopyFrom(schema)
  n, m = _examples(now), _examples(other)
  for feature in result.feature:
    comparator = _comparator(feature, kind)
    if comparator.HasField('jensen_shannon_divergence'):
      comparator.jensen_shannon_divergence.threshold += allowance.divergence(n, m)
    elif comparator.HasField('infinity_norm'):
      ours, theirs = _counts(now, feature.name), _counts(other, feature.name)
      if ours and theirs:
        comparator.infinity_norm.threshold = max(
          comparator.infinity_norm.threshold, allowance.share_change(theirs, ours)
        )
  return result


def _comparator(feature: schema_pb2.Feature, kind: str) -> schema_pb2.FeatureComparator:
  return getattr(feature, f'{kind}_comparator')


def _change(
  kind: str,
  name: str,
  measured: anomalies_pb2.DriftSkewInfo.Measurement,
  asked: schema_pb2.FeatureComparator,
  now: Sample,
  other: Sample,
) -> Change:
  if measured.type == measured.L_INFTY:
    what = _share(name, now, other)
    measure, allowed = 'by', asked.infinity_norm.threshold
  else:
    what = _distribution(name, now, other)
    measure, allowed = 'by a divergence of', asked.jensen_shannon_divergence.threshold
  line = (
    f'{kind}, feature {name}: {what[0]}: {measure} {measured.value:.3f}, where '
    f'{measured.threshold:.3f} is allowed ({kind}_comparator {allowed:g}, and what chance does '
    f'to {_examples(other.statistics)} and {_examples(now.statistics)} images). {what[1]}'
  )
  return Change(name, measured.value, measured.threshold, what[0], line)


def _share(name: str, now: Sample, other: Sample) -> tuple[str, str]:
  """Returns which value's share changed most, and files that hold it."""
  ours, theirs = _counts(now.statistics, name), _counts(other.statistics, name)
  value = allowance.most_changed(theirs, ours)
  what = (
    f'the share of {value!r} changed from {_of(theirs, value)} in {other.name} to '
    f'{_of(ours, value)} in {now.name}'
  )
  return what, ' '.join(
    f'Files of {value!r} in {sample.name}: {_files_with(sample, name, value)}.'
    for sample in (other, now)
  )


def _distribution(name: str, now: Sample, other: Sample) -> tuple[str, str]:
  """Returns how the median moved, and the files that lie furthest from the other's median."""
  median, other_median = _median(now.statistics, name), _median(other.statistics, name)
  what = (
    f'its values changed from a median of {other_median:.4g} in {other.name} to {median:.4g} '
    f'in {now.name}'
  )
  return what, f'The most extreme in {now.name}: {_furthest(now, name, other_median)}.'


def _of(counts: dict[str, int], value: str) -> str:
  total = sum(counts.values())
  count = counts.get(value, 0)
  return f'{100 * count / total:.1f} % ({count} of {total})'


def _files_with(sample: Sample, name: str, value: str) -> str:
  table = findings.rows(sample.manifest, sample.split, name)
  if table is None:
    return 'not recorded'
  table = table.filter(pc.equal(table[findings.column(name)], value))
  return findings.listed(table, _SHOWN) if table.num_rows else 'none'


def _furthest(sample: Sample, name: str, centre: float) -> str:
  table = findings.rows(sample.manifest, sample.split, name)
  if table is None:
    return 'not recorded'
  values = table[findings.column(name)].to_numpy()
  # Ties by the order of the manifest, which is always the same.
  order = np.argsort(-np.abs(values - centre), kind='stable')[:_SHOWN]
  paths = table['path']
  return ', '.join(f'{paths[int(index)]} ({values[index]:.4g})' for index in order)


def _examples(statistics: Statistics) -> int:
  return int(statistics.datasets[0].num_examples) if statistics.datasets else 0


def _feature(statistics: Statistics, name: str):
  for feature in statistics.datasets[0].features:
    if list(feature.path.step) == [name] or feature.name == name:
      return feature
  return None


def _counts(statistics: Statistics, name: str) -> dict[str, int]:
  feature = _feature(statistics, name)
  if feature is None:
    return {}
  buckets = feature.string_stats.rank_histogram.buckets
  return {bucket.label: int(bucket.sample_count) for bucket in buckets}


def _median(statistics: Statistics, name: str) -> float:
  feature = _feature(statistics, name)
  return feature.num_stats.median if feature is not None else float('nan')
