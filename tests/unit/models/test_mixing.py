"""MixUp and CutMix: the labels have the shares that the pixels have."""

import numpy as np
import pytest
import tensorflow as tf

from models import mixing
from schemas.config import AugmentConfig

COUNT, HEIGHT, WIDTH = 48, 17, 11
# Each image is of one colour of its own, and of a class of its own.
COLOURS = (np.arange(COUNT) * 5.0).astype(np.float32)
PIXELS = np.broadcast_to(COLOURS[:, None, None, None], (COUNT, HEIGHT, WIDTH, 3)).copy()
LABELS = np.eye(COUNT, dtype=np.float32)


def mixed(function, alpha: float, *seed: int) -> tuple[np.ndarray, np.ndarray]:
  changed = function(tf.constant(PIXELS), tf.constant(LABELS), alpha, tf.constant(seed, tf.int64))
  return tuple(part.numpy() for part in changed)


@pytest.mark.parametrize('alpha', [0.2, 1.0, 3.0])
def test_a_label_of_cutmix_is_the_share_of_its_pixels_exactly(alpha):
  pixels, labels = mixed(mixing.cut_mix, alpha, 1, 2)
  for image, label in zip(pixels, labels, strict=True):
    for index in np.flatnonzero(label):
      count = (image == COLOURS[index]).all(axis=2).sum()
      assert label[index] == pytest.approx(count / (HEIGHT * WIDTH), abs=1e-6)
    # And every pixel is of one of the two.
    assert np.isin(image, COLOURS[np.flatnonzero(label)]).all()
  np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
  assert (np.count_nonzero(labels, axis=1) == 2).sum() > COUNT / 2


def test_what_cutmix_pastes_is_a_box_at_its_own_place():
  height, width = np.mgrid[:HEIGHT, :WIDTH]
  places = np.stack([height, width, height * WIDTH + width], axis=2).astype(np.float32)
  pixels = tf.constant(np.stack([places, places + 400]))
  labels = tf.constant(np.eye(2, dtype=np.float32))
  seen = 0
  for seed in range(8):
    changed, _ = mixing.cut_mix(pixels, labels, 1.0, tf.constant([seed, 0], tf.int64))
    for image, original in zip(changed.numpy(), pixels.numpy(), strict=True):
      # Whatever its image, a pixel stays where it was.
      np.testing.assert_array_equal(np.mod(image[..., 0], 400), height)
      np.testing.assert_array_equal(np.mod(image[..., 1], 400), width)
      rows, columns = np.nonzero(image[..., 0] != original[..., 0])
      box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1) if len(rows) else 0
      assert len(rows) == box
      seen += bool(box)
  assert seen > 2


@pytest.mark.parametrize('alpha', [0.2, 1.0])
def test_mixup_blends_pixels_and_labels_by_one_weight(alpha):
  pixels, labels = mixed(mixing.mix_up, alpha, 1, 2)
  expected = np.broadcast_to((labels @ COLOURS)[:, None, None, None], PIXELS.shape)
  np.testing.assert_allclose(pixels, expected, atol=1e-2)
  np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
  assert (np.count_nonzero(labels, axis=1) == 2).sum() > COUNT / 2


@pytest.mark.parametrize('function', [mixing.mix_up, mixing.cut_mix])
def test_the_other_image_is_drawn_anew_for_each_batch(function):
  def others(seed):
    labels = mixed(function, 1.0, seed, 0)[1]
    return (labels - np.diag(np.diag(labels))).argmax(axis=1)

  assert (others(1) != others(2)).mean() > 0.8
  # Most images are given to one other, once.
  assert len(set(others(1))) > COUNT / 2


@pytest.mark.parametrize('alpha', [1e-3, 0.02, 0.2, 1.0, 4.0])
def test_weights_have_the_mean_and_variance_of_their_distribution(alpha):
  drawn = mixing.beta(20_000, alpha, tf.constant([1, 2], tf.int64)).numpy()
  assert drawn.min() >= 0 and drawn.max() <= 1
  # Of Beta(a, a): 1/2 and 1 / (4 (2a + 1)).
  assert abs(drawn.mean() - 0.5) < 0.02
  assert drawn.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_a_small_alpha_leaves_nearly_every_image_whole():
  for function in (mixing.mix_up, mixing.cut_mix):
    labels = mixed(function, 1e-4, 3, 4)[1]
    assert (labels.max(axis=1) > 0.99).mean() > 0.95


def test_the_area_of_the_box_is_drawn_from_beta():
  kept = []
  for seed in range(20):
    labels = mixed(mixing.cut_mix, 1.0, seed, 1)[1]
    kept += list(np.diag(labels)[np.count_nonzero(labels, axis=1) == 2])
  # Beta(1, 1) is uniform, but for the boxes that rounding leaves empty or whole.
  np.testing.assert_allclose(np.quantile(kept, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.06)


def test_of_both_one_is_drawn_for_each_batch():
  config = AugmentConfig(mixup=1.0, cutmix=1.0)
  blended = 0
  for seed in range(60):
    pixels, labels = mixing.mix(
      config, tf.constant(PIXELS), tf.constant(LABELS), tf.constant([seed, 5], tf.int64)
    )
    np.testing.assert_allclose(labels.numpy().sum(axis=1), 1, atol=1e-6)
    # A pasted pixel has a colour that was there before, a blended one has not.
    blended += not np.isin(pixels.numpy(), COLOURS).all()
  # Half of 60, and four deviations of 3.9.
  assert 14 < blended < 46


def test_neither_is_asked_for():
  pixels, labels = mixing.mix(
    AugmentConfig(), tf.constant(PIXELS), tf.constant(LABELS), tf.constant([1, 2], tf.int64)
  )
  np.testing.assert_array_equal(pixels, PIXELS)
  np.testing.assert_array_equal(labels, LABELS)


def test_the_share_of_batches_is_mixed_that_is_asked_for():
  config = AugmentConfig(mixup=0.3, cutmix=1.0, mix_probability=0.7)
  pixels, labels = tf.constant(PIXELS), tf.constant(LABELS)
  mixes = tf.function(lambda seed: mixing.mix(config, pixels, labels, seed))
  left = 0
  for number in range(200):
    changed, shares = mixes(tf.constant([number, 3], tf.int64))
    same = bool(tf.reduce_all(changed == pixels))
    assert same == bool(tf.reduce_all(shares == labels))
    left += same
  # 60 of 200 are expected; a binomial draw is outside these in 1 of 10,000.
  assert 36 < left < 87
