"""All rows of one run, on disk: memory does not grow with their number."""

import json
import pathlib
import sqlite3
from collections.abc import Iterable, Iterator

from components.image_example_gen import quarantine, split
from components.image_example_gen.inspection import Inspected
from components.image_example_gen.manifest import Row
from components.image_example_gen.measurements import Measurements
from components.image_example_gen.quarantine import Finding
from schemas import features
from schemas.config import SplitConfig

_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE images (position INTEGER PRIMARY KEY, filename TEXT, label TEXT, image_id TEXT,
  given TEXT, key BLOB, split TEXT, rest TEXT);
CREATE TABLE findings (row INTEGER, filename TEXT, reason TEXT, detail TEXT);
CREATE TABLE locked (image_id TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
CREATE TABLE assigned (position INTEGER PRIMARY KEY, split TEXT);
"""
# The first of several copies: by path, and for two rows of one path by their content.
_FIRST = (
  'SELECT position FROM images AS other WHERE other.image_id = images.image_id '
  'ORDER BY filename, rest, position LIMIT 1'
)


class Index:
  """What pass 1 found, and the splits that are decided on it."""

  def __init__(self, path: pathlib.Path, seed: int):
    self._seed = seed
    self._rows = 0
    self._connection = sqlite3.connect(path, isolation_level=None)
    self._connection.executescript(_TABLES)

  def close(self) -> None:
    self._connection.close()

  @property
  def rows(self) -> int:
    """All rows of the manifest."""
    return self._rows

  def add(self, inspected: Iterable[Inspected]) -> None:
    """Adds rows, good and bad."""
    images, findings = [], []
    for image in inspected:
      self._rows += 1
      row = image.row
      if row.reason:
        findings.append((row.number, row.filename, row.reason, row.detail))
      else:
        rest = json.dumps(
          [row.columns, image.format, image.width, image.height, image.bytes, image.measured]
        )
        images.append(
          (
            row.number,
            row.filename,
            row.label,
            image.image_id,
            row.split,
            split.order_key(self._seed, image.image_id),
            rest,
          )
        )
    self._many('INSERT INTO images VALUES (?, ?, ?, ?, ?, ?, NULL, ?)', images)
    self._many('INSERT INTO findings VALUES (?, ?, ?, ?)', findings)

  def set_copies_aside(self) -> None:
    """Moves identical files to the findings: all but the first, or all where labels differ."""
    execute = self._connection.execute
    execute('CREATE INDEX by_content ON images (image_id, filename)')
    execute(
      'INSERT INTO findings SELECT position, filename, ?, '
      "'the same bytes under another label: ' || (SELECT other.filename || ' (' || other.label "
      "|| ')' FROM images AS other WHERE other.image_id = images.image_id "
      'AND other.label != images.label ORDER BY other.filename, other.position LIMIT 1) '
      'FROM images WHERE image_id IN '
      '(SELECT image_id FROM images GROUP BY image_id HAVING COUNT(DISTINCT label) > 1)',
      (quarantine.LABEL_CONFLICT,),
    )
    execute(
      'DELETE FROM images WHERE image_id IN '
      '(SELECT image_id FROM images GROUP BY image_id HAVING COUNT(DISTINCT label) > 1)'
    )
    execute(
      'CREATE TEMP TABLE copies AS SELECT position, '
      f'({_FIRST}) AS first FROM images WHERE position != ({_FIRST})'
    )
    execute(
      'INSERT INTO findings SELECT copy.position, copy.filename, ?, '
      "'the same bytes as ' || kept.filename || ' in row ' || kept.position "
      'FROM copies JOIN images AS copy ON copy.position = copies.position '
      'JOIN images AS kept ON kept.position = copies.first',
      (quarantine.DUPLICATE,),
    )
    execute('DELETE FROM images WHERE position IN (SELECT position FROM copies)')

  def findings(self, harmless: bool = True) -> Iterator[Finding]:
    """Yields what was set aside, by row; the copies only where `harmless`."""
    for finding in self._connection.execute(
      'SELECT row, filename, reason, detail FROM findings ORDER BY row'
    ):
      if harmless or finding[2] not in quarantine.HARMLESS:
        yield Finding(*finding)

  def reasons(self) -> dict[str, int]:
    """Returns how many rows were set aside for each reason."""
    return dict(
      self._connection.execute(
        'SELECT reason, COUNT(*) FROM findings GROUP BY reason ORDER BY reason'
      )
    )

  def lock(self, rows: Iterable[tuple[str, str]]) -> None:
    """Takes the split lock in; see lock.read."""
    self._many('INSERT OR REPLACE INTO locked VALUES (?, ?)', rows)

  def assign(self, config: SplitConfig) -> dict[str, split.Tally]:
    """Decides the split of every image: as given, else as locked, else by stratification.

    Returns:
      The tallies by class that it was decided on.
    """
    execute = self._connection.execute
    execute(
      "UPDATE images SET split = COALESCE(NULLIF(given, ''), "
      '(SELECT split FROM locked WHERE locked.image_id = images.image_id))'
    )
    tallies = self._tallies()
    quota = split.quotas(tallies, config)
    free = execute(
      'SELECT position, label FROM images WHERE split IS NULL ORDER BY label, key, image_id'
    )
    self._many('INSERT INTO assigned VALUES (?, ?)', split.assign(free, quota))
    execute(
      'UPDATE images SET split = (SELECT split FROM assigned '
      'WHERE assigned.position = images.position) WHERE split IS NULL'
    )
    execute('INSERT OR REPLACE INTO locked SELECT image_id, split FROM images')
    return tallies

  def locked(self) -> Iterator[tuple[str, str]]:
    """Yields (image id, split) of the present images and of those once locked, sorted."""
    yield from self._connection.execute('SELECT image_id, split FROM locked ORDER BY image_id')

  def counts(self) -> dict[str, dict[str, int]]:
    """Returns the number of images by split and class."""
    result: dict[str, dict[str, int]] = {name: {} for name in features.SPLITS}
    for name, label, count in self._connection.execute(
      'SELECT split, label, COUNT(*) FROM images GROUP BY split, label ORDER BY label'
    ):
      result[name][label] = count
    return result

  def filenames(self, label: str, limit: int) -> list[str]:
    """Returns the first files of a class, as the manifest names them."""
    return [
      filename
      for (filename,) in self._connection.execute(
        'SELECT filename FROM images WHERE label = ? ORDER BY position LIMIT ?', (label, limit)
      )
    ]

  def images(self) -> Iterator[tuple[Inspected, str]]:
    """Yields accepted images and their split, in an order that depends on seed and content alone.

    Classes are mixed in it, so that a training input with a small shuffle buffer
    sees all of them.
    """
    for position, filename, label, image_id, given, name, rest in self._connection.execute(
      'SELECT position, filename, label, image_id, given, split, rest FROM images '
      'ORDER BY key, image_id'
    ):
      columns, image_format, width, height, size, measured = json.loads(rest)
      row = Row(position, filename, label, given, tuple(columns))
      yield (
        Inspected(row, image_id, image_format, width, height, size, Measurements(*measured)),
        name,
      )

  def _tallies(self) -> dict[str, split.Tally]:
    sums = ', '.join(f"SUM(split IS '{name}')" for name in features.SPLITS)
    return {
      label: split.Tally(total, dict(zip(features.SPLITS, fixed, strict=True)))
      for label, total, *fixed in self._connection.execute(
        f'SELECT label, COUNT(*), {sums} FROM images GROUP BY label ORDER BY label'
      )
    }

  def _many(self, statement: str, rows: Iterable[tuple]) -> None:
    self._connection.execute('BEGIN')
    self._connection.executemany(statement, rows)
    self._connection.execute('COMMIT')
