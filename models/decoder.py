"""The one place that decodes and resizes an image.

Ingest, Transform, training, evaluation and serving call it, so that an image
gives the same tensor everywhere.
"""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from models import frame_header, image_limits, orientation
from models.byte_reading import bytes_at, is_equal
from models.image_formats import bmp_container, exif, jpeg_container, png_container
from schemas.config import ImageConfig

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
      them models.image_file.prepare makes a PNG. Also for an image that is larger than
      models.image_limits allows, before anything of it is decoded.
  """
  with _in_functions():
    # Asked for in the graph, because a client of TensorFlow Serving meets no Python
    # of ours.
    head = bytes_at(image_bytes, 0, _HEAD)
    is_jpeg = is_equal(head[:3], b'\xff\xd8\xff')
    is_png = is_equal(head[:8], png_container.MAGIC)
    pixels, turn = tf.cond(
      is_jpeg,
      lambda: _decode_jpeg(image_bytes),
      lambda: _decode_other(image_bytes, head, is_png),
    )
    return orientation.apply(pixels, turn)


@contextlib.contextmanager
def _in_functions() -> Iterator[None]:
  """Leaves the conditions and loops that are traced here what they are: calls of functions.

  By default TensorFlow takes them apart, into hundreds of steps of the graph around, each of
  which goes through a queue: an image of 32 pixels takes 1.6 times as long, and a graph with
  this decoder 1.7 times as long to begin (benchmarks/decoder_graph.py). To ask for the executor
  that cannot run what was taken apart is the public way to say so; nothing is run by it.
  """
  with tf.experimental.function_executor_type('SINGLE_THREADED_EXECUTOR'):
    yield


def _decode_jpeg(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  frame = frame_header.of_jpeg(data)
  with tf.control_dependencies([*_check_size(frame.sides), *_check_scans(frame)]):
    # The default is faster by little and off by up to 8 of 255 from what other
    # decoders give.
    pixels = tf.io.decode_jpeg(tf.identity(data), channels=3, dct_method='INTEGER_ACCURATE')
  return pixels, orientation.of_block(data, frame.exif_start, frame.exif_size)


def _decode_other(
  data: tf.Tensor, head: tf.Tensor, is_png: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  is_gif = is_equal(head[:6], b'GIF87a') | is_equal(head[:6], b'GIF89a')
  taken = (is_png & (head[png_container.DEPTH_AT] != 16)) | is_gif | _is_plain_bmp(head)
  with tf.control_dependencies(_check(taken, head)):
    pixels = tf.cond(
      is_gif, lambda: _decode_gif(data, head), lambda: _decode_plain(data, head, is_png)
    )
  upright = tf.constant(exif.UPRIGHT)
  return pixels, tf.cond(is_png, lambda: orientation.of_png(data), lambda: upright)


def _decode_plain(data: tf.Tensor, head: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
  sides = tf.where(is_png, frame_header.of_png(head), frame_header.of_bmp(head))
  with tf.control_dependencies(_check_size(sides)):
    pixels = tf.io.decode_image(tf.identity(data), channels=3, expand_animations=False)
  return tf.ensure_shape(pixels, [None, None, 3])


def _decode_gif(data: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
  frame = frame_header.first_frame_of_gif(data)
  # TensorFlow takes the first frame of a GIF for the picture, however small it is.
  checks = [*_check_size(frame_header.of_gif(head)), *_check(frame.fills, head)]
  with tf.control_dependencies(checks):
    pixels = tf.io.decode_image(tf.identity(frame.encoded), channels=3, expand_animations=False)
  return tf.ensure_shape(pixels, [None, None, 3])


def _is_plain_bmp(head: tf.Tensor) -> tf.Tensor:
  """As bmp_container.is_plain: of others TensorFlow makes another picture, or none."""
  layout = head[28:34]
  plain = is_equal(layout, bmp_container.BITS_24) | is_equal(layout, bmp_container.BITS_32)
  usual_masks = is_equal(head[54:66], bmp_container.USUAL_MASKS)
  plain |= is_equal(layout, bmp_container.BITS_32_MASKED) & usual_masks
  header_is_long = (head[14] >= bmp_container.SHORTEST_HEADER) & is_equal(head[15:18], bytes(3))
  return is_equal(head[:2], b'BM') & plain & header_is_long


def _check(condition: tf.Tensor, head: tf.Tensor) -> list:
  # The first bytes as numbers: Python cannot read a message that is no UTF-8, and
  # raises something else in its place.
  return _assert(
    condition,
    'expected the bytes of a JPEG, a PNG of up to 8 bits a sample, a GIF whose first frame '
    'fills the picture, or an uncompressed BMP of 24 or 32 bits. The first bytes received:',
    head[:8],
  )


def _check_size(sides: tf.Tensor) -> list:
  """As image_file does, by the header: int32 [2]."""
  in_range = tf.reduce_all((sides >= 1) & (sides <= image_limits.MAX_SIDE))
  # No product, which would overflow.
  small = in_range & (sides[0] <= image_limits.MAX_PIXELS // tf.maximum(sides[1], 1))
  return _assert(
    small,
    f'expected 1 to {image_limits.MAX_PIXELS} pixels, and {image_limits.MAX_SIDE} a side, by the '
    'header of the image. Height and width received:',
    sides,
  )


def _check_scans(frame: frame_header.Jpeg) -> list:
  """Bounds the passes over the pixels: a small file can ask for thousands."""
  most = jpeg_container.MAX_SCANS * image_limits.MAX_PIXELS
  passes = tf.cast(tf.stack([frame.scans, *tf.unstack(frame.sides)]), tf.float32)
  return _assert(
    tf.reduce_prod(passes) <= most,
    f'expected a JPEG of at most {jpeg_container.MAX_SCANS} scans of {image_limits.MAX_PIXELS} '
    'pixels, or more scans of fewer. Scans, height and width received:',
    passes,
  )


def _assert(condition: tf.Tensor, text: str, numbers: tf.Tensor) -> list:
  """Returns what the decoder must wait for: an Assert alone stops nothing."""
  # The plain operation: tf.debugging.Assert puts a branch around each.
  check = tf.raw_ops.Assert(condition=condition, data=[text, numbers], summarize=8)
  return [] if check is None else [check]


def decode_and_resize(image_bytes: tf.Tensor, image: ImageConfig) -> tf.Tensor:
  """Decodes one image and brings it to the model's input size, as image.fit says.

  Bilinear with antialiasing: without it a photo that is made much smaller shows
  patterns that are not in it. By `fit`:

  - `squash`: the whole image, its aspect ratio is not kept.
  - `crop`: the largest centred part of the target's aspect ratio, times
    crop_fraction, in whole pixels and of at least one. What lies outside is lost.
  - `pad`: the whole image in its aspect ratio, centred between black bars. They
    are 0 before the normalisation and therefore -mean / deviation after it, the
    same number for every image of a channel.

  Args:
    image_bytes: string [], an encoded image.
    image: height and width of the result in pixels; how another shape is fitted.

  Returns:
    float32 [height, width, 3], RGB, 0..255.

  Raises:
    tf.errors.InvalidArgumentError: at run time, if the bytes are no such image.
  """
  with _in_functions():
    pixels = decode(image_bytes)
    if image.fit == 'crop':
      pixels = _centre(pixels, image)
    size = _size_inside(pixels, image) if image.fit == 'pad' else [image.height, image.width]
    resized = tf.cond(
      tf.reduce_all(tf.shape(pixels)[:2] == size),
      # What the kernel would give as well: to that size its weights are 1 and 0.
      lambda: tf.cast(pixels, tf.float32),
      lambda: _resize(pixels, size),
    )
    if image.fit == 'pad':
      resized = _pad(resized, image)
    return tf.ensure_shape(resized, [image.height, image.width, 3])


def decode_batch(image_bytes: tf.Tensor, image: ImageConfig) -> tf.Tensor:
  """Decodes and fits a batch: string [N] to float32 [N, height, width, 3], 0..255."""
  shape = [image.height, image.width, 3]
  images = tf.map_fn(
    lambda one: decode_and_resize(one, image),
    image_bytes,
    fn_output_signature=tf.TensorSpec(shape, tf.float32),
  )
  return tf.ensure_shape(images, [None, *shape])


def _resize(pixels: tf.Tensor, size: tf.Tensor | list[int]) -> tf.Tensor:
  resized = tf.image.resize(pixels, size, antialias=True)
  # The kernel's weights need not sum to 1 to the last bit.
  return tf.clip_by_value(resized, 0.0, 255.0)


def _centre(pixels: tf.Tensor, image: ImageConfig) -> tf.Tensor:
  """Cuts out the largest centred part of the target's aspect ratio, times crop_fraction."""
  received = tf.shape(pixels)[:2]
  sides = tf.cast(received, tf.float64)
  target = tf.constant([image.height, image.width], tf.float64)
  largest = target * tf.reduce_min(sides / target)
  kept = tf.clip_by_value(_whole(largest * image.crop_fraction), 1, received)
  begin = (received - kept) // 2
  return tf.slice(pixels, [begin[0], begin[1], 0], [kept[0], kept[1], 3])


def _size_inside(pixels: tf.Tensor, image: ImageConfig) -> tf.Tensor:
  """Returns int32 [2], the largest size of this aspect ratio inside the target."""
  sides = tf.cast(tf.shape(pixels)[:2], tf.float64)
  target = tf.constant([image.height, image.width], tf.float64)
  inside = _whole(sides * tf.reduce_min(target / sides))
  return tf.clip_by_value(inside, 1, [image.height, image.width])


def _whole(sides: tf.Tensor) -> tf.Tensor:
  return tf.cast(tf.round(sides), tf.int32)


def _pad(pixels: tf.Tensor, image: ImageConfig) -> tf.Tensor:
  """Puts black around, half of it on each side; of an odd pixel, more below and right."""
  missing = tf.constant([image.height, image.width]) - tf.shape(pixels)[:2]
  before = missing // 2
  sides = tf.stack([before, missing - before], axis=1)
  return tf.pad(pixels, tf.concat([sides, [[0, 0]]], axis=0))
