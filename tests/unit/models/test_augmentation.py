"""Augmentation: what is drawn stays in its limits, and what is applied is exact."""

import numpy as np
import pytest
import tensorflow as tf

from models import augmentation
from schemas.config import AugmentConfig

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 8, 12, 3)).astype(np.float32)


def nothing(count: int = 3) -> augmentation.Draw:
  zeros, ones = tf.zeros([count]), tf.ones([count])
  return augmentation.Draw(zeros, zeros, zeros, ones, ones, zeros, ones)


def apply(**changes) -> np.ndarray:
  values = {name: tf.fill([3], float(value)) for name, value in changes.items()}
  return augmentation.apply(tf.constant(IMAGES), nothing()._replace(**values)).numpy()


def test_nothing_drawn_changes_nothing():
  np.testing.assert_allclose(apply(), IMAGES, atol=1e-3)


def test_mirror_is_a_flip_of_left_and_right():
  np.testing.assert_allclose(apply(mirror=-1), IMAGES[:, :, ::-1], atol=1e-3)


def test_a_shift_moves_the_content_right_and_down_and_repeats_the_border():
  shifted = apply(shift_x=2 / 12, shift_y=1 / 8)
  np.testing.assert_allclose(shifted[:, 1:, 2:], IMAGES[:, :-1, :-2], atol=1e-2)
  np.testing.assert_allclose(shifted[:, 1:, 0], IMAGES[:, :-1, 0], atol=1e-2)


def test_half_a_turn_is_both_flips():
  np.testing.assert_allclose(apply(angle=np.pi), IMAGES[:, ::-1, ::-1], atol=5e-2)


def test_a_quarter_turn_of_a_square_is_that_of_numpy():
  square = tf.constant(IMAGES[:, :, :8])
  turned = augmentation.apply(
    square, nothing()._replace(angle=tf.fill([3], float(np.pi / 2)))
  ).numpy()
  np.testing.assert_allclose(turned, np.rot90(square.numpy(), axes=(1, 2)), atol=5e-2)


def test_brightness_adds_and_contrast_stretches_about_the_mean():
  np.testing.assert_allclose(apply(brightness=10), np.minimum(IMAGES + 10, 255), atol=1e-2)
  mean = IMAGES.mean(axis=(1, 2, 3), keepdims=True)
  np.testing.assert_allclose(apply(contrast=0.5), mean + (IMAGES - mean) * 0.5, atol=1e-2)


def test_the_same_seed_draws_the_same_and_another_draws_otherwise():
  config = AugmentConfig(horizontal_flip=True, brightness=0.2, contrast=0.2)
  one, same, other = (
    augmentation.draw(config, 64, tf.constant([1, seed], tf.int64)) for seed in (2, 2, 3)
  )
  for name in one._fields:
    np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert not np.array_equal(getattr(one, name), getattr(other, name)), name


@pytest.mark.parametrize(
  'field, low, high',
  [
    ('shift_x', -0.1, 0.1),
    ('shift_y', -0.1, 0.1),
    ('angle', -0.3, 0.3),
    ('scale', 0.8, 1.2),
    ('brightness', -51, 51),
    ('contrast', 0.7, 1.3),
  ],
)
def test_draws_fill_their_limits_and_stay_inside(field, low, high):
  config = AugmentConfig(shift=0.1, rotation=0.3, zoom=0.2, brightness=0.2, contrast=0.3)
  values = getattr(augmentation.draw(config, 2000, tf.constant([1, 2], tf.int64)), field).numpy()
  assert low <= values.min() < low + 0.05 * (high - low)
  assert high >= values.max() > high - 0.05 * (high - low)


def test_no_flip_unless_asked_for():
  drawn = augmentation.draw(AugmentConfig(), 200, tf.constant([1, 2], tf.int64))
  assert set(drawn.mirror.numpy()) == {1.0}
