"""What breaks the schema, in words: split, feature, values, count and files."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from components.image_example_gen import records

_SHOWN = 5
_ABSENT = {
  getattr(anomalies_pb2.AnomalyInfo, f'FEATURE_TYPE_{name}')
  for name in ('LOW_FRACTION_PRESENT', 'LOW_NUMBER_PRESENT', 'LOW_NUMBER_VALUES', 'NO_VALUES')
}
_PARQUET_COLUMNS = {
  key: name
  for name, key in (*records.STRINGS.items(), *records.INTEGERS.items(), *records.FLOATS.items())
}


class Offenders(NamedTuple):
  """The rows of a split that lie outside a feature's domain.

  Attributes:
    values: distinct values that the schema does not know, most frequent first.
    images: how many hold one.
    files: up to five of them.
  """

  values: list
  images: int
  files: list[str]


def explain(
  split: str,
  anomalies: anomalies_pb2.Anomalies,
  schema: schema_pb2.Schema,
  manifest: pathlib.Path,
) -> Iterator[str]:
  """Yields a line for each anomaly of a split.

  Args:
    split: its name.
    anomalies: as ExampleValidator wrote them.
    schema: that they break.
    manifest: manifest.parquet, where the files are looked up.
  """
  domains = {domain.name: domain for domain in schema.string_domain}
  known = {feature.name: _with_values(feature, domains) for feature in schema.feature}
  for key, info in sorted(anomalies.anomaly_info.items()):
    name = '/'.join(info.path.step) or key
    description = ' '.join(reason.description for reason in info.reason) or info.description
    feature = known.get(name)
    found = offenders(split, feature, manifest) if feature is not None else None
    line = f'split {split}, feature {name}: '
    if found is None or not found.images:
      yield line + description + _files_of(split, name, info, manifest)
    else:
      shown = ', '.join(map(repr, found.values[:_SHOWN]))
      more = len(found.values) - _SHOWN
      yield (
        f'{line}expected {_expected(feature)}. Received: '
        f'{shown}{f" and {more} other values" if more > 0 else ""} in {found.images} '
        f'{"image" if found.images == 1 else "images"}: {", ".join(found.files)}'
        f'{" and others" if found.images > len(found.files) else ""}.'
      )
  if anomalies.HasField('dataset_anomaly_info'):
    reasons = anomalies.dataset_anomaly_info.reason
    yield f'split {split}: ' + (
      ' '.join(reason.description for reason in reasons)
      or anomalies.dataset_anomaly_info.description
    )


def _with_values(
  feature: schema_pb2.Feature, domains: dict[str, schema_pb2.StringDomain]
) -> schema_pb2.Feature:
  """Returns the feature with a list of values in place of the name of one.

  Under that name stands a list of the whole schema: TFDV itself writes them so.
  """
  if feature.WhichOneof('domain_info') != 'domain' or feature.domain not in domains:
    return feature
  result = schema_pb2.Feature()
  result.CopyFrom(feature)
  result.string_domain.CopyFrom(domains[feature.domain])
  return result


def offenders(split: str, feature: schema_pb2.Feature, manifest: pathlib.Path) -> Offenders | None:
  """Looks up the rows of a split whose value lies outside the feature's domain.

  Returns:
    None where the feature has no domain or is no column of the manifest.
  """
  table = rows(manifest, split, feature.name)
  if table is None:
    return None
  outside = _outside(table[column(feature.name)], feature)
  if outside is None:
    return None
  table = table.filter(outside)
  values = sorted(
    pc.value_counts(table[column(feature.name)]).to_pylist(),
    key=lambda entry: (-entry['counts'], entry['values']),
  )
  return Offenders(
    [entry['values'] for entry in values],
    table.num_rows,
    sorted(table['path'].slice(0, 1000).to_pylist())[:_SHOWN],
  )


def column(name: str) -> str:
  """Returns the column of manifest.parquet that a feature comes from."""
  return _PARQUET_COLUMNS.get(name, name)


def rows(manifest: pathlib.Path, split: str, name: str | None = None) -> pa.Table | None:
  """Returns `path`, and the column of a feature, of the images of a split.

  Returns:
    None where the feature is no column of the manifest.
  """
  wanted = ['path', records.SPLIT, *([column(name)] if name else [])]
  with pq.ParquetFile(manifest) as stream:
    if not set(wanted) <= set(stream.schema_arrow.names):
      return None
    table = stream.read(columns=list(dict.fromkeys(wanted)))
  return table.filter(pc.equal(table[records.SPLIT], split))


def listed(table: pa.Table, shown: int = _SHOWN) -> str:
  """Returns the first files of a table by name, and whether there are more."""
  files = sorted(table['path'].slice(0, 1000).to_pylist())[:shown]
  return ', '.join(files) + (' and others' if table.num_rows > len(files) else '')


def _files_of(
  split: str, name: str, info: anomalies_pb2.AnomalyInfo, manifest: pathlib.Path
) -> str:
  """Returns the files behind an anomaly that no domain explains, as the end of a sentence.

  Those without a value where values are missing; else those with one, which for a
  new column and a wrong type are the ones that show it. What the manifest does not
  hold (the bytes themselves, a column that is gone) is so in every image.
  """
  table = rows(manifest, split, name)
  if table is None:
    table = rows(manifest, split)
    where = 'In every image, such as'
  else:
    values = table[column(name)]
    blank = pc.is_null(values)
    if pa.types.is_string(values.type):
      blank = pc.or_kleene(blank, pc.equal(values, ''))
    without = table.filter(pc.fill_null(blank, True))
    if {reason.type for reason in info.reason} & _ABSENT and without.num_rows:
      table, where = without, 'Without a value:'
    else:
      table, where = table.filter(pc.invert(pc.fill_null(blank, True))), 'In'
  return f' {where} {listed(table)}.' if table is not None and table.num_rows else ''


def _outside(values: pa.ChunkedArray, feature: schema_pb2.Feature) -> pa.ChunkedArray | None:
  kind = feature.WhichOneof('domain_info')
  if kind == 'string_domain':
    allowed = pa.array(list(feature.string_domain.value), pa.string())
    return pc.invert(pc.is_in(values, value_set=allowed))
  if kind in ('int_domain', 'float_domain'):
    domain = getattr(feature, kind)
    outside = pc.is_null(values)
    if domain.HasField('min'):
      outside = pc.or_(outside, pc.less(values, domain.min))
    if domain.HasField('max'):
      outside = pc.or_(outside, pc.greater(values, domain.max))
    return outside
  return None


def _expected(feature: schema_pb2.Feature) -> str:
  kind = feature.WhichOneof('domain_info')
  if kind == 'string_domain':
    values = list(feature.string_domain.value)
    more = len(values) - 2 * _SHOWN
    listed = ', '.join(map(repr, values[: 2 * _SHOWN])) + (
      f' and {more} others' if more > 0 else ''
    )
    return f'one of {listed}'
  domain = getattr(feature, kind)
  limits = [
    f'{word} {getattr(domain, bound):g}'
    for word, bound in (('at least', 'min'), ('at most', 'max'))
    if domain.HasField(bound)
  ]
  return f'a value of {" and ".join(limits)}'
