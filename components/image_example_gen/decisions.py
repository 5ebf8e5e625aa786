"""decisions.csv: what a reviewer decided about single files.

A CSV beside the manifest with the columns filename, decision, value and note:

  keep     the image is right as it is: it is not proposed again.
  drop     it is not used; this does not count as a bad row.
  relabel  its label is `value`.
  group    it stands in one split with all others of the group `value`.
"""

import csv
import pathlib
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from components.image_example_gen import quarantine
from components.image_example_gen.rows import Row
from schemas.errors import DataError

FILENAME, DECISION, VALUE, NOTE = COLUMNS = ('filename', 'decision', 'value', 'note')
KEEP, DROP, RELABEL, GROUP = DECISIONS = ('keep', 'drop', 'relabel', 'group')
_WITH_VALUE = {RELABEL: 'the label', GROUP: 'the name of the group'}
# Between the decisions of one file, in Row.decision.
SEPARATOR = '+'


class Decided(NamedTuple):
  """A line of decisions.csv.

  Attributes:
    line: its number.
    value: a label or the name of a group.
    note: for a person.
  """

  line: int
  value: str
  note: str


# What was decided about each file: {filename: {decision: Decided}}.
Decisions = dict[str, dict[str, Decided]]


def read(path: pathlib.Path) -> Decisions:
  """Reads the decisions; all of them: people make fewer than fill a memory.

  Raises:
    DataError: a line is no decision, or contradicts another.
  """
  found: Decisions = {}
  try:
    with open(path, encoding='utf-8-sig', newline='') as stream:
      reader = csv.reader(stream, strict=True)
      header = [name.strip() for name in next(reader, [])]
      if not {FILENAME, DECISION} <= set(header) <= set(COLUMNS) or len(set(header)) < len(header):
        raise _wrong(path, 1, f'the columns {", ".join(COLUMNS)}', ','.join(header))
      for cells in reader:
        if any(cell.strip() for cell in cells):
          if len(cells) != len(header):
            raise _wrong(path, reader.line_num, f'{len(header)} values', ','.join(cells))
          _add(found, path, reader.line_num, dict(zip(header, cells, strict=True)))
  except (OSError, csv.Error, UnicodeDecodeError) as error:
    raise DataError(
      f'{path}: expected comma-separated values in UTF-8. Received: {error}. '
      'Save the file as CSV UTF-8.'
    ) from error
  return found


def apply(path: pathlib.Path, rows: Iterable[Row]) -> Iterator[Row]:
  """Yields the rows as decided.

  Raises:
    DataError: the file cannot be read.
  """
  found = read(path)
  for row in rows:
    key = _key(row.filename)
    yield _decided(row, found[key]) if key in found else row


def unknown(path: pathlib.Path, filenames: Iterable[str]) -> list[str]:
  """Returns the files that are decided about but in no row, as they come in the decisions.

  No fault: the file may be of another span, or no longer in the manifest.

  Args:
    path: of the decisions.
    filenames: of all rows.

  Raises:
    DataError: the decisions cannot be read.
  """
  left = dict.fromkeys(read(path))
  for filename in filenames:
    left.pop(_key(filename), None)
  return list(left)


def _add(found: Decisions, path: pathlib.Path, line: int, cells: dict[str, str]) -> None:
  decision = cells[DECISION].strip().lower()
  value = cells.get(VALUE, '').strip()
  if not cells[FILENAME].strip():
    raise _wrong(path, line, 'a filename', 'a blank')
  if decision not in DECISIONS:
    raise _wrong(path, line, f'one of {", ".join(DECISIONS)}', cells[DECISION])
  if decision in _WITH_VALUE and not value:
    raise _wrong(path, line, f'{_WITH_VALUE[decision]} as value of {decision}', 'a blank')
  others = found.setdefault(_key(cells[FILENAME]), {})
  decided = Decided(line, value, cells.get(NOTE, '').strip())
  against = next(
    (
      (other, known.line)
      for other, known in others.items()
      if (DROP in (other, decision) and other != decision)
      or (other == decision and decision in _WITH_VALUE and known.value != value)
    ),
    None,
  )
  if against:
    raise DataError(
      f'{path.name} line {line}: expected no contradiction. Received: {decision} {value}'.rstrip()
      + f' for {cells[FILENAME]!r}, for which line {against[1]} says {against[0]} '
      f'{others[against[0]].value}'.rstrip()
      + '. Remove one of the two lines.'
    )
  others.setdefault(decision, decided)


def _decided(row: Row, decided: dict[str, Decided]) -> Row:
  row = row._replace(decision=SEPARATOR.join(name for name in DECISIONS if name in decided))
  if DROP in decided:
    note = decided[DROP].note or 'no note'
    return row._replace(
      reason=quarantine.DROPPED,
      detail=f'decided in line {decided[DROP].line} of the decisions: {note}',
    )
  if RELABEL in decided:
    row = row._replace(label=decided[RELABEL].value)
  if GROUP in decided:
    row = row._replace(group=decided[GROUP].value)
  return row


def _key(filename: str) -> str:
  # One name may be written in two ways, as macOS and others do.
  return unicodedata.normalize('NFC', filename)


def _wrong(path: pathlib.Path, line: int, expected: str, received: str) -> DataError:
  return DataError(
    f'{path.name} line {line}: expected {expected}. Received: {received!r}. Mend the line.'
  )
