"""Which slices hold, which do not, and which are too small to say."""

import pytest

from components.evaluator import metrics, slice_floors


def _slice(correct: int, total: int, key: str = 'label') -> dict:
  return {'key': key, 'value': 'cat', 'accuracy': metrics.proportion(correct, total)}


@pytest.mark.parametrize(
  ('correct', 'total', 'status'),
  [
    # By the formula of Wilson, n right of n have the lower end n / (n + 3.8415): for 0.9
    # that takes 35 images.
    (35, 35, 'holds'),
    (34, 34, 'too small to judge'),
    (30, 34, 'too small to judge'),
    (40, 50, 'under its floor'),
    # However few: 2 of 10 have the upper end 0.51.
    (2, 10, 'under its floor'),
    (45, 50, 'holds'),
    (1, 1, 'too small to judge'),
  ],
)
def test_a_floor_binds_where_the_slice_could_show_it(correct, total, status):
  (row,) = slice_floors.judge([_slice(correct, total)], {'label': 0.9})
  assert (row['status'], row['floor']) == (status, 0.9)
  said = slice_floors.refusals([row], {'label': 0.9})
  assert bool(said) == (status == 'under its floor')


def test_a_refusal_says_slice_value_n_interval_and_limit():
  judged = slice_floors.judge([_slice(40, 50)], {'label': 0.9})
  low, high = metrics.interval(40, 50)
  assert slice_floors.refusals(judged, {'label': 0.9}) == [
    f'accuracy on label=cat is 0.8000 (n 50, 95 % interval {low:.4f} to {high:.4f}); at least '
    '0.9000 is asked for (evaluate.slice_floors).'
  ]


def test_without_a_floor_a_slice_is_shown_and_a_floor_without_an_image_refuses():
  judged = slice_floors.judge([_slice(0, 9)], {'column/site': 0.5})
  assert judged[0]['status'] == 'shown' and judged[0]['floor'] is None
  assert slice_floors.refusals(judged, {'column/site': 0.5}) == [
    'No test image is in the slice column/site, so its floor cannot be judged '
    '(evaluate.slice_floors).'
  ]
