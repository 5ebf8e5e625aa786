"""The one decoder: what it accepts, and that it agrees with Pillow."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import decoder
from schemas.config import ImageConfig

FITS = ('squash', 'crop', 'pad')


def pixels(height=14, width=9, channels=3) -> np.ndarray:
  return np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(np.uint8)


def encoded(array: np.ndarray, kind: str, **options) -> bytes:
  stream = io.BytesIO()
  Image.fromarray(array[..., 0] if array.shape[2] == 1 else array).save(stream, kind, **options)
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
    lambda data: decoder.decode_batch(data, ImageConfig(height=8, width=8)),
    input_signature=[tf.TensorSpec([None], tf.string)],
  )
  assert graph(tf.constant([encoded(pixels(), 'PNG')] * 2)).shape == (2, 8, 8, 3)
  with pytest.raises(tf.errors.InvalidArgumentError, match='expected the bytes of'):
    graph(tf.constant([encoded(pixels(), 'PNG'), b'hello']))


@pytest.mark.parametrize('fit', FITS)
def test_training_evaluation_and_serving_see_equal_tensors(fit, tmp_path):
  image = ImageConfig(height=32, width=24, fit=fit, crop_fraction=0.9)
  images = [encoded(pixels(20 + i, 41 - i), kind) for i, kind in enumerate(('PNG', 'JPEG', 'BMP'))]
  images.append(encoded(pixels(70, 9), 'PNG'))
  alone = [decoder.decode_and_resize(tf.constant(one), image).numpy() for one in images]
  together = decoder.decode_batch(tf.constant(images), image).numpy()
  mapped = next(
    iter(
      tf.data.Dataset.from_tensor_slices(images)
      .batch(4)
      .map(lambda batch: decoder.decode_batch(batch, image), num_parallel_calls=2)
    )
  ).numpy()
  np.testing.assert_array_equal(np.stack(alone), together)
  np.testing.assert_array_equal(together, mapped)
  np.testing.assert_array_equal(together, served(image, images, tmp_path / 'export'))


def served(image: ImageConfig, images: list[bytes], folder: pathlib.Path) -> np.ndarray:
  """What the decoder's graph gives in a session, as TensorFlow Serving runs it."""
  module = tf.Module()
  module.answer = tf.function(
    lambda image_bytes: {'pixels': decoder.decode_batch(image_bytes, image)},
    input_signature=[tf.TensorSpec([None], tf.string, 'image_bytes')],
  )
  tf.saved_model.save(module, str(folder), signatures=module.answer)
  with tf.compat.v1.Session(graph=tf.Graph()) as session:
    loaded = tf.compat.v1.saved_model.load(session, ['serve'], str(folder))
    signature = loaded.signature_def['serving_default']
    return session.run(
      signature.outputs['pixels'].name, {signature.inputs['image_bytes'].name: images}
    )


def test_resizing_keeps_the_range_and_filters_when_it_makes_smaller():
  stripes = np.zeros((64, 64, 3), np.uint8)
  stripes[:, ::2] = 255
  small = fitted(stripes, height=8, width=8)
  assert small.min() >= 0 and small.max() <= 255
  # One pixel in two is white: every small pixel is half grey, none keeps a stripe.
  np.testing.assert_allclose(small, 127.5, atol=12)


def fitted(array: np.ndarray, **image) -> np.ndarray:
  return decoder.decode_and_resize(tf.constant(encoded(array, 'PNG')), ImageConfig(**image)).numpy()


def resized(array: np.ndarray, height: int, width: int) -> np.ndarray:
  """As Pillow does it, in floating point: float32 [height, width, channels]."""
  planes = [
    Image.fromarray(array[..., c].astype(np.float32)).resize((width, height), Image.BILINEAR)
    for c in range(array.shape[2])
  ]
  return np.stack([np.asarray(plane) for plane in planes], axis=2)


def test_squash_resizes_the_whole_image():
  array = pixels(40, 20)
  expected = tf.clip_by_value(tf.image.resize(array, [16, 24], antialias=True), 0.0, 255.0)
  squashed = fitted(array, height=16, width=24)
  np.testing.assert_array_equal(squashed, expected)
  np.testing.assert_allclose(squashed, resized(array, 16, 24), atol=1e-2)


@pytest.mark.parametrize(
  ('size', 'target', 'fraction', 'kept'),
  [
    # Portrait and landscape into a square: the shorter side, and the middle of the longer.
    ((40, 20), (16, 16), 1.0, (slice(10, 30), slice(0, 20))),
    ((20, 40), (16, 16), 1.0, (slice(0, 20), slice(10, 30))),
    # 0.8 of 20 is 16.
    ((40, 20), (16, 16), 0.8, (slice(12, 28), slice(2, 18))),
    # Into 1:2. 90x30 (width x height) keeps 60x30, 30x90 keeps 30x15.
    ((30, 90), (20, 40), 1.0, (slice(0, 30), slice(15, 75))),
    ((90, 30), (20, 40), 1.0, (slice(37, 52), slice(0, 30))),
    # The aspect ratio fits already.
    ((15, 30), (20, 40), 1.0, (slice(0, 15), slice(0, 30))),
    # A line: one pixel is left, and of it an image is made.
    ((1, 300), (8, 8), 0.5, (slice(0, 1), slice(149, 150))),
    ((300, 1), (8, 8), 1.0, (slice(149, 150), slice(0, 1))),
  ],
)
def test_crop_takes_the_centre(size, target, fraction, kept):
  array = pixels(*size)
  cropped = fitted(array, height=target[0], width=target[1], fit='crop', crop_fraction=fraction)
  np.testing.assert_allclose(cropped, resized(array[kept], *target), atol=1e-2)


@pytest.mark.parametrize(
  ('size', 'target', 'inner'),
  [
    ((40, 20), (16, 16), (slice(0, 16), slice(4, 12))),
    ((20, 40), (16, 16), (slice(4, 12), slice(0, 16))),
    # 30x30 into 20x41: 20x20, 10 columns before and 11 after.
    ((30, 30), (20, 41), (slice(0, 20), slice(10, 30))),
    ((10, 20), (20, 40), (slice(0, 20), slice(0, 40))),
    ((1, 300), (8, 8), (slice(3, 4), slice(0, 8))),
    ((300, 1), (8, 8), (slice(0, 8), slice(3, 4))),
  ],
)
def test_pad_keeps_the_whole_image_between_black_bars(size, target, inner):
  array = np.maximum(pixels(*size), 1)
  padded = fitted(array, height=target[0], width=target[1], fit='pad')
  expected = np.zeros([*target, 3], np.float32)
  height, width = expected[inner].shape[:2]
  expected[inner] = resized(array, height, width)
  np.testing.assert_allclose(padded, expected, atol=1e-2)
  bars = np.ones(target, bool)
  bars[inner] = False
  assert (padded[bars] == 0).all()


@pytest.mark.parametrize('fit', FITS)
def test_an_exif_turn_comes_before_the_fit(fit):
  array = pixels(24, 40)
  exif = Image.Exif()
  exif[0x0112] = 6  # shown turned by a quarter, clockwise
  turned = decoder.decode_and_resize(
    tf.constant(encoded(array, 'PNG', exif=exif)), ImageConfig(height=16, width=16, fit=fit)
  )
  upright = fitted(np.rot90(array, -1), height=16, width=16, fit=fit)
  np.testing.assert_array_equal(turned, upright)


@pytest.mark.parametrize(('height', 'width'), [(8, 8), (14, 9), (33, 64), (301, 200)])
@pytest.mark.parametrize('fit', FITS)
def test_an_image_of_the_size_is_left_as_it_is(height, width, fit):
  array = pixels(height, width)
  image = ImageConfig(height=height, width=width, fit=fit, crop_fraction=1.0)
  found = decoder.decode_and_resize(tf.constant(encoded(array, 'PNG')), image)
  assert found.dtype == tf.float32
  np.testing.assert_array_equal(found, array)
  # As the kernel, which is asked in a graph: otherwise tf.image.resize takes the same way.
  resize = tf.function(
    lambda pixels, size: tf.image.resize(pixels, size, antialias=True),
    input_signature=[tf.TensorSpec([None, None, 3]), tf.TensorSpec([2], tf.int32)],
  )
  np.testing.assert_array_equal(resize(array.astype(np.float32), [height, width]), found)


def test_the_graph_of_one_image_is_not_taken_apart():
  image = ImageConfig(height=8, width=8)
  one = tf.function(
    lambda data: decoder.decode_and_resize(data, image),
    input_signature=[tf.TensorSpec([], tf.string)],
  )
  graph = one.get_concrete_function().graph.as_graph_def()
  nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
  flow = [node for node in nodes if node.op in ('If', 'While', 'StatelessIf', 'StatelessWhile')]
  assert len(flow) > 5
  assert not [node.name for node in flow if node.attr['_lower_using_switch_merge'].b]
  # What is traced beside it is as ever, and so is a loop over images.
  batch = tf.function(
    lambda data: decoder.decode_batch(data, image),
    input_signature=[tf.TensorSpec([None], tf.string)],
  )
  graph = batch.get_concrete_function().graph.as_graph_def()
  (loop,) = (node for node in graph.node if node.op in ('While', 'StatelessWhile'))
  assert loop.attr['_lower_using_switch_merge'].b
