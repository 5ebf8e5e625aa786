"""Class weights and the repeats of an epoch, by hand."""

import numpy as np
import pytest

from models.training import sampling
from schemas.errors import TrainingError

# 7 images of class 0, 3 of class 1, 2 of class 2; not in the order of the classes.
IDS = np.array([0, 1, 0, 2, 0, 0, 1, 0, 2, 0, 1, 0])


def shares(times: np.ndarray) -> list[int]:
  return [int(times[label == IDS].sum()) for label in range(3)]


def test_images_are_counted_by_class():
  counts = sampling.class_counts(IDS, 4)
  assert counts.tolist() == [7, 3, 2, 0]
  assert counts.dtype == np.int64


@pytest.mark.parametrize('bad', [[0, 3], [-1, 0]])
def test_a_label_id_out_of_range_is_an_error(bad):
  with pytest.raises(TrainingError, match='expected 0 to 2, for 3 labels'):
    sampling.class_counts(np.array(bad), 3)


def test_weights_are_inverse_to_the_counts():
  weights = sampling.class_weights(np.array([7, 3, 2]))
  np.testing.assert_allclose(weights, [12 / 21, 12 / 9, 12 / 6], atol=1e-6)
  assert weights.dtype == np.float32
  assert weights[IDS].mean() == pytest.approx(1)


def test_weights_of_equal_classes_are_1():
  np.testing.assert_array_equal(sampling.class_weights(np.array([5, 5])), [1, 1])


def test_a_class_without_an_image_is_named():
  with pytest.raises(TrainingError, match='train.class_weights.*none of class index 1, 3'):
    sampling.class_weights(np.array([7, 0, 2, 0]))
  with pytest.raises(TrainingError, match='train.sampling: oversample.*class index 3'):
    sampling.repeats(IDS, 4, 'oversample', 0, 0)


def test_none_takes_each_image_once_even_with_an_empty_class():
  times = sampling.repeats(IDS, 4, 'none', 0, 0)
  np.testing.assert_array_equal(times, np.ones(12))
  assert times.dtype == np.int64


@pytest.mark.parametrize('epoch', range(4))
def test_oversampling_repeats_each_class_up_to_the_largest(epoch):
  times = sampling.repeats(IDS, 3, 'oversample', 5, epoch)
  assert shares(times) == [7, 7, 7]
  # 7 = 2 * 3 + 1: two images of class 1 appear twice, one three times; 7 = 3 * 2 + 1.
  assert sorted(times[IDS == 0]) == [1] * 7
  assert sorted(times[IDS == 1]) == [2, 2, 3]
  assert sorted(times[IDS == 2]) == [3, 4]


@pytest.mark.parametrize('epoch', range(4))
def test_undersampling_takes_as_many_of_each_as_the_smallest_has(epoch):
  times = sampling.repeats(IDS, 3, 'undersample', 5, epoch)
  assert shares(times) == [2, 2, 2]
  assert set(times.tolist()) == {0, 1}


@pytest.mark.parametrize('mode', ['oversample', 'undersample'])
def test_the_draw_depends_on_seed_and_epoch_alone(mode):
  def drawn(seed):
    return [sampling.repeats(IDS, 3, mode, seed, epoch).tolist() for epoch in range(6)]

  first = drawn(0)
  np.random.default_rng(0).random(100)
  assert drawn(0) == first
  assert any(epoch != first[0] for epoch in first)
  assert drawn(1) != first
  assert drawn(-1) != first


def test_every_image_gets_its_turn_over_the_epochs():
  total = sum(sampling.repeats(IDS, 3, 'undersample', 0, epoch) for epoch in range(300))
  # Each of the 7 is drawn with probability 2/7: 86 of 300, deviation 7.8.
  assert np.abs(total[IDS == 0] - 600 / 7).max() < 40
  assert (total[IDS == 2] == 300).all()


@pytest.mark.parametrize('mode', ['oversample', 'undersample'])
def test_classes_of_equal_size_are_taken_as_they_are(mode):
  ids = np.array([1, 0, 2, 0, 1, 2])
  np.testing.assert_array_equal(sampling.repeats(ids, 3, mode, 0, 0), np.ones(6))
