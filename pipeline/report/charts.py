"""Charts as geometry: where each line, dot and word of an inline SVG stands."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Of the drawing, in its own units: on a phone a unit is nearly a pixel.
WIDTH, HEIGHT = 400.0, 230.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 14.0, 34.0
_TICKS = 4
_LARGEST_DOT = 13.0
_SMALLEST_DOT = 3.0


class Tick(NamedTuple):
  """A mark on an axis: where, and what stands there."""

  at: float
  text: str


class Line(NamedTuple):
  """One series: its name, `points` of a polyline, where it ends, and its last value as text."""

  name: str
  points: str
  end: tuple[float, float]
  last: str


class Lines(NamedTuple):
  """A chart of series over epochs; `stages` are where one begins."""

  title: str
  lines: list[Line]
  across: list[Tick]
  up: list[Tick]
  stages: list[Tick]


class Dot(NamedTuple):
  """A dot, its radius, and what it stands for in words."""

  x: float
  y: float
  radius: float
  text: str


def curves(rows: Sequence[Mapping[str, str]]) -> list[Lines]:
  """Returns a chart of the loss and one of the accuracy.

  Args:
    rows: of curves.csv, an epoch each, in order.
  """
  begins = [
    (number, row['stage'])
    for number, row in enumerate(rows)
    if number == 0 or row['stage'] != rows[number - 1]['stage']
  ]
  charts = []
  for title, columns in (
    ('Loss', {'train': 'loss', 'val': 'val_loss'}),
    ('Accuracy', {'train': 'accuracy', 'val': 'val_accuracy'}),
  ):
    series = {name: [_number(row.get(column)) for row in rows] for name, column in columns.items()}
    known = [value for values in series.values() for value in values if value is not None]
    if known:
      charts.append(_lines(title, series, (min(known), max(known)), begins))
  return charts


def _lines(
  title: str,
  series: Mapping[str, Sequence[float | None]],
  ends: tuple[float, float],
  begins: Sequence[tuple[int, str]],
) -> Lines:
  low, high = ends
  room = (high - low) * 0.05 or 0.5
  low, high = low - room, high + room
  epochs = max(len(values) for values in series.values())
  lines = []
  for name, values in series.items():
    points = [(_x(n, epochs), _y(v, low, high), v) for n, v in enumerate(values) if v is not None]
    if points:
      drawn = ' '.join(f'{x:.1f},{y:.1f}' for x, y, _ in points)
      x, y, value = points[-1]
      lines.append(Line(name, drawn, (x, y), f'{value:.4g}'))
  step = max(1, math.ceil(epochs / 8))
  return Lines(
    title,
    lines,
    [Tick(_x(n, epochs), str(n + 1)) for n in range(0, epochs, step)],
    [Tick(_y(value, low, high), f'{value:.2f}') for value in _spread(*ends)],
    [Tick(_x(n, epochs), name) for n, name in begins],
  )


def reliability(bins: Sequence[Mapping[str, float]]) -> list[Dot]:
  """Returns a dot for each bin of answers: how sure they are, and how often right.

  Args:
    bins: n, confidence and accuracy of each; the area of a dot is as its n.
  """
  most = max((row['n'] for row in bins), default=1)
  return [
    Dot(
      *place(row['confidence'], row['accuracy']),
      max(_SMALLEST_DOT, _LARGEST_DOT * math.sqrt(row['n'] / most)),
      f'{row["n"]} answers of {row["confidence"]:.0%} on average: {row["accuracy"]:.0%} right',
    )
    for row in bins
    if row['n']
  ]


def place(across: float, up: float) -> tuple[float, float]:
  """Returns where two proportions stand in a chart of both."""
  return LEFT + across * (WIDTH - LEFT - RIGHT), _y(up, 0.0, 1.0)


def _x(number: int, count: int) -> float:
  return LEFT + (number / (count - 1) if count > 1 else 0.5) * (WIDTH - LEFT - RIGHT)


def _y(value: float, low: float, high: float) -> float:
  return TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM)


def _spread(low: float, high: float) -> list[float]:
  if low == high:
    return [low]
  return [low + (high - low) * number / (_TICKS - 1) for number in range(_TICKS)]


def _number(text: str | None) -> float | None:
  try:
    value = float(text or '')
  except ValueError:
    return None
  return value if math.isfinite(value) else None
