"""RandAugment: Keras' operations, chosen for each image by its own seed."""

import keras
import numpy as np
import tensorflow as tf

from models import rand_augment, stateless_layers

PIXELS = np.random.default_rng(0).uniform(20, 200, (24, 16, 12, 3)).astype(np.float32)


def changed(operations: int, magnitude: float, *seed: int, pixels=PIXELS) -> np.ndarray:
  return rand_augment.rand_augment(
    tf.constant(pixels), operations, magnitude, tf.constant(seed, tf.int64)
  ).numpy()


def test_it_keeps_shape_and_range_and_is_a_function_of_the_seed():
  one, same, other = changed(2, 0.9, 1, 2), changed(2, 0.9, 1, 2), changed(2, 0.9, 1, 3)
  assert one.shape == PIXELS.shape and one.dtype == np.float32
  assert one.min() >= 0 and one.max() <= 255
  np.testing.assert_array_equal(one, same)
  assert not np.array_equal(one, other)


def test_the_images_of_a_batch_get_operations_of_their_own():
  equal = np.broadcast_to(PIXELS[:1], PIXELS.shape)
  results = changed(1, 0.5, 1, 2, pixels=equal)
  # Eleven operations, most of them with a strength of their own: few of 24 agree.
  assert len(np.unique(results.reshape(len(results), -1), axis=0)) > 12


def test_an_image_does_not_depend_on_its_neighbours():
  alone = changed(2, 0.5, 1, 2, pixels=PIXELS[:3])
  np.testing.assert_array_equal(changed(2, 0.5, 1, 2)[:3], alone)


def test_the_operations_are_those_of_keras_at_its_strengths():
  layers = rand_augment._operations(0.4)
  theirs = keras.layers.RandAugment(value_range=(0, 255), factor=0.4)
  expected = [getattr(theirs, name) for name in theirs._AUGMENT_LAYERS]
  assert len(layers) == len(expected) > 5
  for ours, their in zip(layers, expected, strict=True):
    assert type(ours) is type(their)
    for field in ('factor', 'x_factor', 'height_factor', 'addition_factor', 'value_range'):
      assert getattr(ours, field, None) == getattr(their, field, None)


def test_each_drawn_operation_is_applied_as_keras_applies_it():
  seed = tf.constant([5, 6], tf.int64)
  image = tf.constant(PIXELS[:1])
  layers = rand_augment._operations(0.4)
  results = []
  for index, layer in enumerate(layers):
    drawn = layer.get_random_transformation(image, seed=stateless_layers.Seeds(seed))
    expected = np.clip(layer.transform_images(image, drawn), 0, 255)
    found = rand_augment._apply(layers, tf.constant(index), image, seed).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)
    results.append(found)
  assert all(not np.array_equal(found, image) for found in results)


def test_every_operation_is_drawn(monkeypatch):
  """Each is replaced by one that paints its own number."""

  class Painter:
    def __init__(self, number):
      self.number = number

    def get_random_transformation(self, data, training=True, seed=None):
      return None

    def transform_images(self, images, transformation):
      return tf.zeros_like(images) + self.number

  monkeypatch.setattr(
    rand_augment, '_operations', lambda magnitude: [Painter(float(i)) for i in range(11)]
  )
  pixels = np.zeros((880, 1, 1, 3), np.float32)
  # In a graph: one after the other, 880 take seconds.
  graph = tf.function(lambda seed: rand_augment.rand_augment(tf.constant(pixels), 1, 0.3, seed))
  drawn = graph(tf.constant([1, 2], tf.int64)).numpy()[:, 0, 0, 0]
  counts = np.bincount(drawn.astype(int), minlength=11)
  # 80 each, and five deviations of 8.5.
  assert counts.min() > 37 and counts.max() < 123
