"""EXIF orientation inside the TensorFlow graph.

TensorFlow's decoders ignore it, and a client of TensorFlow Serving meets no
Python of ours. The bytes are walked segment by segment; of each a few are looked
at. Whatever is malformed counts as upright: nothing here raises, and the number
of steps is bounded. jpeg_container.py and png_container.py take the same steps in
Python.
"""

import tensorflow as tf

from models.byte_reading import bytes_at, is_equal, size_of, unsigned, walk
from models.image_formats import exif, jpeg_container, png_container

# By orientation, once rows and columns are swapped where they must be.
_UPSIDE_DOWN = (False, False, False, True, True, False, False, True, True)
_MIRRORED = (False, False, True, True, False, False, True, True, False)


def of_jpeg(data: tf.Tensor) -> tf.Tensor:
  """Returns the orientation of an encoded JPEG: string [] to int32 [], 1..8."""

  def step(position: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    head = bytes_at(data, position, 10)
    marker, length = head[1], head[2] * 256 + head[3]
    fill = marker == 0xFF
    alone = (marker == 1) | ((marker >= 0xD0) & (marker <= 0xD7))
    ends = (marker == 0) | ((marker >= 0xD8) & (marker <= 0xDA))
    is_segment = (head[0] == 0xFF) & ~fill & ~alone & ~ends & (length >= 2)
    is_exif = is_segment & (marker == 0xE1) & is_equal(head[4:10], exif.PREFIX)
    stop = is_exif | (head[0] != 0xFF) | ~(fill | alone | is_segment)
    onward = tf.where(fill, 1, tf.where(alone, 2, 2 + length))
    found = tf.where(stop, tf.where(is_exif, length, 0), -1)
    # Where the walk ends the position stays: the segment is read from there.
    return position + tf.where(stop, tf.constant(0, tf.int64), tf.cast(onward, tf.int64)), found

  position, length = walk(step, 2, jpeg_container.MAX_SEGMENTS)
  return tf.cond(
    length > 0,
    lambda: _of_block(data, position + 10, position + 2 + tf.cast(length, tf.int64)),
    lambda: tf.constant(exif.UPRIGHT),
  )


def of_png(data: tf.Tensor) -> tf.Tensor:
  """Returns the orientation of an encoded PNG: string [] to int32 [], 1..8."""

  def step(position: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    head = bytes_at(data, position, 8)
    cut_off = position + 8 > size_of(data)
    is_exif = is_equal(head[4:], b'eXIf') & ~cut_off
    stop = is_exif | cut_off | is_equal(head[4:], b'IEND')
    found = tf.where(stop, tf.cast(is_exif, tf.int32), -1)
    onward = 12 + unsigned(head[:4], little=False)
    return position + tf.where(stop, tf.constant(0, tf.int64), onward), found

  def read() -> tf.Tensor:
    head = bytes_at(data, position, 14)
    end = position + 8 + unsigned(head[:4], little=False)
    prefixed = is_equal(head[8:], exif.PREFIX) & (end >= position + 14)
    return _of_block(data, position + tf.cast(tf.where(prefixed, 14, 8), tf.int64), end)

  position, found = walk(step, len(png_container.MAGIC), png_container.MAX_CHUNKS)
  return tf.cond(found > 0, read, lambda: tf.constant(exif.UPRIGHT))


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


def _of_block(data: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
  """Returns the orientation of the EXIF block data[start:end]: int32 []."""
  end = tf.minimum(end, size_of(data))
  head = bytes_at(data, start, 8)
  little = is_equal(head[:4], b'II*\x00')
  directory = start + unsigned(head[4:], little)
  count = unsigned(bytes_at(data, directory, 2), little)
  entries = tf.reshape(bytes_at(data, directory + 2, 12 * exif.MAX_ENTRIES), [exif.MAX_ENTRIES, 12])
  numbers = tf.range(exif.MAX_ENTRIES, dtype=tf.int64)
  inside = (numbers < count) & (directory + 2 + 12 * (numbers + 1) <= end)
  is_tag = inside & (unsigned(entries[:, :2], little) == exif.ORIENTATION_TAG)
  entry = entries[tf.argmax(tf.cast(is_tag, tf.int32))]
  kind = unsigned(entry[2:4], little)
  value = tf.where(kind == exif.LONG, unsigned(entry[8:12], little), unsigned(entry[8:10], little))
  good = (
    (little | is_equal(head[:4], b'MM\x00*'))
    & (start + 8 <= end)
    & (directory + 2 <= end)
    & tf.reduce_any(is_tag)
    & ((kind == exif.SHORT) | (kind == exif.LONG))
    & (unsigned(entry[4:8], little) == 1)
    & (value >= 1)
    & (value <= 8)
  )
  return tf.where(good, tf.cast(value, tf.int32), exif.UPRIGHT)
