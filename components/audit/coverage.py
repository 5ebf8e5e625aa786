"""Which classes were seen under which condition: class by value of a slice column."""

from collections import Counter
from typing import NamedTuple

from components.audit.dataset import Images

MISSING = 'missing'
BLANK = '(blank)'
_VALUES = 30


class Coverage(NamedTuple):
  """One slice column.

  Attributes:
    column: its name.
    values: the distinct values, most frequent first; at most 30 of them.
    left_out: how many further values there are.
    counts: {class: {value: images}}; a pair without images is not in it.
    nested: every value belongs to one class alone, as a finer label does: then
      an empty cell is no gap.
    missing: the (class, value) pairs without an image; empty where nested.
  """

  column: str
  values: list[str]
  left_out: int
  counts: dict[str, dict[str, int]]
  nested: bool
  missing: list[tuple[str, str]]


def tabulate(images: Images, columns: tuple[str, ...]) -> list[Coverage]:
  """Returns a table for each of the columns that the images have."""
  return [
    _tabulate(images, column, images.columns[column])
    for column in columns
    if column in images.columns
  ]


def _tabulate(images: Images, column: str, given: list[str]) -> Coverage:
  named = [value or BLANK for value in given]
  cells = Counter(zip(images.label, named, strict=True))
  totals = Counter(named)
  values = sorted(totals, key=lambda value: (-totals[value], value))
  shown = values[:_VALUES]
  counts = {
    label: {value: cells[label, value] for value in shown if cells[label, value]}
    for label in images.classes
  }
  nested = len(cells) == len(totals) and len(totals) > 1 and len(images.classes) > 1
  missing = [
    (label, value) for label in images.classes for value in shown if value not in counts[label]
  ]
  return Coverage(
    column, shown, len(values) - len(shown), counts, nested, [] if nested else missing
  )
