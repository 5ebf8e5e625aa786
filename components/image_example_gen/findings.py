"""findings.csv: what there is to know about single files, used or not."""

import csv
import pathlib
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from components.image_example_gen import quarantine

FILE_NAME = 'findings.csv'

EXACT_COPY = 'exact_copy'
NEAR_COPY = 'near_copy'
LABEL_CONFLICT = 'label_conflict'
LEAK = 'leak'
DROPPED_BY_LEAK = 'dropped_by_leak'
SIMILAR_LABELS = 'similar_labels'
# Codes of rows that were set aside because of another file.
_SET_ASIDE = {
  quarantine.DUPLICATE: EXACT_COPY,
  quarantine.LABEL_CONFLICT: LABEL_CONFLICT,
  quarantine.LEAK: DROPPED_BY_LEAK,
}
_PERSONAL = {
  'gps': 'the place where it was taken stood in its metadata, and does not reach the records.',
  'serial_number': 'the serial number of a device stood in its metadata, and does not reach the '
  'records.',
  'owner_name': 'the name of a person stood in its metadata, and does not reach the records.',
}


class FileFinding(NamedTuple):
  """A row of findings.csv.

  Attributes:
    code: what kind of finding.
    filename: the file that it is about.
    other: the file that it is compared with; '' for none.
    label: of the file.
    other_label: of the other.
    split: of the file; '' where it has none.
    split_other: of the other.
    detail: for a person.
  """

  code: str
  filename: str
  other: str
  label: str
  other_label: str
  split: str
  split_other: str
  detail: str


COLUMNS = FileFinding._fields


def write(folder: pathlib.Path, findings: Iterable[FileFinding]) -> pathlib.Path:
  """Writes findings.csv, with its header even where nothing was found.

  Returns:
    The path of the file.
  """
  path = folder / FILE_NAME
  with open(path, 'w', encoding='utf-8', errors='backslashreplace', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    writer.writerows(findings)
  return path


def collect(connection: sqlite3.Connection) -> Iterator[FileFinding]:
  """Yields the findings of an index whose splits are decided, kind by kind, by row."""
  yield from _set_aside(connection)
  yield from _near_copies(connection)
  yield from _leaks(connection)
  yield from _similar_labels(connection)
  yield from _personal(connection)


def label_conflicts(connection: sqlite3.Connection) -> int:
  """Returns the number of pairs of near-copies under different labels."""
  return sum(1 for finding in _near_copies(connection) if finding.code == LABEL_CONFLICT)


def similar_labels(labels: Iterable[str]) -> list[list[str]]:
  """Returns the labels that differ by case, blanks or the way of writing a letter alone."""
  folded: dict[str, list[str]] = {}
  for label in labels:
    key = ' '.join(unicodedata.normalize('NFKC', label).casefold().split())
    folded.setdefault(key, []).append(label)
  return [alike for alike in folded.values() if len(alike) > 1]


def personal_counts(connection: sqlite3.Connection) -> dict[str, int]:
  """Returns the number of files that held each kind of personal data."""
  return dict(connection.execute('SELECT code, COUNT(*) FROM personal GROUP BY code ORDER BY code'))


def _set_aside(connection: sqlite3.Connection) -> Iterator[FileFinding]:
  for reason, *values in connection.execute(
    'SELECT images.reason, images.filename, twin.filename, images.label, twin.label, '
    "COALESCE(images.fixed, ''), COALESCE(twin.split, twin.fixed, ''), images.detail FROM images "
    "JOIN images AS twin ON twin.position = images.other WHERE images.reason != '' "
    'ORDER BY images.reason, images.position'
  ):
    yield FileFinding(_SET_ASIDE[reason], *values)


def _near_copies(connection: sqlite3.Connection) -> Iterator[FileFinding]:
  """Yields near-copies; a duplicate that was set aside is spoken of as the one that is used."""
  rows = connection.execute(
    'WITH used AS (SELECT images.description, kept.position, kept.filename, kept.label, '
    "COALESCE(kept.split, '') AS split FROM images JOIN images AS kept ON kept.position = "
    "CASE images.reason WHEN ? THEN images.other ELSE images.position END AND kept.reason = '') "
    'SELECT a.filename, b.filename, a.label, b.label, a.split, b.split, how, MAX(similarity) '
    'FROM pairs JOIN used AS a ON a.description = first JOIN used AS b ON b.description = second '
    'GROUP BY a.position, b.position ORDER BY a.position, b.position',
    (quarantine.DUPLICATE,),
  )
  for a, b, label, other_label, name, other_name, how, similarity in rows:
    values = a, b, label, other_label, name, other_name
    detail = f'{how}, {100 * similarity:.0f} % alike'
    if label == other_label:
      yield FileFinding(NEAR_COPY, *values, detail)
    else:
      yield FileFinding(LABEL_CONFLICT, *values, f'{detail}, but the labels differ')


def _leaks(connection: sqlite3.Connection) -> Iterator[FileFinding]:
  for values in connection.execute(
    'SELECT images.filename, twin.filename, images.label, twin.label, images.split, twin.split, '
    'images.detail FROM images JOIN images AS twin ON twin.position = images.other '
    "WHERE images.leak AND images.reason = '' ORDER BY images.position"
  ):
    yield FileFinding(LEAK, *values)


def _similar_labels(connection: sqlite3.Connection) -> Iterator[FileFinding]:
  firsts = {
    label: (filename, name)
    for label, filename, name, _ in connection.execute(
      "SELECT label, filename, COALESCE(split, ''), MIN(position) FROM images "
      "WHERE reason = '' GROUP BY label ORDER BY label"
    )
  }
  for first, *others in similar_labels(firsts):
    for other in others:
      (filename, name), (twin, twin_split) = firsts[other], firsts[first]
      yield FileFinding(
        SIMILAR_LABELS,
        filename,
        twin,
        other,
        first,
        name,
        twin_split,
        'the labels differ by case, blanks or the way of writing a letter alone, and are taken as '
        'different classes',
      )


def _personal(connection: sqlite3.Connection) -> Iterator[FileFinding]:
  for code, filename, label, name in connection.execute(
    "SELECT code, images.filename, images.label, COALESCE(images.split, images.fixed, '') "
    'FROM personal JOIN images ON images.position = personal.row '
    "UNION ALL SELECT code, filename, label, '' FROM personal JOIN bad_rows USING (row) "
    'ORDER BY 1, 2'
  ):
    yield FileFinding(code, filename, '', label, '', name, '', _PERSONAL.get(code, ''))
