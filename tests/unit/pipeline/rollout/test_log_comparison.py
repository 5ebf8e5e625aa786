"""A change of traffic is told from chance."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from pipeline.rollout import log_comparison
from schemas.errors import DataError


def table(counts, probabilities=None, version='1', seed=0):
  labels = [label for label, count in counts.items() for _ in range(count)]
  drawn = np.random.default_rng(seed).beta(9, 2, len(labels))
  return pd.DataFrame(
    {
      'predicted': labels,
      'probability': drawn if probabilities is None else probabilities,
      'version': version,
    }
  )


def test_a_class_that_goes_from_30_to_80_percent_is_found():
  found = log_comparison.compare(
    table({'apple': 30, 'pear': 70}), table({'apple': 80, 'pear': 20}, seed=1)
  )
  shares = {one.label: one for one in found.classes}
  assert (shares['apple'].first, shares['apple'].second) == (30, 80)
  expected = scipy.stats.fisher_exact([[30, 70], [80, 20]]).pvalue
  assert shares['apple'].p == pytest.approx(expected)
  assert shares['apple'].changed and found.changed
  assert not found.confidence_changed


def test_a_class_that_was_not_there_before_is_found_and_comes_first():
  found = log_comparison.compare(
    table({'apple': 500, 'pear': 500}), table({'apple': 480, 'pear': 470, 'plum': 50}, seed=1)
  )
  assert [(one.label, one.changed) for one in found.classes][0] == ('plum', True)
  assert [one.changed for one in found.classes[1:]] == [False, False]


def test_other_confidence_is_found_where_the_shares_are_the_same():
  rng = np.random.default_rng(3)
  found = log_comparison.compare(
    table({'a': 200, 'b': 200}, rng.beta(9, 2, 400)),
    table({'a': 200, 'b': 200}, rng.beta(5, 3, 400), version='2'),
  )
  assert found.confidence_changed and not any(one.changed for one in found.classes)
  assert found.versions == (('1',), ('2',))
  assert found.medians[0] > found.medians[1]


def test_two_halves_of_one_traffic_are_seldom_called_different():
  rng = np.random.default_rng(5)
  alarms = 0
  for _ in range(60):
    logs = [
      table(
        dict(zip('abcdefghij', rng.multinomial(150, [0.1] * 10), strict=True)),
        rng.beta(9, 2, 150),
      )
      for _ in range(2)
    ]
    alarms += log_comparison.compare(*logs).changed
  # One per cent of 60 is 0.6; five or more would happen once in two thousand times.
  assert alarms < 5


def test_a_log_without_classes_is_an_error():
  with pytest.raises(DataError, match='The second log: expected answers'):
    log_comparison.compare(table({'a': 1}), pd.DataFrame({'version': ['1']}))
