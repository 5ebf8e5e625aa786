"""Which classes were seen under which condition: class by value of a slice column."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from components.audit.dataset import Images

MISSING = 'missing'
BLANK = '(blank)'
_VALUES = 30
# Values a class from which on they can be a finer label: groceries have 28 for 19.
_FINER = 1.4


class Coverage(NamedTuple):
  """One slice column.

  Attributes:
    column: its name.
    values: the distinct values, most frequent first; at most 30 of them.
    left_out: how many further values there are.
    counts: {class: {value: images}}; a pair without images is not in it.
    nested: a finer label: every value belongs to one class alone, every class has
      several or one that bears its name, and there are clearly more values than
      classes. Then an empty cell is no gap.
    confounded: every value belongs to one class alone, and it is no finer label: a
      model can tell the class from what goes with the value, a camera for example.
    missing: the (class, value) pairs without an image; empty where nested.
  """

  column: str
  values: list[str]
  left_out: int
  counts: dict[str, dict[str, int]]
  nested: bool
  confounded: bool
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
  split_up = len(cells) == len(totals) and len(totals) > 1 and len(images.classes) > 1
  nested = split_up and _is_finer_label(cells)
  missing = [
    (label, value) for label in images.classes for value in shown if value not in counts[label]
  ]
  return Coverage(
    column,
    shown,
    len(values) - len(shown),
    counts,
    nested,
    split_up and not nested,
    [] if nested else missing,
  )


def _is_finer_label(cells: Iterable[tuple[str, str]]) -> bool:
  """Says whether values that belong to one class each are kinds of the classes.

  Args:
    cells: the (class, value) pairs that have images.
  """
  values_of: dict[str, list[str]] = {}
  for label, value in cells:
    values_of.setdefault(label, []).append(value)
  count = sum(map(len, values_of.values()))
  return count >= _FINER * len(values_of) and all(
    len(values) > 1 or label.casefold() in values[0].casefold()
    for label, values in values_of.items()
  )
