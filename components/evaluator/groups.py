"""Whether a model serves some people, sites or devices worse than others."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluator import metrics

HOLDS, OVER, TOO_SMALL, SHOWN = 'holds', 'over its limit', 'too small to judge', 'shown'
# A group of fewer images is listed, and not compared.
LEAST = 10
_SIGNIFICANT = 0.05
_DRAWS = 5000


def gaps(right: np.ndarray, groups: Mapping[str, Sequence[str]], limit: float | None) -> list[dict]:
  """Measures the gap in accuracy between the best and the worst group of each column.

  Args:
    right: bool [N], whether each image is right.
    groups: by column, the group of each of the N images.
    limit: of the gap, 0 to 1; None asks for nothing.

  Returns:
    A row a column: `column`; `gap` and its 95 % `interval` (Newcombe, 1998, method 10, of
    two independent proportions), `p` of a permutation of the images among the groups (the
    largest gap of several is large by chance), `worst` and `best` (value, n, accuracy),
    `left_out` (groups of fewer than 10 images), `limit` and `status`. gap is None where no
    two groups can be compared. Over its limit is a gap that is above it, with p < 0.05.
  """
  return [_gap(right, column, np.array(values), limit) for column, values in groups.items()]


def _gap(right: np.ndarray, column: str, values: np.ndarray, limit: float | None) -> dict:
  names, places, counts = np.unique(values, return_inverse=True, return_counts=True)
  large = np.flatnonzero(counts >= LEAST)
  row: dict[str, Any] = {
    'column': column,
    'gap': None,
    'interval': None,
    'p': None,
    'worst': None,
    'best': None,
    'left_out': [str(names[place]) for place in np.flatnonzero(counts < LEAST)],
    'limit': limit,
    'status': SHOWN if limit is None else TOO_SMALL,
  }
  if len(large) < 2:
    return row
  inside = np.isin(places, large)
  hits, of = right[inside].astype(np.float64), places[inside]
  shares = np.bincount(of, hits, len(names))[large] / counts[large]
  worst, best = large[shares.argmin()], large[shares.argmax()]
  row |= {
    'gap': float(shares.max() - shares.min()),
    'interval': list(newcombe(*_correct(right, places, best), *_correct(right, places, worst))),
    'p': _permuted(hits, of, large, counts),
    'worst': _group(right, places, names, worst),
    'best': _group(right, places, names, best),
  }
  if limit is not None:
    row['status'] = OVER if row['gap'] > limit and row['p'] < _SIGNIFICANT else HOLDS
  return row


def newcombe(correct: int, total: int, other_correct: int, other_total: int) -> tuple[float, float]:
  """Returns the 95 % interval of a difference of two independent proportions."""
  first, second = correct / total, other_correct / other_total
  (low, high), (other_low, other_high) = (
    metrics.interval(correct, total),
    metrics.interval(other_correct, other_total),
  )
  difference = first - second
  return (
    difference - math.hypot(first - low, other_high - second),
    difference + math.hypot(high - first, second - other_low),
  )


def refusals(found: Sequence[dict]) -> list[str]:
  """Returns a sentence for each gap that is over its limit."""
  return [
    f'{row["column"]}: accuracy is {row["gap"]:.4f} lower on {row["worst"]["value"]} '
    f'({row["worst"]["accuracy"]["value"]:.4f}, n {row["worst"]["accuracy"]["n"]}) than on '
    f'{row["best"]["value"]} (p {row["p"]:.2g}); at most {row["limit"]:.4f} is accepted '
    '(evaluate.max_group_gap). Give train more images of the worse group.'
    for row in found
    if row['status'] == OVER
  ]


def _correct(right: np.ndarray, places: np.ndarray, group: int) -> tuple[int, int]:
  inside = right[places == group]
  return int(inside.sum()), len(inside)


def _group(right: np.ndarray, places: np.ndarray, names: np.ndarray, group: int) -> dict:
  return {
    'value': str(names[group]),
    'accuracy': metrics.proportion(*_correct(right, places, group)),
  }


def _permuted(hits: np.ndarray, of: np.ndarray, large: np.ndarray, counts: np.ndarray) -> float:
  """Returns how often images dealt to the groups by chance have as large a gap."""
  draw = np.random.default_rng(0)

  def gap(dealt: np.ndarray) -> float:
    shares = np.bincount(of, dealt, len(counts))[large] / counts[large]
    return float(shares.max() - shares.min())

  found = gap(hits) - 1e-12
  extreme = sum(gap(draw.permutation(hits)) >= found for _ in range(_DRAWS))
  return (extreme + 1) / (_DRAWS + 1)
