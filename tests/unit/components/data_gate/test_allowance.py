"""The formulas against simulation and against SciPy's and statsmodels' own kind of test."""

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from components.data_gate import allowance


def test_the_divergence_of_two_samples_of_one_set_is_above_it_once_in_a_hundred():
  rng = np.random.default_rng(0)
  shares = np.full(20, 1 / 20)
  n, m = 600, 400
  found = []
  for _ in range(4000):
    first = rng.multinomial(n, shares) / n
    second = rng.multinomial(m, shares) / m
    # SciPy gives the square root.
    found.append(scipy.spatial.distance.jensenshannon(first, second, base=2) ** 2)
  above = np.mean(np.array(found) > allowance.divergence(n, m))
  assert 0.004 < above < 0.018
  assert allowance.divergence(n, m) == allowance.divergence(m, n)
  assert allowance.divergence(2 * n, 2 * m) == pytest.approx(allowance.divergence(n, m) / 2)


def test_the_most_changed_class():
  # cat 50 % to 20 %, dog 30 % to 50 %, eel 20 % to 30 %.
  first = {'cat': 50, 'dog': 30, 'eel': 20}
  second = {'cat': 20, 'dog': 50, 'eel': 30}
  assert allowance.most_changed(first, second) == 'cat'
  assert allowance.most_changed({'cat': 5}, {'dog': 5}) == 'cat'


def test_a_share_by_the_two_proportion_test():
  first, second = {'cat': 60, 'dog': 40}, {'cat': 90, 'dog': 110}
  # By hand: pooled (60 + 90) / 300 = 0.5; z of 0.01 over 2 classes and 2 sides.
  z = scipy.stats.norm.isf(0.0025)
  assert allowance.share_change(first, second) == pytest.approx(
    z * np.sqrt(0.5 * 0.5 * (1 / 100 + 1 / 200))
  )


def test_shares_of_one_set_are_above_it_at_most_once_in_a_hundred():
  rng = np.random.default_rng(1)
  shares = rng.dirichlet(np.full(10, 3))
  names = [f'c{number}' for number in range(10)]
  above = 0
  for _ in range(3000):
    first = dict(zip(names, rng.multinomial(300, shares).tolist(), strict=True))
    second = dict(zip(names, rng.multinomial(300, shares).tolist(), strict=True))
    change = max(abs(first[name] - second[name]) / 300 for name in names)
    above += change > allowance.share_change(first, second)
  assert 0 < above / 3000 < 0.012
