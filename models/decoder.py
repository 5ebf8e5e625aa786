"""The one place that decodes and resizes an image.

Ingest, Transform, training, evaluation and serving call it, so that an image
gives the same tensor everywhere.
"""

import tensorflow as tf

# Magic bytes of what tf.io.decode_image reads and Sightline accepts. Asked for in
# the graph, because a client of TensorFlow Serving meets no Python of ours.
_MAGIC = (b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF87a', b'GIF89a', b'BM')


def decode(image_bytes: tf.Tensor) -> tf.Tensor:
  """Decodes one encoded image.

  Args:
    image_bytes: string [], a JPEG, PNG, GIF (its first frame) or BMP.

  Returns:
    uint8 [height, width, 3], RGB. Alpha is dropped, grey is repeated.

  Raises:
    tf.errors.InvalidArgumentError: at run time, for any other bytes.
  """
  known = [tf.equal(tf.strings.substr(image_bytes, 0, len(magic)), magic) for magic in _MAGIC]
  check = tf.debugging.Assert(
    tf.reduce_any(tf.stack(known)),
    [
      'expected the bytes of a JPEG, PNG, GIF or BMP; first bytes received:',
      tf.strings.substr(image_bytes, 0, 8),
    ],
  )
  # An Assert stops nothing unless the decoder waits for it.
  dependencies = [] if check is None else [check]
  with tf.control_dependencies(dependencies):
    checked = tf.identity(image_bytes)
  pixels = tf.cond(
    tf.io.is_jpeg(checked),
    # The default is faster by little and off by up to 8 of 255 from what other
    # decoders give.
    lambda: tf.io.decode_jpeg(checked, channels=3, dct_method='INTEGER_ACCURATE'),
    lambda: tf.io.decode_image(checked, channels=3, expand_animations=False),
  )
  return tf.ensure_shape(pixels, [None, None, 3])


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
