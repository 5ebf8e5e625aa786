"""quarantine.csv: the rows that were not used, and why."""

import csv
import pathlib
from collections.abc import Iterable
from typing import NamedTuple

FILE_NAME = 'quarantine.csv'
COLUMNS = ('row', 'filename', 'reason', 'detail')

# What costs nothing, or was decided so, does not count as bad.
DUPLICATE = 'duplicate'
LEAK = 'leak'
DROPPED = 'dropped'
LABEL_CONFLICT = 'label_conflict'
UNDECODABLE = 'undecodable'
UNREADABLE = 'unreadable'
TOO_MANY_BYTES = 'too_many_bytes'
HARMLESS = (DUPLICATE, LEAK, DROPPED)


class Finding(NamedTuple):
  """One row that was not used.

  Attributes:
    row: of the manifest, where the header is row 1.
    filename: as written there.
    reason: a short code.
    detail: what was found, for a person.
  """

  row: int
  filename: str
  reason: str
  detail: str


def write(folder: pathlib.Path, findings: Iterable[Finding]) -> pathlib.Path:
  """Writes quarantine.csv, with its header even where nothing was found.

  Returns:
    The path of the file.
  """
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / FILE_NAME
  # A filename may hold bytes that are no UTF-8, and must not stop its own report.
  with open(path, 'w', encoding='utf-8', errors='backslashreplace', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    writer.writerows(findings)
  return path
