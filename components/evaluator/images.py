"""What the manifest knows of the judged images: which hang together, and their slices."""

import dataclasses
import functools
import io
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tfx.dsl.io import fileio

from schemas import features
from schemas.errors import DataError

MANIFEST = 'manifest.parquet'
ALONE, TOGETHER = 'alone', 'copies or group'
_IMAGE_ID, _CLUSTER, _SPLIT = 'image_id', 'cluster', 'split'
# Column of manifest.parquet by the slice that is cut from it, at thirds of train.
_THIRDS = {features.CONTRAST_BUCKET: 'contrast', features.SHARPNESS_BUCKET: 'sharpness'}
_NEEDS = {features.ASPECT_BUCKET: 'aspect', features.CLUSTER_BUCKET: _CLUSTER, **_THIRDS}


@dataclasses.dataclass(frozen=True)
class Images:
  """Facts about N images, in the order of their predictions.

  Attributes:
    clusters: equal for near-copies and images of one group; '' for an image that is alone.
    values: by slice key, the value of each image; '' where it has none.
  """

  clusters: list[str]
  values: dict[str, list[str]]

  @functools.cached_property
  def slices(self) -> dict[str, np.ndarray]:
    """Which images are in each slice: bool [N] by `key=value`."""
    return {
      f'{key}={value}': np.array(values) == value
      for key, values in self.values.items()
      for value in sorted({*values} - {''})
    }


def read(uri: str, image_ids: Sequence[str], keys: Sequence[str]) -> Images:
  """Reads manifest.parquet.

  Args:
    uri: of the dataset artifact.
    image_ids: of the N images.
    keys: what is sliced by, as pipeline.evaluation.slice_keys has them: columns, or one
      of the buckets that are cut here: contrast and sharpness at thirds of train (`low`,
      `middle`, `high`), aspect by features.ASPECT_BUCKETS, and whether an image is alone.

  Raises:
    DataError: the manifest does not know an image or a column.
  """
  path = f'{uri}/{MANIFEST}'
  with fileio.open(path, 'rb') as stream:
    table = pq.read_table(io.BytesIO(stream.read()))
  needed = {_IMAGE_ID, _CLUSTER, *(_NEEDS.get(key, key) for key in keys)}
  if set(keys) & set(_THIRDS):
    needed.add(_SPLIT)
  missing = sorted(needed - set(table.column_names))
  if missing:
    raise DataError(
      f'{path}: expected the columns {", ".join(sorted(needed))}. Missing: '
      f'{", ".join(missing)}. Let ImageExampleGen write it again: sightline run without its cache.'
    )
  chosen = table.take(_places(path, table, image_ids))
  values = {key: list(_values(key, chosen, table)) for key in keys}
  return Images([name or '' for name in chosen[_CLUSTER].to_pylist()], values)


def _values(key: str, chosen: pa.Table, table: pa.Table) -> Iterator[str]:
  column = chosen[_NEEDS.get(key, key)].to_pylist()
  if key == features.CLUSTER_BUCKET:
    return (TOGETHER if name else ALONE for name in column)
  if key == features.ASPECT_BUCKET:
    return (features.bucket(value, features.ASPECT_BUCKETS) for value in column)
  if key in _THIRDS:
    train = table.filter(pc.equal(table[_SPLIT], features.TRAIN))[_THIRDS[key]].to_numpy()
    limits = np.quantile(train, [1 / 3, 2 / 3]) if len(train) else np.zeros(2)
    return (
      'low' if value < limits[0] else 'high' if value > limits[1] else 'middle' for value in column
    )
  return ('' if value is None else str(value) for value in column)


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
