"""The one place that decodes and resizes an image.

Ingest, Transform, training, evaluation and serving call it, so that an image
gives the same tensor everywhere.
"""

import tensorflow as tf

from models import orientation
from models.byte_reading import bytes_at, is_equal
from models.image_formats import bmp_container, png_container

# As far as the conditions on a BMP look.
_HEAD = 66


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
  # Asked for in the graph, because a client of TensorFlow Serving meets no Python
  # of ours.
  head = bytes_at(image_bytes, 0, _HEAD)
  is_jpeg = is_equal(head[:3], b'\xff\xd8\xff')
  is_png = is_equal(head[:8], png_container.MAGIC)
  pixels = tf.cond(
    is_jpeg,
    # The default is faster by little and off by up to 8 of 255 from what other
    # decoders give.
    lambda: tf.io.decode_jpeg(image_bytes, channels=3, dct_method='INTEGER_ACCURATE'),
    lambda: _decode_other(image_bytes, head, is_png),
  )
  return orientation.apply(pixels, orientation.read(image_bytes, is_jpeg, is_png))


def _decode_other(data: tf.Tensor, head: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
  is_gif = is_equal(head[:6], b'GIF87a') | is_equal(head[:6], b'GIF89a')
  taken = (is_png & (head[png_container.DEPTH_AT] != 16)) | is_gif | _is_plain_bmp(head)
  with tf.control_dependencies(_check(taken, head)):
    pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
  # TensorFlow takes the first frame of a GIF for the picture, however small it is.
  canvas = tf.stack([head[8] + 256 * head[9], head[6] + 256 * head[7]])
  whole = ~is_gif | tf.reduce_all(tf.shape(pixels)[:2] == canvas)
  with tf.control_dependencies(_check(whole, head)):
    return tf.ensure_shape(tf.identity(pixels), [None, None, 3])


def _is_plain_bmp(head: tf.Tensor) -> tf.Tensor:
  """As bmp_container.is_plain: of others TensorFlow makes another picture, or none."""
  layout = head[28:34]
  plain = is_equal(layout, bmp_container.BITS_24) | is_equal(layout, bmp_container.BITS_32)
  usual_masks = is_equal(head[54:66], bmp_container.USUAL_MASKS)
  plain |= is_equal(layout, bmp_container.BITS_32_MASKED) & usual_masks
  header_is_long = (head[14] >= bmp_container.SHORTEST_HEADER) & is_equal(head[15:18], bytes(3))
  return is_equal(head[:2], b'BM') & plain & header_is_long


def _check(condition: tf.Tensor, head: tf.Tensor) -> list:
  """Returns what the decoder must wait for: an Assert alone stops nothing."""
  # The first bytes as numbers: Python cannot read a message that is no UTF-8, and
  # raises something else in its place.
  check = tf.debugging.Assert(
    condition,
    [
      'expected the bytes of a JPEG, a PNG of up to 8 bits a sample, a GIF whose first frame '
      'fills the picture, or an uncompressed BMP of 24 or 32 bits. The first bytes received:',
      head[:8],
    ],
    summarize=8,
  )
  return [] if check is None else [check]


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
