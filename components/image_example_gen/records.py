"""One row of manifest.parquet and its file as a tf.Example."""

from collections.abc import Mapping

import pyarrow as pa
import tensorflow as tf

from components.image_example_gen.inspection import Inspected
from schemas import features

# Columns of manifest.parquet that are in no record.
ROW = 'row'
SPLIT = 'split'
# Feature key by column of manifest.parquet; further columns stand under their
# feature key, column/<name>.
STRINGS = {
  'path': features.IMAGE_PATH,
  'image_id': features.IMAGE_ID,
  'label': features.LABEL,
  'format': features.IMAGE_FORMAT,
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
    ]
    + [(name, pa.int64()) for name in INTEGERS]
    + [(name, pa.float64()) for name in FLOATS]
    + [(name, pa.string()) for name in (features.BRIGHTNESS_BUCKET, features.SIZE_BUCKET, *further)]
  )


def to_row(image: Inspected, columns: tuple[str, ...], split: str) -> dict:
  """Returns the row of manifest.parquet."""
  measured = image.measured
  return {
    'path': image.row.filename,
    'image_id': image.image_id,
    'label': image.row.label,
    SPLIT: split,
    ROW: image.row.number,
    'format': image.format,
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
