"""How large an encoded image says that it is, read in the graph before anything is decoded.

TensorFlow Serving has no door of ours, and a PNG of 420 kB can be one of 144 million
pixels. tf.io.extract_jpeg_shape is no help: of a progressive JPEG it decodes every scan
first. So the bytes are walked here, in a bounded number of steps.
"""

from typing import NamedTuple

import tensorflow as tf

from models.byte_reading import bytes_at, words_at
from models.image_formats import jpeg_container

# Of a JPEG, by the byte behind 0xFF: what jpeg_container.step_of says, and a frame header.
# The first row is for two bytes that are no marker.
_FRAME = 4
_KINDS = (
  jpeg_container.STOP,
  *(
    _FRAME if marker in jpeg_container.FRAMES else jpeg_container.step_of(marker)
    for marker in range(256)
  ),
)
# By kind: how far the next marker is, without the length.
_STEPS = (0, 1, 2, 2, 0)
# Marker, length, prefix.
_EXIF = (0xFFE1, 0, 0x4578, 0x6966, 0x0000)
# Each scan of theirs takes bytes from the file.
_SEQUENTIAL = 0xC1
_SOS = 0xDA

# Of numbers of four bytes.
_WEIGHTS = (1 << 24, 1 << 16, 1 << 8, 1)

# Of a GIF (GIF89a, sections 18 to 26).
_EXTENSION, _IMAGE = 0x21, 0x2C
_AT_BLOCK, _IN_EXTENSION, _IN_FRAME, _DONE, _BROKEN = range(5)
# A run of equal data blocks is one step, and so is what stands between two.
_MAX_GIF_STEPS = 2048
_RUN = 4096


class Jpeg(NamedTuple):
  """What stands before the pixels of a JPEG.

  Attributes:
    sides: int32 [2], height and width as stored; 0 where there is no frame header.
    scans: int32 [], upper bound of the passes over the whole image; 1 where each is paid
      for with bytes of the file.
    exif_start: int32 [], where the EXIF block begins.
    exif_size: int32 [], its bytes; 0 or less where there is none.
  """

  sides: tf.Tensor
  scans: tf.Tensor
  exif_start: tf.Tensor
  exif_size: tf.Tensor


def of_jpeg(data: tf.Tensor) -> Jpeg:
  """Walks a JPEG, segment by segment, up to its frame header: string [] to Jpeg."""

  def step(position: tf.Tensor, _: tf.Tensor, block: tf.Tensor):
    words = words_at(data, position, len(_EXIF))
    length = words[1]
    kind = tf.gather(_KINDS, tf.maximum(words[0] - 0xFEFF, 0))
    is_good = (kind < jpeg_container.SEGMENT) | (length >= 2)
    is_exif = is_good & tf.reduce_all((words == _EXIF) | [False, True, False, False, False])
    goes_on = is_good & (kind > 0) & (kind < _FRAME)
    onward = tf.gather(_STEPS, kind) + tf.where(kind == jpeg_container.SEGMENT, length, 0)
    return (
      position + tf.where(goes_on, onward, 0),
      tf.where(goes_on, -1, tf.cast(is_good & (kind == _FRAME), tf.int32)),
      # The first one counts.
      tf.where(is_exif & (block == 0), position, block),
    )

  position, found, block = tf.while_loop(
    lambda _, found, __: found < 0,
    step,
    (tf.constant(2), tf.constant(-1), tf.constant(0)),
    maximum_iterations=jpeg_container.MAX_SEGMENTS,
    parallel_iterations=1,
  )
  frame = bytes_at(data, position, 9) * tf.cast(found > 0, tf.int32)
  scans = tf.cond(frame[1] > _SEQUENTIAL, lambda: _scans(data), lambda: tf.constant(1))
  length = words_at(data, block, 2)[1]
  return Jpeg(
    frame[5:9:2] * 256 + frame[6:9:2],
    scans,
    block + 10,
    tf.where(block > 0, length - 8, 0),
  )


def of_png(head: tf.Tensor) -> tf.Tensor:
  """Returns height and width from the first 24 bytes or more: int32 [2]; from 2^31 on below 0."""
  # It wraps around as it should.
  return tf.linalg.matvec(tf.reshape(head[16:24], [2, 4]), _WEIGHTS)[::-1]


def of_bmp(head: tf.Tensor) -> tf.Tensor:
  """Returns height and width from the first 26 bytes or more: int32 [2]."""
  sides = tf.linalg.matvec(tf.reshape(head[18:26], [2, 4]), _WEIGHTS[::-1])[::-1]
  # A height below 0 says that the rows come from the top.
  return tf.stack([tf.abs(sides[0]), sides[1]])


def of_gif(head: tf.Tensor) -> tf.Tensor:
  """Returns height and width of the canvas from the first 10 bytes or more: int32 [2]."""
  return head[8:5:-2] + 256 * head[9:6:-2]


class FirstFrame(NamedTuple):
  """The first frame of a GIF.

  Attributes:
    fills: bool [], whether it is there and covers the canvas.
    encoded: string [], the GIF without what follows that frame. TensorFlow's decoder would
      unpack every frame, to throw all but one away.
  """

  fills: tf.Tensor
  encoded: tf.Tensor


def first_frame_of_gif(data: tf.Tensor) -> FirstFrame:
  """Walks a GIF up to the end of its first frame: string [] to FirstFrame."""
  values = tf.cast(tf.io.decode_raw(data, tf.uint8), tf.int32)
  head = bytes_at(data, 0, 13)

  def step(position: tf.Tensor, mode: tf.Tensor, frame: tf.Tensor):
    after = tf.cond(
      mode == _AT_BLOCK,
      lambda: _enter(data, position),
      lambda: (*_follow(values, position, mode), frame),
    )
    # Slices of a length that the graph cannot know lose their shape.
    return tuple(tf.ensure_shape(value, []) for value in after)

  position, mode, frame = tf.while_loop(
    lambda _, mode, __: mode < _DONE,
    step,
    (13 + _palette_bytes(head[10]), tf.constant(_AT_BLOCK), tf.constant(0)),
    maximum_iterations=_MAX_GIF_STEPS,
    parallel_iterations=1,
  )
  box = bytes_at(data, frame, 9)
  fills = (mode == _DONE) & tf.reduce_all(box[1:5] == 0) & tf.reduce_all(box[5:9] == head[6:10])
  return FirstFrame(fills, tf.strings.substr(data, 0, position) + b'\x3b')


def _enter(data: tf.Tensor, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Goes into an extension or a frame; the position of the last stays 0 until there is one."""
  block = bytes_at(data, position, 10)
  is_frame = block[0] == _IMAGE
  is_known = is_frame | (block[0] == _EXTENSION)
  onward = tf.where(is_frame, 11 + _palette_bytes(block[9]), 2)
  mode = tf.where(is_frame, _IN_FRAME, tf.where(is_known, _IN_EXTENSION, _BROKEN))
  return position + onward, mode, tf.where(is_frame, position, 0)


def _follow(values: tf.Tensor, position: tf.Tensor, mode: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Goes over a run of data blocks of one length, or over the empty one that ends them."""
  size = tf.size(values)
  at = tf.minimum(position, size)
  length = tf.reduce_sum(values[at : at + 1])
  run = values[at : at + (length + 1) * _RUN : length + 1]
  # One behind the last, so that there is a first other one.
  others = tf.concat([tf.cast(run != length, tf.int32), [1]], axis=0)
  count = tf.argmax(others, output_type=tf.int32)
  ended = tf.where(mode == _IN_FRAME, _DONE, _AT_BLOCK)
  return (
    tf.where(length == 0, position + 1, position + count * (length + 1)),
    tf.where(position >= size, _BROKEN, tf.where(length == 0, ended, mode)),
  )


def _palette_bytes(flags: tf.Tensor) -> tf.Tensor:
  return tf.where(flags >= 128, tf.bitwise.left_shift(3, flags % 8 + 1), 0)


def _scans(data: tf.Tensor) -> tf.Tensor:
  """Counts what may be the head of a scan; thumbnails and chance add some, nothing is missed."""
  values = tf.io.decode_raw(data, tf.uint8)
  heads = (values[:-1] == 0xFF) & (values[1:] == _SOS)
  return tf.reduce_sum(tf.cast(heads, tf.int32))
