"""All rows of one run, on disk: memory does not grow with their number.

The decisions on them are made by statements over its table `images`, each in
the module that it belongs to: exact_copies, clustering, leaks, allocation and
time_split.
"""

import json
import pathlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping

from components.image_example_gen import decisions, quarantine, split
from components.image_example_gen.descriptions import Descriptions
from components.image_example_gen.inspection import Inspected
from components.image_example_gen.quarantine import Finding
from components.image_example_gen.records import Accepted
from components.image_example_gen.rows import Row
from models.measurements import Measurements
from schemas import features

# Of an image: `fixed` is the split that the manifest or the lock has given it,
# `other` the row of the copy that `detail` speaks of, `reason` why it is not used.
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE images (position INTEGER PRIMARY KEY, filename TEXT, label TEXT, image_id TEXT,
  pixel_id TEXT, given TEXT, key BLOB, time, decision TEXT, description INTEGER, rest TEXT,
  fixed TEXT, split TEXT, root INTEGER, cluster TEXT NOT NULL DEFAULT '',
  leak INTEGER NOT NULL DEFAULT 0, reason TEXT NOT NULL DEFAULT '', detail TEXT, other INTEGER);
CREATE TABLE bad_rows (row INTEGER, filename TEXT, label TEXT, reason TEXT, detail TEXT);
CREATE TABLE personal (row INTEGER, code TEXT);
CREATE TABLE groups (description INTEGER, kind TEXT, value TEXT);
CREATE TABLE pairs (first INTEGER, second INTEGER, how TEXT, similarity REAL);
CREATE TABLE locked (image_id TEXT PRIMARY KEY, split TEXT) WITHOUT ROWID;
"""
_FINDINGS = (
  'SELECT row, filename, reason, detail FROM bad_rows UNION ALL '
  "SELECT position, filename, reason, detail FROM images WHERE reason != ''"
)
_PRESENT = f"""
SELECT image_id, CASE split WHEN 'test' THEN '0test' WHEN 'val' THEN '1val' ELSE '2train' END
  AS ranked FROM (
    SELECT image_id, split FROM images WHERE reason = '' UNION ALL
    SELECT images.image_id, twin.split FROM images JOIN images AS twin
      ON twin.position = images.other WHERE images.reason = '{quarantine.DUPLICATE}'
  ) WHERE split IN {features.SPLITS}
"""
_LOCKED = f"""
WITH present AS ({_PRESENT})
SELECT image_id, SUBSTR(MIN(ranked), 2) FROM present GROUP BY image_id
UNION ALL
SELECT image_id, split FROM locked WHERE image_id NOT IN (SELECT image_id FROM present)
ORDER BY image_id
"""
# Group by the decision of a reviewer, beside those by a column.
DECIDED = ''


class Index:
  """What pass 1 found, and what is decided on it.

  Attributes:
    connection: to the tables.
    decisions: how many rows reviewers decided about, by decision.
  """

  def __init__(self, path: pathlib.Path, seed: int):
    self._seed = seed
    self._rows = 0
    self.decisions = dict.fromkeys(decisions.DECISIONS, 0)
    self.connection = sqlite3.connect(path, isolation_level=None)
    self.connection.executescript(_TABLES)

  def close(self) -> None:
    self.connection.close()

  @property
  def rows(self) -> int:
    """All rows of the manifest."""
    return self._rows

  @property
  def accepted(self) -> int:
    """Images that are used."""
    return self.connection.execute("SELECT COUNT(*) FROM images WHERE reason = ''").fetchone()[0]

  def add(
    self,
    inspected: Iterable[Inspected],
    descriptions: Descriptions,
    group_columns: Mapping[str, int] | None = None,
    clock: Callable[[Row], int | float | None] | None = None,
  ) -> None:
    """Adds rows, good and bad.

    Args:
      inspected: what pass 1 found.
      descriptions: gets those of the good ones.
      group_columns: place among the row's columns, by name, of those whose equal
        values keep images together.
      clock: returns when a good one was taken, as a number to sort by; production is
        not asked.
    """
    images, bad, personal, groups = [], [], [], []
    for image in inspected:
      self._rows += 1
      row = image.row
      for name in row.decision.split(decisions.SEPARATOR) if row.decision else ():
        self.decisions[name] += 1
      personal += [(row.number, code) for code in image.personal]
      if row.reason or image.description is None:
        bad.append((row.number, row.filename, row.label, row.reason, row.detail))
        continue
      description = descriptions.append(image.description)
      images.append(
        (
          row.number,
          row.filename,
          row.label,
          image.image_id,
          image.description.pixel_id,
          row.split,
          split.order_key(self._seed, image.image_id),
          # What was drawn from traffic is not split by time.
          clock(row) if clock and row.split != features.PRODUCTION else None,
          row.decision,
          description,
          json.dumps(
            [
              row.columns,
              row.group,
              image.format,
              image.width,
              image.height,
              image.bytes,
              image.measured,
            ]
          ),
        )
      )
      values = {name: row.columns[place] for name, place in (group_columns or {}).items()}
      groups += [
        (description, kind, value)
        for kind, value in {**values, DECIDED: row.group}.items()
        if value
      ]
    self.many(
      'INSERT INTO images (position, filename, label, image_id, pixel_id, given, key, time, '
      'decision, description, rest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      images,
    )
    self.many('INSERT INTO bad_rows VALUES (?, ?, ?, ?, ?)', bad)
    self.many('INSERT INTO personal VALUES (?, ?)', personal)
    self.many('INSERT INTO groups VALUES (?, ?, ?)', groups)

  def fix(self, lock: Iterable[tuple[str, str]]) -> None:
    """Notes the split of each image that is given or locked.

    Args:
      lock: see lock.read.
    """
    self.many('INSERT OR REPLACE INTO locked VALUES (?, ?)', lock)
    self.connection.execute(
      "UPDATE images SET fixed = COALESCE(NULLIF(given, ''), "
      '(SELECT split FROM locked WHERE locked.image_id = images.image_id))'
    )
    self.connection.execute('UPDATE images SET split = fixed')

  def findings(self, harmless: bool = True) -> Iterator[Finding]:
    """Yields what was set aside, by row; what is no fault only where `harmless`."""
    for finding in self.connection.execute(f'{_FINDINGS} ORDER BY 1'):
      if harmless or finding[2] not in quarantine.HARMLESS:
        yield Finding(*finding)

  def reasons(self) -> dict[str, int]:
    """Returns how many rows were set aside for each reason."""
    return dict(
      self.connection.execute(
        f'SELECT reason, COUNT(*) FROM ({_FINDINGS}) GROUP BY reason ORDER BY reason'
      )
    )

  def locked(self) -> Iterator[tuple[str, str]]:
    """Yields (image id, split) of the present images and of those once locked, sorted.

    A duplicate is locked with the copy that is used. Of copies that were given
    different splits, the one that judges counts. What was drawn from traffic may
    be trained on later, so it is not locked.
    """
    yield from self.connection.execute(_LOCKED)

  def counts(self, splits: Iterable[str] = features.SPLITS) -> dict[str, dict[str, int]]:
    """Returns the number of images by split and class."""
    result: dict[str, dict[str, int]] = {name: {} for name in splits}
    for name, label, count in self.connection.execute(
      "SELECT split, label, COUNT(*) FROM images WHERE reason = '' GROUP BY split, label "
      'ORDER BY label'
    ):
      result[name][label] = count
    return result

  def filenames(self, label: str, limit: int) -> list[str]:
    """Returns the first files of a class, as the manifest names them."""
    return [
      filename
      for (filename,) in self.connection.execute(
        "SELECT filename FROM images WHERE label = ? AND reason = '' ORDER BY position LIMIT ?",
        (label, limit),
      )
    ]

  def all_filenames(self) -> Iterator[str]:
    """Yields the file of every row, good and bad."""
    for (filename,) in self.connection.execute(
      'SELECT filename FROM images UNION ALL SELECT filename FROM bad_rows'
    ):
      yield filename

  def images(self) -> Iterator[Accepted]:
    """Yields accepted images, in an order that depends on seed and content alone.

    Classes are mixed in it, so that a training input with a small shuffle buffer
    sees all of them.
    """
    for (
      position,
      filename,
      label,
      image_id,
      given,
      name,
      rest,
      decision,
      *others,
    ) in self.connection.execute(
      'SELECT position, filename, label, image_id, given, split, rest, decision, '
      "pixel_id, cluster, leak, description FROM images WHERE reason = '' "
      'ORDER BY key, image_id, filename, position'
    ):
      columns, group, image_format, width, height, size, measured = json.loads(rest)
      row = Row(position, filename, label, given, tuple(columns), decision=decision, group=group)
      pixel_id, cluster, leak, description = others
      yield Accepted(
        Inspected(row, image_id, image_format, width, height, size, Measurements(*measured)),
        name,
        pixel_id,
        cluster,
        bool(leak),
        description,
      )

  def thumbnail_positions(self) -> Iterator[int]:
    """Yields the position among the descriptions, in the order of `images`."""
    for (position,) in self.connection.execute(
      "SELECT description FROM images WHERE reason = '' ORDER BY key, image_id, filename, position"
    ):
      yield position

  def many(self, statement: str, rows: Iterable[tuple]) -> None:
    """Executes a statement for each row, in one transaction."""
    self.connection.execute('BEGIN')
    self.connection.executemany(statement, rows)
    self.connection.execute('COMMIT')
