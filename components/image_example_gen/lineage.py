"""Where a split lock came from, so that the lock that a run wrote does not undo its cache.

A run reads a lock and leaves one behind. The next run, over the same rows, must
count the lock that it finds as the one that the earlier run began with, or
nothing would ever be cached; a lock that a person edited or removed must count
as new.
"""

import sqlite3


class Lineage:
  """Remembers, for each set of rows, which lock a run began with and which it left."""

  def __init__(self, connection: sqlite3.Connection):
    self._connection = connection
    connection.execute(
      'CREATE TABLE IF NOT EXISTS lineage (rows TEXT, last TEXT, first TEXT, generation INTEGER, '
      'PRIMARY KEY (rows, last))'
    )
    connection.execute(
      'CREATE TABLE IF NOT EXISTS begun (fingerprint TEXT PRIMARY KEY, rows TEXT, first TEXT, '
      'generation INTEGER)'
    )

  def origin(self, rows: str, lock: str) -> tuple[str, int]:
    """Returns the lock that a run over these rows counts as having begun with.

    Args:
      rows: fingerprint of the rows.
      lock: content hash of the lock as it lies there.

    Returns:
      A content hash, and how often the outcome of a run that began with it was
      removed since: each time, another run must write it again.
    """
    left = self._connection.execute(
      'SELECT first, generation FROM lineage WHERE rows = ? AND last = ?', (rows, lock)
    ).fetchone()
    if left:
      return left
    begun = self._connection.execute(
      'SELECT MAX(generation) FROM lineage WHERE rows = ? AND first = ?', (rows, lock)
    ).fetchone()[0]
    return lock, 0 if begun is None else begun + 1

  def begin(self, fingerprint: str, rows: str, origin: tuple[str, int]) -> None:
    """Notes what a run of this fingerprint begins with."""
    self._connection.execute(
      'INSERT OR REPLACE INTO begun VALUES (?, ?, ?, ?)', (fingerprint, rows, *origin)
    )

  def end(self, fingerprint: str, lock: str) -> None:
    """Notes which lock the run left; nothing where its beginning was not noted."""
    self._connection.execute(
      'INSERT OR REPLACE INTO lineage SELECT rows, ?, first, generation FROM begun '
      'WHERE fingerprint = ?',
      (lock, fingerprint),
    )
