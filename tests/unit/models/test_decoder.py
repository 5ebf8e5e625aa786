"""The one decoder: what it accepts, and that it agrees with Pillow."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import decoder


def pixels(height=14, width=9, channels=3) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.uint8)


def encoded(array: np.ndarray, kind: str, **options) -> bytes:
  stream = io.BytesIO()
  Image.fromarray(array.squeeze()).save(stream, kind, **options)
  return stream.getvalue()


@pytest.mark.parametrize('kind', ['PNG', 'BMP'])
def test_lossless_formats_give_the_very_pixels(kind):
  array = pixels()
  np.testing.assert_array_equal(decoder.decode(tf.constant(encoded(array, kind))), array)


def test_jpeg_agrees_with_pillow_to_rounding():
  data = encoded(pixels(), 'JPEG', quality=95, subsampling=0)
  expected = np.asarray(Image.open(io.BytesIO(data)), int)
  difference = np.abs(decoder.decode(tf.constant(data)).numpy().astype(int) - expected)
  assert difference.max() <= 2


def test_the_first_frame_of_a_gif():
  first, second = (Image.fromarray(pixels() // 2 + shift).convert('P') for shift in (0, 120))
  stream = io.BytesIO()
  first.save(stream, 'GIF', save_all=True, append_images=[second])
  expected = np.asarray(Image.open(io.BytesIO(stream.getvalue())).convert('RGB'))
  np.testing.assert_array_equal(decoder.decode(tf.constant(stream.getvalue())), expected)


def test_grey_is_repeated_and_alpha_dropped():
  grey = pixels(channels=1)
  np.testing.assert_array_equal(
    decoder.decode(tf.constant(encoded(grey, 'PNG'))), np.repeat(grey, 3, axis=2)
  )
  rgba = pixels(channels=4)
  np.testing.assert_array_equal(decoder.decode(tf.constant(encoded(rgba, 'PNG'))), rgba[..., :3])


@pytest.mark.parametrize(
  'data', [b'', b'hello', b'\xff\xd8', b'RIFF\x00\x00\x00\x00WEBPVP8 ', b'II*\x00\x08\x00\x00\x00']
)
def test_anything_else_is_refused(data):
  with pytest.raises(tf.errors.InvalidArgumentError, match='expected the bytes of'):
    decoder.decode(tf.constant(data))


def test_a_truncated_jpeg_is_refused():
  data = encoded(pixels(64, 64), 'JPEG')
  with pytest.raises(tf.errors.InvalidArgumentError):
    decoder.decode(tf.constant(data[: len(data) // 2]))


def test_the_refusal_also_holds_inside_a_graph():
  graph = tf.function(
    lambda data: decoder.decode_batch(data, 8, 8),
    input_signature=[tf.TensorSpec([None], tf.string)],
  )
  assert graph(tf.constant([encoded(pixels(), 'PNG')] * 2)).shape == (2, 8, 8, 3)
  with pytest.raises(tf.errors.InvalidArgumentError, match='expected the bytes of'):
    graph(tf.constant([encoded(pixels(), 'PNG'), b'hello']))


def test_training_evaluation_and_serving_see_equal_tensors():
  images = [encoded(pixels(20 + i, 31 - i), kind) for i, kind in enumerate(('PNG', 'JPEG', 'BMP'))]
  alone = [decoder.decode_and_resize(tf.constant(image), 32, 32).numpy() for image in images]
  together = decoder.decode_batch(tf.constant(images), 32, 32).numpy()
  mapped = next(
    iter(
      tf.data.Dataset.from_tensor_slices(images)
      .batch(3)
      .map(lambda batch: decoder.decode_batch(batch, 32, 32))
    )
  ).numpy()
  np.testing.assert_array_equal(np.stack(alone), together)
  np.testing.assert_array_equal(together, mapped)


def test_resizing_keeps_the_range_and_filters_when_it_makes_smaller():
  stripes = np.zeros((64, 64, 3), np.uint8)
  stripes[:, ::2] = 255
  small = decoder.decode_and_resize(tf.constant(encoded(stripes, 'PNG')), 8, 8).numpy()
  assert small.min() >= 0 and small.max() <= 255
  # One pixel in two is white: every small pixel is half grey, none keeps a stripe.
  np.testing.assert_allclose(small, 127.5, atol=12)
