"""Bars that slices have to reach, and which of them are too small to judge."""

from collections.abc import Iterable, Mapping, Sequence

from components.evaluator import metrics

SHOWN = 'shown'
HOLDS = 'holds'
UNDER = 'under its floor'
TOO_SMALL = 'too small to judge'


def judge(slices: Iterable[dict], floors: Mapping[str, float]) -> list[dict]:
  """Returns the slices, each with `floor` (or None) and `status`.

  A slice is too small to judge where even n right images of n would not show the floor: the
  lower end of their 95 % interval lies below it. It neither passes nor fails then, unless it
  is so bad that even the upper end of its own interval lies below the floor.

  Args:
    slices: `key`, `value` and `accuracy` (value, n, interval) of each.
    floors: least accuracy by key.
  """
  return [
    {**row, 'floor': floors.get(row['key']), 'status': _status(row['accuracy'], floors, row['key'])}
    for row in slices
  ]


def _status(accuracy: dict, floors: Mapping[str, float], key: str) -> str:
  floor = floors.get(key)
  if floor is None:
    return SHOWN
  if accuracy['interval'][1] < floor:
    return UNDER
  if metrics.interval(accuracy['n'], accuracy['n'])[0] < floor:
    return TOO_SMALL
  return HOLDS if accuracy['value'] >= floor else UNDER


def refusals(judged: Sequence[dict], floors: Mapping[str, float]) -> list[str]:
  """Returns a sentence for each slice under its floor, and for each floor without an image.

  Args:
    judged: of `judge`.
    floors: as there.
  """
  there = {row['key'] for row in judged}
  return [
    f'accuracy on {row["key"]}={row["value"]} is {row["accuracy"]["value"]:.4f} '
    f'(n {row["accuracy"]["n"]}, 95 % interval {row["accuracy"]["interval"][0]:.4f} to '
    f'{row["accuracy"]["interval"][1]:.4f}); at least {row["floor"]:.4f} is asked for '
    '(evaluate.slice_floors).'
    for row in judged
    if row['status'] == UNDER
  ] + [
    f'No test image is in the slice {key}, so its floor cannot be judged (evaluate.slice_floors).'
    for key in floors
    if key not in there
  ]
