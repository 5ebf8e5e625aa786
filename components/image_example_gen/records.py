"""One row of manifest.parquet and its file as a tf.Example."""

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import tensorflow as tf

from components.image_example_gen.inspection import Inspected
from schemas import features

# Columns of manifest.parquet that are in no record.
ROW = 'row'
SPLIT = 'split'
PIXEL_ID = 'pixel_id'
CLUSTER = 'cluster'
LEAK = 'leak'
DECISION = 'decision'
# Feature key by column of manifest.parquet; further columns stand under their
# feature key, column/<name>.
STRINGS = {
  'path': features.IMAGE_PATH,
  'image_id': features.IMAGE_ID,
  'label': features.LABEL,
  'format': features.IMAGE_FORMAT,
  LEAK: features.LEAK,
  features.BRIGHTNESS_BUCKET: features.BRIGHTNESS_BUCKET,
  features.SIZE_BUCKET: features.SIZE_BUCKET,
}
INTEGERS = {'width': features.WIDTH, 'height': features.HEIGHT, 'bytes': features.BYTES}
FLOATS = {
  'aspect': features.ASPECT,
  'brightness': features.BRIGHTNESS,
  'contrast': features.CONTRAST,
  'sharpness': features.SHARPNESS,
}


class Accepted(NamedTuple):
  """An image that is used, and what was decided about it.

  Attributes:
    image: what pass 1 found, without its description.
    split: its split.
    pixel_id: equal for images of equal pixels.
    cluster: equal for images that must stand in one split; '' where it is alone.
    leak: whether another split holds a member of its cluster, and this one judges.
    description: position among the descriptions.
  """

  image: Inspected
  split: str
  pixel_id: str = ''
  cluster: str = ''
  leak: bool = False
  description: int = 0


def parquet_schema(columns: tuple[str, ...]) -> pa.Schema:
  """Returns the columns of manifest.parquet; `columns` are the manifest's further ones."""
  further = [features.column(name) for name in columns]
  return pa.schema(
    [
      ('path', pa.string()),
      ('image_id', pa.string()),
      ('label', pa.string()),
      (SPLIT, pa.string()),
      (ROW, pa.int64()),
      ('format', pa.string()),
      (PIXEL_ID, pa.string()),
      (CLUSTER, pa.string()),
      (LEAK, pa.string()),
      (DECISION, pa.string()),
    ]
    + [(name, pa.int64()) for name in INTEGERS]
    + [(name, pa.float64()) for name in FLOATS]
    + [(name, pa.string()) for name in (features.BRIGHTNESS_BUCKET, features.SIZE_BUCKET, *further)]
  )


def to_row(accepted: Accepted, columns: tuple[str, ...]) -> dict:
  """Returns the row of manifest.parquet."""
  image = accepted.image
  measured = image.measured
  return {
    'path': image.row.filename,
    'image_id': image.image_id,
    'label': image.row.label,
    SPLIT: accepted.split,
    ROW: image.row.number,
    'format': image.format,
    PIXEL_ID: accepted.pixel_id,
    CLUSTER: accepted.cluster,
    LEAK: features.LEAK_VALUES[not accepted.leak],
    DECISION: image.row.decision,
    'width': image.width,
    'height': image.height,
    'bytes': image.bytes,
    'aspect': image.width / image.height,
    'brightness': measured.brightness,
    'contrast': measured.contrast,
    'sharpness': measured.sharpness,
    features.BRIGHTNESS_BUCKET: features.bucket(measured.brightness, features.BRIGHTNESS_BUCKETS),
    features.SIZE_BUCKET: features.bucket(max(image.width, image.height), features.SIZE_BUCKETS),
    **{
      features.column(name): value for name, value in zip(columns, image.row.columns, strict=True)
    },
  }


def to_example(row: Mapping, image_bytes: bytes) -> bytes:
  """Returns a serialised tf.Example, the same bytes each time.

  Args:
    row: of manifest.parquet.
    image_bytes: the file.
  """
  example = tf.train.Example()
  feature = example.features.feature
  feature[features.IMAGE].bytes_list.value.append(image_bytes)
  for name, value in row.items():
    if name in INTEGERS:
      feature[INTEGERS[name]].int64_list.value.append(value)
    elif name in FLOATS:
      feature[FLOATS[name]].float_list.value.append(value)
    elif name in STRINGS or name.startswith(features.COLUMN_PREFIX):
      feature[STRINGS.get(name, name)].bytes_list.value.append(value.encode())
  return example.SerializeToString(deterministic=True)
