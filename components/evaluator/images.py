"""What the manifest knows of the judged images: which hang together, and their slices."""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.io import fileio

from schemas.errors import DataError

MANIFEST = 'manifest.parquet'
_IMAGE_ID, _CLUSTER = 'image_id', 'cluster'


@dataclasses.dataclass(frozen=True)
class Images:
  """Facts about N images, in the order of their predictions.

  Attributes:
    clusters: equal for near-copies and images of one group; '' for an image that is alone.
    slices: bool [N] by `key=value`: which images are in the slice.
  """

  clusters: list[str]
  slices: dict[str, np.ndarray]


def read(uri: str, image_ids: Sequence[str], keys: Sequence[str]) -> Images:
  """Reads manifest.parquet.

  Args:
    uri: of the dataset artifact.
    image_ids: of the N images.
    keys: columns whose values are slices, as pipeline.evaluation.slice_keys has them.

  Raises:
    DataError: the manifest does not know an image or a column.
  """
  path = f'{uri}/{MANIFEST}'
  with fileio.open(path, 'rb') as stream:
    table = pq.read_table(io.BytesIO(stream.read()))
  missing = sorted({_IMAGE_ID, _CLUSTER, *keys} - set(table.column_names))
  if missing:
    raise DataError(
      f'{path}: expected the columns {", ".join((_IMAGE_ID, _CLUSTER, *keys))}. Missing: '
      f'{", ".join(missing)}. Let ImageExampleGen write it again: sightline run without its cache.'
    )
  chosen = table.take(_places(path, table, image_ids))
  slices = {}
  for key in keys:
    values = np.array([str(value) for value in chosen[key].to_pylist()])
    slices.update({f'{key}={value}': values == value for value in np.unique(values)})
  return Images([name or '' for name in chosen[_CLUSTER].to_pylist()], slices)


def _places(path: str, table: pa.Table, image_ids: Sequence[str]) -> list[int]:
  # Files of equal bytes share an id; of their further columns the last row counts.
  known = {image_id: place for place, image_id in enumerate(table[_IMAGE_ID].to_pylist())}
  unknown = [image_id for image_id in image_ids if image_id not in known]
  if unknown:
    raise DataError(
      f'{path}: expected a row for each judged image. Received: none for {len(unknown)} of '
      f'{len(image_ids)}, for instance {unknown[0]}. Examples and dataset are to be of one run.'
    )
  return [known[image_id] for image_id in image_ids]
