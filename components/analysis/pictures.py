"""Encoded pictures out of record files, and small ones for a page."""

import functools
import io
import pathlib
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from models import decoder, records
from schemas import features

_LONGER_SIDE = 256
_SHORTEST_SIDE = 128


def find(files: Sequence[str], image_ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
  """Yields id and encoded picture of the images with these ids, each once, in file order."""
  left = set(image_ids)
  if not left:
    return
  for record in records.read_records(files).as_numpy_iterator():
    feature = tf.train.Example.FromString(record).features.feature
    image_id = feature[features.IMAGE_ID].bytes_list.value[0].decode()
    if image_id in left:
      left.remove(image_id)
      yield image_id, feature[features.IMAGE].bytes_list.value[0]
    if not left:
      return


@functools.cache
def decoding() -> Callable[[bytes], np.ndarray]:
  """Returns what decodes a picture in its own size, as the model's decoder does; traced once."""
  decode = tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])
  return lambda encoded: decode(tf.constant(encoded)).numpy()


def save(pixels: np.ndarray, path: pathlib.Path) -> None:
  """Writes a picture as PNG, of at most 256 pixels a side; a tiny one is enlarged in whole steps.

  Args:
    pixels: uint8 [h, w, 3].
    path: where to.
  """
  image = Image.fromarray(pixels)
  image.thumbnail((_LONGER_SIDE, _LONGER_SIDE))
  factor = max(1, _SHORTEST_SIDE // max(image.size))
  size = (image.width * factor, image.height * factor)
  write(image.resize(size, Image.Resampling.NEAREST), path)


def write(image: Image.Image, path: pathlib.Path) -> None:
  """Writes a picture as PNG."""
  stream = io.BytesIO()
  image.save(stream, 'PNG')
  path.write_bytes(stream.getvalue())
