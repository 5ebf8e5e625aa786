"""Hashes of a data set that do not depend on the order of its rows."""

import contextlib
import hashlib
import json
import pathlib
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence

from components.image_example_gen import parallel
from components.image_example_gen.location import FileError
from components.image_example_gen.manifest import Manifest
from components.image_example_gen.rows import Row

STATE_FILE = 'ingest.sqlite3'
_MODULUS = 1 << 256
# A file that was touched so shortly before it was hashed may change again
# without a new time stamp, so its hash is not remembered.
_SETTLED_NS = 2_000_000_000


class RowSum:
  """The sum of the hashes of rows, modulo 2^256: any order gives the same.

  Copies of a row count, which a XOR would cancel out.
  """

  def __init__(self) -> None:
    self._sum = 0
    self._count = 0

  def add(self, parts: Sequence) -> None:
    """Adds a row; `parts` are strings, or sequences of strings."""
    text = json.dumps(parts, ensure_ascii=True, separators=(',', ':'))
    self._sum = (self._sum + int.from_bytes(hashlib.sha256(text.encode()).digest())) % _MODULUS
    self._count += 1

  def hexdigest(self) -> str:
    return hashlib.sha256(f'{self._count}:{self._sum:064x}'.encode()).hexdigest()


class ContentHashes:
  """Hashes of files, remembered by path, size and time of change."""

  def __init__(self, connection: sqlite3.Connection):
    self._connection = connection
    connection.execute(
      'CREATE TABLE IF NOT EXISTS content (path TEXT PRIMARY KEY, size INTEGER, '
      'mtime_ns INTEGER, sha256 TEXT) WITHOUT ROWID'
    )

  def of(self, paths: Iterable[pathlib.Path | None]) -> Iterator[str]:
    """Yields the hash of each file, '' where there is none or it cannot be read."""
    for (key, size, mtime_ns, known), digest in parallel.ordered_map(
      _hash, (self._look_up(path) for path in paths)
    ):
      if digest and not known and time.time_ns() - mtime_ns > _SETTLED_NS:
        self._connection.execute(
          'INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)', (key, size, mtime_ns, digest)
        )
      yield digest

  def _look_up(self, path: pathlib.Path | None) -> tuple[str, int, int, str]:
    if path is None:
      return '', 0, 0, ''
    try:
      status = path.stat()
    except OSError:
      return '', 0, 0, ''
    row = self._connection.execute(
      'SELECT sha256 FROM content WHERE path = ? AND size = ? AND mtime_ns = ?',
      (str(path), status.st_size, status.st_mtime_ns),
    ).fetchone()
    return str(path), status.st_size, status.st_mtime_ns, row[0] if row else ''


def _hash(found: tuple[str, int, int, str]) -> tuple[tuple[str, int, int, str], str]:
  path, _, _, known = found
  if known or not path:
    return found, known
  try:
    with open(path, 'rb') as stream:
      return found, hashlib.file_digest(stream, 'sha256').hexdigest()
  except OSError:
    return found, ''


@contextlib.contextmanager
def open_state(folder: pathlib.Path) -> Iterator[sqlite3.Connection]:
  """Opens what ingest remembers between runs; committed where nothing went wrong."""
  folder.mkdir(parents=True, exist_ok=True)
  connection = sqlite3.connect(folder / STATE_FILE, timeout=60)
  try:
    with connection:
      yield connection
  finally:
    connection.close()


def rows_fingerprint(manifest: Manifest, hashes: ContentHashes) -> str:
  """Hashes filename, label, split, columns, decisions and content of every row, in any order.

  Raises:
    DataError: the manifest cannot be read.
  """
  total = RowSum()
  # Rows wait for the hashes of their files, a handful at a time.
  waiting: list[Row] = []

  def paths() -> Iterator[pathlib.Path | None]:
    for row in manifest.rows():
      waiting.append(row)
      try:
        yield None if row.reason else manifest.locate(row.filename)
      except FileError:
        yield None

  for digest in hashes.of(paths()):
    row = waiting.pop(0)
    total.add(
      [
        row.filename,
        row.label,
        row.split,
        row.reason,
        row.decision,
        row.group,
        list(zip(manifest.columns, row.columns, strict=True)),
        digest,
      ]
    )
  return total.hexdigest()
