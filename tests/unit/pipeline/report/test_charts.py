"""Where lines and dots stand."""

import pytest

from pipeline.report import charts


def test_a_curve_runs_from_edge_to_edge_and_the_higher_value_is_higher_up():
  rows = [
    {'stage': 'head', 'loss': '2.0', 'val_loss': '', 'accuracy': ''},
    {'stage': 'head', 'loss': '1.0', 'val_loss': 'nan', 'accuracy': ''},
    {'stage': 'all', 'loss': '0.0', 'val_loss': '1.0', 'accuracy': ''},
  ]
  (loss,) = charts.curves(rows)  # of the accuracy there is no value
  train, val = loss.lines
  points = [tuple(map(float, point.split(','))) for point in train.points.split()]
  assert [x for x, _ in points] == pytest.approx([44, 216, 388])
  # 0 to 2 with a twentieth of room on either side, in 182 units below 14.
  assert [y for _, y in points] == pytest.approx(
    [14 + 182 * (1 - (value + 0.1) / 2.2) for value in (2, 1, 0)], abs=0.06
  )
  assert val.points == '388.0,105.0' and val.last == '1'
  assert [(tick.at, tick.text) for tick in loss.stages] == [(44, 'head'), (388, 'all')]
  assert [tick.text for tick in loss.up] == ['0.00', '0.67', '1.33', '2.00']


def test_one_epoch_and_one_value_still_make_a_chart():
  (loss,) = charts.curves([{'stage': 'a', 'loss': '1', 'val_loss': '1'}])
  assert [line.points for line in loss.lines] == ['216.0,105.0', '216.0,105.0']
  # A line of one point is not seen; its end is.
  assert [line.end for line in loss.lines] == [(216.0, 105.0), (216.0, 105.0)]
  assert charts.curves([]) == []


def test_the_area_of_a_dot_is_as_its_answers():
  bins = [
    {'n': 100, 'confidence': 0.9, 'accuracy': 1.0},
    {'n': 25, 'confidence': 0.5, 'accuracy': 0.5},
    {'n': 0, 'confidence': 0.0, 'accuracy': 0.0},
  ]
  most, fewer = charts.reliability(bins)
  assert (most.x, most.y) == pytest.approx((44 + 0.9 * 344, 14))
  assert (fewer.x, fewer.y) == pytest.approx((216, 105))
  assert most.radius / fewer.radius == pytest.approx(2)
  assert fewer.text == '25 answers of 50% on average: 50% right'
