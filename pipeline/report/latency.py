"""Where the time of an answer goes, and how it compares with the version in service."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline import serving_difference

_KINDS = {'over the limit': 'bad', 'worse': 'warn', 'better': 'good'}


class Row(NamedTuple):
  """One figure, as text; what is not known is empty. `kind` is for the colour."""

  name: str
  value: str
  baseline: str
  ratio: str
  interval: str
  outcome: str
  kind: str


def rows(serving: Mapping[str, Any]) -> list[Row]:
  """Returns the figures of gates.json, beside those of the version in service if there is one."""
  compared = serving.get('comparison')
  if compared:
    return [_compared(row) for row in compared['rows']]
  return [
    Row(name, _figure(value, unit), *[''] * 5)
    for name, value, unit in serving_difference.figures(serving)
  ]


def lead(serving: Mapping[str, Any]) -> str:
  """Says on what machine, how often, and against what was measured; empty where nothing was."""
  machine, timed = serving.get('machine') or {}, serving.get('stages') or {}
  if not machine:
    return ''
  said = (
    f'One image a call, on {machine["cpu"] or "an unknown processor"}, {machine["cores"]} cores, '
    f'TensorFlow {machine["tensorflow"]}.'
  )
  if timed:
    said += (
      f' Stages are medians of {timed["rounds"]}; the network is the whole call less the others.'
    )
  compared = serving.get('comparison')
  if compared and compared['how'] == 'side by side':
    said += f' Both versions were asked by turns, {compared["rounds"]} times each.'
  elif compared:
    said += ' The other side is what was recorded when the version in service was validated.'
  return said


def remarks(serving: Mapping[str, Any]) -> list[str]:
  """Returns what cannot be compared, and which share is too much."""
  compared = serving.get('comparison')
  if not compared:
    return []
  limit = compared['limit']
  asked = (
    'serving_validator.max_slowdown is not set: nothing of this stops a version.'
    if limit is None
    else f'A version is refused where a ratio is above {limit:g} with its whole interval.'
  )
  return [*compared['remarks'], asked]


def _compared(row: Mapping[str, Any]) -> Row:
  low, high = row['interval'] or (None, None)
  return Row(
    row['name'],
    _figure(row['value'], row['unit']),
    _figure(row['baseline'], row['unit']),
    '' if row['ratio'] is None else f'{row["ratio"]:.2f}',
    '' if low is None else f'{low:.2f} to {high:.2f}',
    row['outcome'],
    _KINDS.get(row['outcome'], ''),
  )


def _figure(value: float | None, unit: str) -> str:
  if value is None:
    return ''
  # A stage may come out a little below nothing.
  return f'{value:.2f} {unit}' if unit == 'ms' else f'{value:.1f} {unit}'
