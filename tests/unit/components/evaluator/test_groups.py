"""The gap between groups, against published figures and planted differences."""

import numpy as np
import pytest

from components.evaluator import groups


def test_the_interval_is_that_of_newcombe():
  # Newcombe (1998), table II, contrast (a), method 10: 56/70 - 48/80.
  assert groups.newcombe(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def _right(*shares):
  return np.concatenate([np.arange(n) < correct for correct, n in shares])


def test_best_and_worst_group_are_named_and_a_real_gap_is_refused():
  right = _right((95, 100), (60, 100), (80, 100), (1, 5))
  values = ['a'] * 100 + ['b'] * 100 + ['c'] * 100 + ['few'] * 5
  (row,) = groups.gaps(right, {'column/site': values}, 0.1)
  assert row['gap'] == pytest.approx(0.35)
  assert (row['best']['value'], row['worst']['value']) == ('a', 'b')
  assert row['worst']['accuracy']['n'] == 100
  assert row['left_out'] == ['few']
  assert row['p'] < 0.001 and row['status'] == 'over its limit'
  (sentence,) = groups.refusals([row])
  assert '0.3500 lower on b (0.6000, n 100) than on a' in sentence
  assert groups.gaps(right, {'column/site': values}, 0.4)[0]['status'] == 'holds'
  assert groups.gaps(right, {'column/site': values}, None)[0]['status'] == 'shown'


def test_a_gap_that_chance_makes_is_not_refused():
  # Ten groups of 12 images: the largest gap between ten equal groups is large.
  draw = np.random.default_rng(1)
  refused = 0
  for _ in range(20):
    right = draw.random(120) < 0.7
    (row,) = groups.gaps(right, {'x': np.repeat(np.arange(10), 12).astype(str)}, 0.05)
    assert row['gap'] > 0.05
    refused += row['status'] == 'over its limit'
  # 1 of 20 is expected; more than 4 of 20 are so at one of 400 such tests.
  assert refused <= 4


def test_two_groups_are_needed():
  (row,) = groups.gaps(_right((9, 20)), {'x': ['one'] * 20}, 0.1)
  assert row['gap'] is None and row['status'] == 'too small to judge'
  assert groups.refusals([row]) == []
