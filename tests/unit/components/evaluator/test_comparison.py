"""Better, same, worse or undecided: on planted differences, and where there is none."""

import numpy as np
import pytest
import scipy.stats

from components.evaluator import comparison

ACCEPTED = 0.01
PAIRS = 100
# A share of 5 % is not to be told from one of 4 % by a hundred.
EQUAL_PAIRS = 400


def pair(draw, n: int, first: float, second: float, shared: float):
  """Two models of given accuracies; `shared` of the images are as hard for both."""
  common, one, other = draw.uniform(size=(3, n))
  together = draw.uniform(size=n) < shared
  return np.where(together, common, one) < first, np.where(together, common, other) < second


def verdicts(n: int, first: float, second: float, shared: float, pairs=PAIRS) -> list[str]:
  draw = np.random.default_rng(0)
  return [
    comparison.compare(*pair(draw, n, first, second, shared), None, ACCEPTED).verdict
    for _ in range(pairs)
  ]


@pytest.mark.parametrize('n', [180, 1800])
@pytest.mark.parametrize('shared', [0.0, 0.7])
def test_equal_models_are_called_different_in_no_more_than_five_of_a_hundred(n, shared):
  found = verdicts(n, 0.93, 0.93, shared, EQUAL_PAIRS)
  # What a share of 5 % comes to in 99 of 100 simulations.
  limit = scipy.stats.binom.ppf(0.99, EQUAL_PAIRS, 0.05)
  assert 0 < sum(word in ('better', 'worse') for word in found) <= limit


@pytest.mark.parametrize(
  ('n', 'drop', 'least'), [(180, 0.10, 95), (1800, 0.03, 90)], ids=['10 points', '3 points']
)
@pytest.mark.parametrize('shared', [0.0, 0.7])
def test_a_model_that_is_worse_is_not_blessed(n, drop, least, shared):
  found = verdicts(n, 0.95 - drop, 0.95, shared)
  assert sum(word in ('worse', 'undecided') for word in found) >= least


@pytest.mark.parametrize(('n', 'drop', 'least'), [(180, 0.10, 95), (1800, 0.03, 90)])
def test_it_is_called_worse_where_both_find_the_same_images_hard(n, drop, least):
  assert verdicts(n, 0.95 - drop, 0.95, 0.7).count('worse') >= least


def right(n: int, wrong: int) -> np.ndarray:
  return np.arange(n) >= wrong


def test_the_same_answers_are_the_same_and_no_proof_of_it_on_few_images():
  found = comparison.compare(right(50, 5), right(50, 5), None, ACCEPTED)
  assert (found.verdict, found.p, found.difference) == ('same', 1.0, 0.0)
  low, high = found.interval
  assert low == -high < -0.03  # two models that agree on 50 images may differ on the next
  assert found.detectable > 0.1


def test_p_is_that_of_a_fair_coin():
  first, second = np.array([True] * 9 + [False] * 2), np.array([False] * 9 + [True] * 2)
  found = comparison.compare(first, second, None, ACCEPTED)
  assert found.p == pytest.approx(scipy.stats.binomtest(9, 11).pvalue)
  assert (found.only_first, found.only_second) == (9, 2)


def test_a_drop_that_chance_explains_is_undecided_and_a_small_one_the_same():
  first, second = right(100, 12), right(100, 9)
  assert comparison.compare(first, second, None, 0.01).verdict == 'undecided'
  assert comparison.compare(first, second, None, 0.03).verdict == 'same'


def test_a_proven_drop_that_is_smaller_than_what_is_accepted_is_the_same():
  first, second = right(100_000, 5300), right(100_000, 5000)
  found = comparison.compare(first, second, None, 0.01)
  assert found.p < 1e-6
  assert found.verdict == 'same'
  assert comparison.compare(first, second, None, 0.001).verdict == 'worse'


def test_images_of_one_cluster_count_once():
  # Twenty images of one cluster, all of them won: that is one win.
  first, second = np.ones(60, bool), right(60, 20)
  alone = comparison.compare(first, second, None, ACCEPTED)
  clustered = comparison.compare(first, second, ['crate'] * 20 + [''] * 40, ACCEPTED)
  assert alone.verdict == 'better'
  assert clustered.verdict == 'same'
  assert clustered.groups == 41
  assert clustered.p == 1.0
  assert clustered.detectable is None or clustered.detectable > alone.detectable


def test_flipped_signs_of_single_images_are_mcnemars_test():
  for up, down in ((7, 1), (6, 6), (3, 0)):
    sums = np.array([1] * up + [-1] * down + [0] * 30)
    assert comparison.flipped(sums) == pytest.approx(comparison.mcnemar(up, down))
  many = comparison.flipped(np.array([1] * 30 + [-1] * 12))
  assert many == pytest.approx(comparison.mcnemar(30, 12), abs=0.004)


def test_clusters_drawn_at_random_are_called_different_at_most_five_times_in_a_hundred():
  draw = np.random.default_rng(1)
  names = [f'crate {number // 6}' for number in range(180)]
  different = 0
  for _ in range(PAIRS):
    # A whole crate is right or wrong.
    first, second = (np.repeat(draw.uniform(size=30) < 0.85, 6) for _ in range(2))
    found = comparison.compare(first, second, names, ACCEPTED)
    different += found.verdict in ('better', 'worse')
  assert different <= 5


def test_the_interval_holds_the_difference_in_95_of_100():
  draw = np.random.default_rng(0)
  held = 0
  for _ in range(400):
    found = comparison.compare(*pair(draw, 180, 0.85, 0.95, 0.5), None, ACCEPTED)
    low, high = found.interval
    held += low <= -0.10 <= high
  assert 370 <= held <= 396


def test_what_is_detectable_is_detected_four_times_of_five():
  n, apart = 1800, 0.05
  difference = comparison.detectable(n, apart)
  draw = np.random.default_rng(0)
  shown = 0
  for _ in range(400):
    up, down, _ = draw.multinomial(
      n, [(apart - difference) / 2, (apart + difference) / 2, 1 - apart]
    )
    shown += comparison.mcnemar(up, down) < 0.05
  assert 0.74 < shown / 400 < 0.86
  assert comparison.detectable(5, 0.5) is None


def test_a_slice_that_is_worse_is_named_and_chance_on_many_slices_is_not():
  draw = np.random.default_rng(0)
  n = 2000
  first, second = pair(draw, n, 0.9, 0.9, 0.5)
  dark = np.arange(n) < 200
  first[dark], second[dark] = draw.uniform(size=200) < 0.7, True
  slices = {f'column/shop={name}': np.arange(n) % 20 == name for name in range(20)}
  worse = comparison.worse_slices(first, second, None, slices | {'bucket/brightness=dark': dark})
  assert list(worse) == ['bucket/brightness=dark']


def test_without_images_there_is_no_comparison():
  with pytest.raises(ValueError, match='at least one image'):
    comparison.compare(np.array([], bool), np.array([], bool), None, ACCEPTED)
