"""What a data set says of its schema: statistics and inference over manifest.parquet.

The columns of the manifest are the keys of the records, so nothing is decoded
and no record is needed.
"""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.image_example_gen import records
from components.schema_gen import curation, statistics
from schemas import features

_KEYS = {**records.STRINGS, **records.INTEGERS, **records.FLOATS}


class Column(NamedTuple):
  """What the data say of one feature.

  Attributes:
    values: the distinct ones of a string, sorted, '' among them where a row is blank;
      none of a number.
    lowest: of a number; None of a string, and where there is no image.
    highest: likewise.
  """

  values: list[str]
  lowest: float | None = None
  highest: float | None = None


class DataSchema:
  """The schema that the images of one manifest.parquet would give."""

  def __init__(self, manifest: pathlib.Path):
    self._table = _features(pq.read_table(manifest))
    self._splits = pq.read_table(manifest, columns=[records.SPLIT])[records.SPLIT]

  def schema(self) -> schema_pb2.Schema:
    """Returns what SchemaGen would write: inferred from train, then curated."""
    inferred = tfdv.infer_schema(self._statistics(features.TRAIN), infer_feature_shape=True)
    # The bytes themselves are in the records alone.
    inferred.feature.add(name=features.IMAGE, type=schema_pb2.BYTES)
    return curation.curate(inferred, self.column(features.LABEL).values)

  def column(self, name: str) -> Column:
    """Returns what train, val and test say of a feature; of an unknown one, nothing."""
    if name not in self._table.column_names:
      return Column([])
    column = self._table[name].filter(pc.not_equal(self._splits, features.PRODUCTION))
    if pa.types.is_string(column.type):
      return Column(sorted(value for value in pc.unique(column).to_pylist() if value is not None))
    limits = pc.min_max(column).as_py()
    return Column([], limits['min'], limits['max'])

  def anomalies(self, schema: schema_pb2.Schema) -> Iterator[tuple[str, anomalies_pb2.Anomalies]]:
    """Yields (split, what breaks the schema) of train, val and test, as DataGate judges them."""
    visible = schema_pb2.Schema()
    visible.CopyFrom(schema)
    kept = [feature for feature in visible.feature if feature.name != features.IMAGE]
    del visible.feature[:]
    visible.feature.extend(kept)
    for split in features.SPLITS:
      found = self._statistics(split)
      if found.datasets[0].num_examples:
        yield split, tfdv.validate_statistics(found, visible)

  def _statistics(self, split: str) -> statistics_pb2.DatasetFeatureStatisticsList:
    frame: pd.DataFrame = self._table.filter(pc.equal(self._splits, split)).to_pandas()
    return tfdv.generate_statistics_from_dataframe(
      frame, tfdv.StatsOptions(num_rank_histogram_buckets=statistics.MOST_LABELS), n_jobs=1
    )


def _features(table: pa.Table) -> pa.Table:
  """Returns the columns that stand in the records, by the keys that they have there."""
  kept = [
    name for name in table.column_names if name in _KEYS or name.startswith(features.COLUMN_PREFIX)
  ]
  return table.select(kept).rename_columns([_KEYS.get(name, name) for name in kept])
