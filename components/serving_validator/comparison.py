"""Whether a version is slower or larger than the one in service, beyond what chance does.

Times of both come from one process that asked them by turns, where the export in service
was there. The ratio of two percentiles then has an interval, by a bootstrap over the
rounds that keeps the two of a round together. Without that export the record of its own
validation is all there is, and times of two occasions are shown and not judged.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from components.serving_validator import stages

SIDE_BY_SIDE, RECORD = 'side by side', 'record'
OVER, WORSE, BETTER, SAME, UNJUDGED = (
  'over the limit',
  'worse',
  'better',
  'about the same',
  'not judged',
)
_PERCENTILES = {'p50': 50, 'p95': 95, 'p99': 99}
_DRAWS = 1000
# 99 %: some ten rows are looked at, and the worst of them decides.
_ENDS = (0.5, 99.5)
# Two loads of one export differ by this much or less; see docs/decisions/0018.
_MARGIN = 1.1
# A stage below this is a difference of two timers: as long as this one, for a ratio.
_SHORTEST_MS = 0.1
_DISK, _RSS = 'disk', 'memory'


@dataclasses.dataclass(frozen=True)
class Row:
  """One figure of both versions.

  Attributes:
    name: a percentile of the whole call, a stage, disk or memory.
    unit: ms or MB.
    value: of the new version; None where it was not measured.
    baseline: of the version in service.
    ratio: of the two; None where one is missing. Stages count as at least 0.1 ms.
    interval: of the ratio, 99 %; None where there is none.
    outcome: one of the words above.
  """

  name: str
  unit: str
  value: float | None
  baseline: float | None
  ratio: float | None
  interval: tuple[float, float] | None
  outcome: str


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A new version against the one in service.

  Attributes:
    how: side by side, or against the record.
    rounds: of the times side by side; 0 without.
    limit: serving_validator.max_slowdown; None where nothing is asked.
    rows: of all figures.
    remarks: sentences: what is not comparable, and why.
    baseline: what is known of the version in service: its weights, and its machine.
  """

  how: str
  rounds: int
  limit: float | None
  rows: tuple[Row, ...]
  remarks: tuple[str, ...]
  baseline: Mapping[str, Any]

  @property
  def over(self) -> tuple[Row, ...]:
    return tuple(row for row in self.rows if row.outcome == OVER)

  @property
  def largest(self) -> float:
    """The ratio that is sure of the row that got worst, 0 where none is judged."""
    sure = [_ends(row)[0] for row in self.rows if row.outcome != UNJUDGED]
    return max(sure, default=0.0)


@dataclasses.dataclass(frozen=True)
class Side:
  """What is known of one version.

  Attributes:
    times: percentiles in ms by name.
    stages: medians in ms by name.
    disk_mb, rss_mb: 10^6 bytes.
    machine: as machine.describe has it; None where it was not recorded.
    stage_code: fingerprint of the code that the stages were timed by.
    weights_sha256: of the export.
  """

  times: Mapping[str, float | None]
  stages: Mapping[str, float | None]
  disk_mb: float | None
  rss_mb: float | None
  machine: Mapping[str, Any] | None
  stage_code: str | None
  weights_sha256: str = ''


def of_record(report: Mapping[str, Any]) -> Side:
  """Reads what a validation wrote down, an older one with gaps."""
  gates = {gate['gate']: gate['value'] for gate in report.get('gates') or ()}
  figures, timed = report.get('figures') or {}, report.get('stages') or {}
  times = {'p50': figures.get('p50_ms'), 'p95': gates.get('p95_ms'), 'p99': figures.get('p99_ms')}
  return Side(
    times,
    timed.get('median_ms') or {},
    gates.get('disk_mb'),
    gates.get('rss_mb'),
    report.get('machine'),
    timed.get('code'),
    str(report.get('weights_sha256') or ''),
  )


def side_by_side(
  new: Side, old: Side, rounds: tuple[np.ndarray, np.ndarray], limit: float | None
) -> Comparison:
  """Compares two versions that were timed by turns.

  Args:
    new: what is known of the new one; times and stages are taken from the rounds.
    old: of the one in service.
    rounds: of the new one and the old one, float64 [R, stages.MEASURED] in ms each.
    limit: the largest ratio that passes; None to show only.
  """
  same_code = new.stage_code == old.stage_code
  rows = [*_percentiles(rounds, limit), *_stages(rounds, limit, same_code)]
  remarks = [] if same_code else [_OTHER_CODE]
  return _finish(SIDE_BY_SIDE, len(rounds[0]), new, old, limit, rows, remarks)


def with_record(new: Side, old: Side, limit: float | None, why: str) -> Comparison:
  """Compares with what was written down when the version in service was validated.

  Args:
    new: what is known of the new one.
    old: of the one in service.
    limit: the largest ratio that passes; None to show only.
    why: there was nothing better, a sentence.
  """
  rows = [_row(name, 'ms', new.times.get(name), old.times.get(name)) for name in _PERCENTILES]
  for name in stages.NAMES:
    value, baseline = new.stages.get(name), old.stages.get(name)
    rows.append(_row(name, 'ms', value, baseline, floor=_SHORTEST_MS))
  remarks = [why, 'Times of two occasions are shown and not judged.']
  return _finish(RECORD, 0, new, old, limit, rows, remarks)


def read(found: Mapping[str, Any] | None) -> Comparison | None:
  """Reads what dataclasses.asdict made of a comparison, and JSON of that."""
  if not found:
    return None
  rows = tuple(
    Row(**{**row, 'interval': tuple(row['interval']) if row['interval'] else None})
    for row in found['rows']
  )
  return Comparison(**{**found, 'rows': rows, 'remarks': tuple(found['remarks'])})


def in_words(row: Row) -> str:
  """Says a row that has a ratio: both values, the ratio and its interval."""
  interval = f' ({row.interval[0]:.2f} to {row.interval[1]:.2f})' if row.interval else ''
  return (
    f'{row.name} {row.baseline:.3g} {row.unit} in service, {row.value:.3g} now: '
    f'{row.ratio:.2f} times{interval}'
  )


_OTHER_CODE = (
  'The code that decodes or decides has changed since the version in service was validated, or '
  'that was not recorded. Its stages are timed by the code of today and not judged; the whole '
  'call is its own.'
)


def _finish(
  how: str,
  rounds: int,
  new: Side,
  old: Side,
  limit: float | None,
  rows: list[Row],
  remarks: list[str],
) -> Comparison:
  disk = _row(_DISK, 'MB', new.disk_mb, old.disk_mb)
  memory = _row(_RSS, 'MB', new.rss_mb, old.rss_mb)
  rows = [*rows, _judged(disk, limit)]
  if new.machine and new.machine == old.machine:
    rows.append(_judged(memory, limit))
  else:
    rows.append(memory)
    remarks = [*remarks, _not_alike(new.machine, old.machine, how)]
  baseline = {'weights_sha256': old.weights_sha256, 'machine': old.machine}
  return Comparison(how, rounds, limit, tuple(rows), tuple(remarks), baseline)


def _not_alike(new: Mapping | None, old: Mapping | None, how: str) -> str:
  what = 'Memory is' if how == SIDE_BY_SIDE else 'Times and memory are'
  if not new or not old:
    return f'{what} not compared like for like: the machine of the record is not known.'
  differ = ', '.join(
    f'{name} {old.get(name)} then, {new.get(name)} now'
    for name in new
    if new.get(name) != old.get(name)
  )
  return f'{what} not compared like for like: {differ}.'


def _percentiles(rounds: tuple[np.ndarray, np.ndarray], limit: float | None) -> Iterator[Row]:
  wholes = [side[:, stages.WHOLE] for side in rounds]
  drawn = _draws(len(wholes[0]))
  for name, rank in _PERCENTILES.items():
    value, baseline = (float(np.percentile(whole, rank)) for whole in wholes)
    many = [np.percentile(whole[drawn], rank, axis=1) for whole in wholes]
    yield _judged(_row(name, 'ms', value, baseline, many[0] / many[1]), limit)


def _stages(
  rounds: tuple[np.ndarray, np.ndarray], limit: float | None, judged: bool
) -> Iterator[Row]:
  parts = [stages.split(side) for side in rounds]
  drawn = _draws(len(parts[0]))
  for place, name in enumerate(stages.NAMES):
    columns = [part[:, place] for part in parts]
    value, baseline = (float(np.median(column)) for column in columns)
    many = [np.maximum(np.median(column[drawn], axis=1), _SHORTEST_MS) for column in columns]
    row = _row(name, 'ms', value, baseline, many[0] / many[1], _SHORTEST_MS)
    yield _judged(row, limit) if judged else row


def _draws(rounds: int) -> np.ndarray:
  """Returns int [_DRAWS, rounds]: the same rounds of both sides, the same at each call."""
  return np.random.default_rng(0).integers(0, rounds, (_DRAWS, rounds))


def _row(
  name: str,
  unit: str,
  value: float | None,
  baseline: float | None,
  ratios: np.ndarray | None = None,
  floor: float = 0.0,
) -> Row:
  ratio = None
  if value is not None and baseline is not None and max(baseline, floor) > 0:
    ratio = max(value, floor) / max(baseline, floor)
  interval = None
  if ratios is not None:
    low, high = np.percentile(ratios, _ENDS)
    interval = (float(low), float(high))
  return Row(name, unit, value, baseline, ratio, interval, UNJUDGED)


def _judged(row: Row, limit: float | None) -> Row:
  if row.ratio is None:
    return row
  low, high = _ends(row)
  outcome = SAME
  if limit is not None and low > limit:
    outcome = OVER
  elif low > _MARGIN:
    outcome = WORSE
  elif high < 1 / _MARGIN:
    outcome = BETTER
  return dataclasses.replace(row, outcome=outcome)


def _ends(row: Row) -> tuple[float, float]:
  # What is no time has no interval: a size is what it is.
  return row.interval or (row.ratio or 0.0, row.ratio or 0.0)
