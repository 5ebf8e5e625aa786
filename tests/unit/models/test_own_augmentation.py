"""A user's own augmentation: called as promised, and held to its contract."""

import importlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from models import augmentation, own_augmentation
from schemas.config import AugmentConfig
from schemas.errors import ConfigError, TrainingError

SEED = tf.constant([1, 2], tf.int64)


def darker(pixels, labels, seed):
  assert pixels.dtype == tf.float32 and labels.dtype == tf.float32
  assert seed.dtype == tf.int64 and seed.shape == [2]
  return pixels * tf.random.stateless_uniform([], seed), labels


def swaps_labels(pixels, labels, seed):
  return pixels[::-1], labels[::-1]


def loops(pixels, labels, seed):
  # A loop over a tensor: AutoGraph has to make a graph of it.
  for _ in tf.range(2):
    pixels = pixels / 2
  return pixels, labels


def scales_to_one(pixels, labels, seed):
  return pixels * 2, labels


def becomes_nan(pixels, labels, seed):
  return pixels / tf.reduce_max(pixels, axis=[1, 2, 3], keepdims=True), labels


def halves_size(pixels, labels, seed):
  return pixels[:, ::2], labels


def takes_bytes(pixels, labels, seed):
  return tf.cast(pixels, tf.uint8), labels


def forgets_labels(pixels, labels, seed):
  return pixels


def doubles_labels(pixels, labels, seed):
  return pixels, labels * 2


def loses_a_class(pixels, labels, seed):
  return pixels, labels[:, 1:]


def needs_numpy(pixels, labels, seed):
  return tf.constant(pixels.numpy()), labels


def has_state(pixels, labels, seed):
  return pixels * tf.random.uniform([]), labels


def applied(function, seed=SEED):
  return own_augmentation.apply(f'{__name__}.{function.__name__}', *batch(), seed)


def batch() -> tuple[tf.Tensor, tf.Tensor]:
  pixels = np.random.default_rng(0).uniform(0, 255, (4, 8, 6, 3))
  labels = np.eye(3)[[0, 1, 2, 0]]
  return tf.constant(pixels, tf.float32), tf.constant(labels, tf.float32)


@pytest.mark.parametrize('function', [darker, swaps_labels, loops])
def test_what_it_returns_is_what_training_gets(function):
  changed, labels = applied(function)
  expected, expected_labels = tf.function(function)(*batch(), SEED)
  np.testing.assert_array_equal(changed, expected)
  np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize(
  ('function', 'expected'),
  [
    (scales_to_one, r'expected pixels of 0..255 from .*scales_to_one. Received: 0 to 510'),
    (becomes_nan, 'expected pixels of 0..255'),
    (halves_size, r'expected pixels of float32 \[4, 8, 6, 3\].*Received: float32 \[4, 4, 6, 3\]'),
    (takes_bytes, r'Received: uint8 \[4, 8, 6, 3\]'),
    (forgets_labels, r'expected a pair \(pixels, labels\)'),
    (doubles_labels, 'sum to 1.*Received: sums of 2 to 2'),
    (loses_a_class, r'expected labels of float32 \[4, 3\].*Received: float32 \[4, 2\]'),
    (needs_numpy, 'failed on a made-up batch of 4 images with'),
    (has_state, 'expected the same result for the same seed'),
  ],
)
def test_a_function_that_breaks_its_promise_is_named(function, expected):
  with pytest.raises(TrainingError, match=f'(?s)augment.fn: .*{expected}'):
    applied(function)


def test_a_path_that_names_nothing_is_an_error_of_the_config():
  with pytest.raises(ConfigError, match='^augment.fn: .*has no lighter'):
    own_augmentation.check(f'{__name__}.lighter', 8, 6, 3)


def test_it_is_also_checked_while_a_map_is_traced():
  config = AugmentConfig(fn=f'{__name__}.doubles_labels')
  dataset = tf.data.Dataset.from_tensors((*batch(), SEED))
  with pytest.raises(TrainingError, match='sum to 1'):
    dataset.map(lambda *values: augmentation.augment(config, *values))


def test_it_comes_last_and_its_result_stays_in_the_range():
  config = AugmentConfig(shift=0, rotation=0, zoom=0, brightness=0.4, fn=f'{__name__}.darker')
  changed, _ = augmentation.augment(config, *batch(), SEED)
  before, _ = augmentation.augment(config.model_copy(update={'fn': None}), *batch(), SEED)
  # One factor for the whole batch, also where brightness made pixels white.
  factors = (changed / tf.maximum(before, 1e-3)).numpy()[before.numpy() > 1]
  assert 0 < factors.max() < 1
  np.testing.assert_allclose(factors, factors[0], rtol=1e-4)


def test_the_example_hides_a_box_and_keeps_its_promise(monkeypatch):
  root = pathlib.Path(__file__).parents[3]
  monkeypatch.syspath_prepend(root / 'examples')
  example = importlib.import_module('own_code.augment')
  config = AugmentConfig(shift=0, rotation=0, zoom=0, fn='own_code.augment.hide_a_box')
  pixels = tf.zeros([40, 20, 30, 3])
  labels = tf.one_hot(tf.range(40) % 3, 3)
  changed, kept = augmentation.augment(config, pixels, labels, SEED)
  np.testing.assert_array_equal(kept, labels)
  sizes = set()
  for image in changed.numpy()[..., 0]:
    rows, columns = np.nonzero(image)
    assert (image[rows, columns] == example.GREY).all()
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert len(rows) == height * width
    assert 0.1 * 20 - 1 <= height <= 0.4 * 20 + 1 and 0.1 * 30 - 1 <= width <= 0.4 * 30 + 1
    sizes.add((height, width))
  assert len(sizes) > 10
