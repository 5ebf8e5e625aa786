"""The one place that decodes and resizes an image.

Ingest, Transform, training, evaluation and serving call it, so that an image
gives the same tensor everywhere.
"""

import tensorflow as tf

from models import orientation
from models.byte_reading import bytes_at, is_equal, unsigned, walk
from models.image_formats import bmp_container, png_container

# As far as the conditions on a BMP look.
_HEAD = 66
_MAX_GIF_BLOCKS = 4096


def decode(image_bytes: tf.Tensor) -> tf.Tensor:
  """Decodes one encoded image and turns it upright, as its EXIF orientation says.

  Args:
    image_bytes: string [], a JPEG, PNG (up to 8 bits a sample), GIF (its first
      frame, which must fill the picture) or BMP (24 or 32 bits, uncompressed).

  Returns:
    uint8 [height, width, 3], RGB. Alpha is dropped, grey is repeated.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for any other bytes; of many of
      them models.image_file.prepare makes a PNG.
  """
  head = bytes_at(image_bytes, 0, _HEAD)
  # Asked for in the graph, because a client of TensorFlow Serving meets no Python of
  # ours.
  branches = [
    (is_equal(head[:3], b'\xff\xd8\xff'), _decode_jpeg),
    (is_equal(head[:8], png_container.MAGIC), _decode_png),
    (is_equal(head[:6], b'GIF87a') | is_equal(head[:6], b'GIF89a'), _decode_gif),
    (is_equal(head[:2], b'BM'), _decode_bmp),
  ]
  pixels = _first_of(branches, image_bytes, head)
  return tf.ensure_shape(pixels, [None, None, 3])


def _first_of(branches: list, data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  # Not tf.switch_case: Transform cannot hash its operation.
  if not branches:
    return _refuse(data, head)
  (condition, decode_kind), *others = branches
  return tf.cond(condition, lambda: decode_kind(data, head), lambda: _first_of(others, data, head))


def _decode_jpeg(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  del head  # all that is asked of a JPEG is its magic bytes
  # The default is faster by little and off by up to 8 of 255 from what other
  # decoders give.
  pixels = tf.io.decode_jpeg(data, channels=3, dct_method='INTEGER_ACCURATE')
  return orientation.apply(pixels, orientation.of_jpeg(data))


def _decode_png(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  checked = _checked(
    data,
    head,
    head[png_container.DEPTH_AT] != 16,
    'expected a PNG of up to 8 bits a sample. Received: 16 bits.',
  )
  pixels = tf.io.decode_png(checked, channels=3)
  return orientation.apply(pixels, orientation.of_png(checked))


def _decode_gif(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  checked = _checked(
    data,
    head,
    _fills_canvas(data, head),
    'expected a GIF whose first frame fills the picture. Received: a smaller frame.',
  )
  return tf.io.decode_image(checked, channels=3, expand_animations=False)


def _decode_bmp(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  # As models.image_formats.bmp_container.is_plain; of others the decoder makes another picture.
  bits, compression = unsigned(head[28:30], True), unsigned(head[30:34], True)
  usual = is_equal(head[54:66], bmp_container.USUAL_MASKS) & (bits == 32)
  plain = (unsigned(head[14:18], True) >= 40) & (
    ((compression == bmp_container.RGB) & ((bits == 24) | (bits == 32)))
    | ((compression == bmp_container.BITFIELDS) & usual)
  )
  checked = _checked(
    data,
    head,
    plain,
    'expected an uncompressed BMP of 24 or 32 bits. Received: another kind.',
  )
  return tf.io.decode_image(checked, channels=3, expand_animations=False)


def _refuse(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  text = 'expected the bytes of a JPEG, PNG, GIF or BMP. Received: others.'
  checked = _checked(data, head, tf.constant(False), text)
  return tf.zeros([tf.strings.length(checked), 1, 3], tf.uint8)


def _checked(data: tf.Tensor, head: tf.Tensor, condition: tf.Tensor, text: str) -> tf.Tensor:
  """Returns `data` once the condition holds, so that nothing is decoded before."""
  # The first bytes as numbers: Python cannot read a message that is no UTF-8, and
  # raises something else in its place.
  check = tf.debugging.Assert(condition, [f'{text} Its first bytes:', head[:8]], summarize=8)
  # An Assert stops nothing unless the decoder waits for it.
  with tf.control_dependencies([] if check is None else [check]):
    return tf.identity(data)


def _fills_canvas(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  """Says whether a GIF's first frame covers all of its picture: bool [].

  As models.image_formats.gif_container.fills_canvas; TensorFlow takes the frame for the picture.
  """
  at_block, in_extension = -1, -2

  def step(position: tf.Tensor, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    block = bytes_at(data, position, 9)
    first = block[0]
    is_frame = (first == 0x2C) & is_equal(block[1:5], b'\0\0\0\0')
    is_whole = is_frame & tf.reduce_all(block[5:9] == head[6:10])
    inside = state == in_extension
    is_extension = first == 0x21
    onward = tf.where(inside, 1 + first, tf.where(is_extension, 2, 0))
    found = tf.where(
      inside,
      tf.where(first == 0, at_block, in_extension),
      tf.where(is_extension, in_extension, tf.cast(is_whole, tf.int32)),
    )
    return position + tf.cast(onward, tf.int64), found

  flags = head[10]
  palette = tf.where(flags >= 0x80, tf.bitwise.left_shift(6, flags % 8), 0)
  _, found = walk(step, 13 + palette, _MAX_GIF_BLOCKS)
  return found == 1


def decode_and_resize(image_bytes: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """Decodes one image and resizes it to the model's input size.

  Bilinear with antialiasing: without it a photo that is made much smaller shows
  patterns that are not in it. The aspect ratio is not kept.

  Args:
    image_bytes: string [], an encoded image.
    height: of the result, pixels.
    width: of the result, pixels.

  Returns:
    float32 [height, width, 3], RGB, 0..255.

  Raises:
    tf.errors.InvalidArgumentError: at run time, if the bytes are no such image.
  """
  resized = tf.image.resize(decode(image_bytes), [height, width], antialias=True)
  # The kernel's weights need not sum to 1 to the last bit.
  resized = tf.clip_by_value(resized, 0.0, 255.0)
  return tf.ensure_shape(resized, [height, width, 3])


def decode_batch(image_bytes: tf.Tensor, height: int, width: int) -> tf.Tensor:
  """Decodes and resizes a batch: string [N] to float32 [N, height, width, 3], 0..255."""
  images = tf.map_fn(
    lambda one: decode_and_resize(one, height, width),
    image_bytes,
    fn_output_signature=tf.TensorSpec([height, width, 3], tf.float32),
  )
  return tf.ensure_shape(images, [None, height, width, 3])
