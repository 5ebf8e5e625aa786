"""What serving an answer took in two runs, for the list of what changed between them."""

from collections.abc import Iterator, Mapping
from typing import Any

# Two measurements of one export on a shared machine differ by as much; a stage of less
# than the milliseconds is not looked at.
_SHARE = 0.2
_LEAST = {'ms': 0.1, 'MB': 0.1}


def figures(serving: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
  """Yields name, value and unit of what gates.json holds of times, stages, disk and memory."""
  gates = {gate['gate']: gate['value'] for gate in serving.get('gates') or ()}
  found, timed = serving.get('figures') or {}, serving.get('stages') or {}
  listed = [
    ('p50', found.get('p50_ms'), 'ms'),
    ('p95', gates.get('p95_ms'), 'ms'),
    ('p99', found.get('p99_ms'), 'ms'),
    *((name, value, 'ms') for name, value in (timed.get('median_ms') or {}).items()),
    ('disk', gates.get('disk_mb'), 'MB'),
    ('memory', gates.get('rss_mb'), 'MB'),
  ]
  for name, value, unit in listed:
    if value is not None:
      yield name, value, unit


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
  """Yields what is not about the same: name with its unit, the old value, the new one.

  Args:
    old: gates.json of the first run.
    new: of the second one.
  """
  before = {name: value for name, value, _ in figures(old)}
  for name, value, unit in figures(new):
    if name not in before:
      continue
    low, high = sorted((before[name], value))
    if high - low > _LEAST[unit] and high > low * (1 + _SHARE):
      yield f'{name}, {unit}', before[name], value


def remark(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
  """Says whether the two are like for like, and what was not enough to be told."""
  machines = [side.get('machine') or {} for side in (old, new)]
  told = f'measured on two occasions; less than {_SHARE:.0%} apart is not told'
  if not all(machines):
    return f'{told}; not like for like: a machine was not recorded'
  differ = [
    f'{name} {machines[0].get(name)} and {value}'
    for name, value in machines[1].items()
    if machines[0].get(name) != value
  ]
  return f'{told}; not like for like: {", ".join(differ)}' if differ else told


def in_words(serving: Mapping[str, Any]) -> str:
  """Says the times of one image in a line; empty where nothing was measured."""
  found = {name: f'{name} {value:.2f}' for name, value, unit in figures(serving) if unit == 'ms'}
  whole = [found.pop(name) for name in ('p50', 'p95', 'p99') if name in found]
  if not whole:
    return ''
  stages = f'; of it {", ".join(found.values())}' if found else ''
  return f'{", ".join(whole)} ms{stages}'
