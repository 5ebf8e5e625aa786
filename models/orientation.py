"""EXIF orientation inside the TensorFlow graph.

TensorFlow's decoders ignore it, and a client of TensorFlow Serving meets no
Python of ours. The bytes are walked segment by segment; of each a few are looked
at. Whatever is malformed counts as upright: nothing here raises, and the number
of steps is bounded. orientation_of in image_formats/jpeg_container.py and
png_container.py takes the same steps in Python.
"""

import tensorflow as tf

from models import frame_header
from models.byte_reading import bytes_at, is_equal, walk, words_at
from models.image_formats import exif, png_container

# By orientation, once rows and columns are swapped where they must be.
_UPSIDE_DOWN = (False, False, False, True, True, False, False, True, True)
_MIRRORED = (False, False, True, True, False, False, True, True, False)


def read(data: tf.Tensor, is_jpeg: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
  """Returns the orientation that an encoded image asks for.

  Args:
    data: string [], the file.
    is_jpeg: bool [].
    is_png: bool [].

  Returns:
    int32 [], 1..8; 1 for any other format.
  """
  start, size = tf.cond(
    is_jpeg,
    lambda: _exif_in_jpeg(data),
    lambda: tf.cond(is_png, lambda: _exif_in_png(data), lambda: (tf.constant(0), tf.constant(0))),
  )
  return of_block(data, start, size)


def of_block(data: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
  """Returns the orientation of the EXIF block data[start:start + size]: int32 [], 1..8.

  Upright where `size` is 0 or less.
  """
  return tf.cond(size > 0, lambda: _of_block(data, start, size), lambda: tf.constant(exif.UPRIGHT))


def of_png(data: tf.Tensor) -> tf.Tensor:
  """Returns the orientation that a PNG asks for: int32 [], 1..8."""
  return of_block(data, *_exif_in_png(data))


def apply(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
  """Turns pixels upright.

  Args:
    pixels: [height, width, channels].
    orientation: int32 [], 1..8, as EXIF defines it.

  Returns:
    [height, width, channels], or [width, height, channels] from 5 on.
  """

  def turn() -> tf.Tensor:
    swapped = tf.cond(
      orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: tf.identity(pixels)
    )
    axes = tf.where(tf.gather(tf.constant([_UPSIDE_DOWN, _MIRRORED]), orientation, axis=1))
    return tf.reverse(swapped, tf.reshape(axes, [-1]))

  turned = tf.cond(orientation > exif.UPRIGHT, turn, lambda: tf.identity(pixels))
  return tf.ensure_shape(turned, [None, None, pixels.shape[-1]])


def _exif_in_jpeg(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  header = frame_header.of_jpeg(data)
  return header.exif_start, header.exif_size


def _exif_in_png(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns where the EXIF block starts, and its size; 0 or less where there is none."""
  size = tf.strings.length(data)

  def step(position: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    words = words_at(data, position, 4)
    length = words[0] * 65536 + words[1]  # below 0 from 2 GiB on
    cut_off = (length < 0) | (length > size - position - 8)
    is_exif = tf.reduce_all(words[2:] == [0x6558, 0x4966]) & ~cut_off
    goes_on = ~(cut_off | is_exif | tf.reduce_all(words[2:] == [0x4945, 0x4E44]))
    return (
      position + tf.where(goes_on, 12 + length, 0),
      tf.where(goes_on, -1, tf.where(is_exif, length, 0)),
    )

  position, length = walk(step, len(png_container.MAGIC), png_container.MAX_CHUNKS)
  prefixed = (length >= 6) & tf.reduce_all(words_at(data, position + 8, 3) == [0x4578, 0x6966, 0])
  skipped = tf.where(prefixed, 6, 0)
  return position + 8 + skipped, length - skipped


def _of_block(data: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
  block = tf.strings.substr(
    data, tf.minimum(start, tf.strings.length(data)), tf.minimum(size, exif.MAX_BYTES)
  )
  head = bytes_at(block, 0, 8)
  little = is_equal(head[:4], exif.LITTLE)
  known = little | is_equal(head[:4], exif.BIG)
  # Four bytes, of which the upper two must be 0: a block has no more than 64 kB.
  offset = tf.where(little, head[7:3:-1], head[4:])
  directory = bytes_at(block, offset[2] * 256 + offset[3], 2 + 12 * exif.MAX_ENTRIES)
  weights = tf.where(little, [1, 256], [256, 1])
  count = tf.reduce_sum(directory[:2] * weights)
  entries = tf.reshape(directory[2:], [exif.MAX_ENTRIES, 12])
  wanted = tf.where(little, list(exif.LITTLE_ENTRY), list(exif.BIG_ENTRY))
  found = tf.reduce_all(entries[:, :8] == wanted, axis=1) & (tf.range(exif.MAX_ENTRIES) < count)
  value = tf.reduce_sum(entries[tf.argmax(tf.cast(found, tf.int32))][8:10] * weights)
  good = known & (offset[0] + offset[1] == 0) & tf.reduce_any(found) & (value >= 1) & (value <= 8)
  return tf.where(good, value, exif.UPRIGHT)
