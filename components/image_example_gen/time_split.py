"""A split by time: what is learnt is older than what is judged.

Two cut-offs divide the images: those before the first are train, those from the
second on are test, and val lies between. Images of one time are never divided.
The cut-offs lie as near to the shares as images that are fixed leave them room;
whatever is locked keeps its place, so later images go where the lock's cut-offs
put them.

A cluster goes to the split of its fixed members, else of its latest one. A member
that would break the order there (one from before the first cut-off in val or
test, or one from after it in train) is taken out as a leak.
"""

import datetime
import math
from typing import NamedTuple

from components.image_example_gen import allocation, quarantine, split
from components.image_example_gen.index import Index
from components.image_example_gen.rows import Row
from schemas import features
from schemas.config import SplitConfig
from schemas.errors import DataError

# A train share that is so far from what was asked for is worth a warning.
_FAR = 0.1
_KINDS = {int: 'a number', datetime.datetime: 'a date', datetime.tzinfo: 'a date with a time zone'}
_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)


class Clock:
  """Reads the time of rows: all numbers, or all dates, or all dates with a time zone.

  Args:
    source: name of the manifest.
    column: name of the column.
    place: its place among the further columns.
  """

  def __init__(self, source: str, column: str, place: int):
    self._source = source
    self._column = column
    self._place = place
    self._first: tuple[int, str, type] | None = None

  def __call__(self, row: Row) -> int | float:
    """Returns a number to sort by: as it stands, or microseconds since 1970.

    Raises:
      DataError: the value is blank, no time, or of another kind than those before.
    """
    text = row.columns[self._place]
    read = _read(text)
    if read is None:
      raise DataError(
        f'{self._source} row {row.number}: expected a date (ISO 8601) or a number in column '
        f'{self._column}, by which data.split.time_column splits. Received: {text!r} for '
        f'{row.filename!r}. Write when it was taken.'
      )
    time, kind = read
    self._first = self._first or (row.number, text, kind)
    if kind is not self._first[2]:
      raise DataError(
        f'{self._source} row {row.number}: expected {_KINDS[self._first[2]]} in column '
        f'{self._column}, as {self._first[1]!r} in row {self._first[0]}. Received: {text!r} for '
        f'{row.filename!r}. Write all of them in one way.'
      )
    return time


class Cuts(NamedTuple):
  """The times from which val and test begin."""

  val: int | float
  test: int | float


def assign(index: Index, config: SplitConfig) -> tuple[dict[str, split.Tally], list[str]]:
  """Decides the split of every image that is not fixed; the index knows the times.

  Returns:
    The tallies by class, and warnings.
  """
  cuts = _cut(index, config)
  index.connection.execute(
    'CREATE TEMP TABLE latest AS SELECT cluster, MAX(time) AS time FROM images '
    "WHERE reason = '' AND cluster != '' GROUP BY cluster"
  )
  index.connection.execute('CREATE UNIQUE INDEX temp.by_latest ON latest (cluster)')
  _take_out(index, cuts)
  allocation.follow(index)
  index.connection.execute(
    "UPDATE images SET split = (SELECT CASE WHEN t < ? THEN 'train' WHEN t < ? THEN 'val' "
    "ELSE 'test' END FROM (SELECT COALESCE((SELECT time FROM latest "
    'WHERE latest.cluster = images.cluster), images.time) AS t)) '
    "WHERE split IS NULL AND reason = ''",
    cuts,
  )
  return allocation.tallies(index), _warnings(index, config)


def _read(text: str) -> tuple[int | float, type] | None:
  try:
    number = int(text)
    # SQLite keeps whole numbers of 64 bits as they are.
    return (number, int) if abs(number) < 1 << 63 else (float(number), int)
  except ValueError:
    pass
  except OverflowError:
    return None
  try:
    value = float(text)
    return (value, int) if math.isfinite(value) else None
  except ValueError:
    pass
  try:
    moment = datetime.datetime.fromisoformat(text)
  except ValueError:
    return None
  if moment.tzinfo is None:
    return (moment - _EPOCH) // _MICROSECOND, datetime.datetime
  utc = moment.astimezone(datetime.UTC).replace(tzinfo=None)
  return (utc - _EPOCH) // _MICROSECOND, datetime.tzinfo


def check_fixed(index: Index) -> None:
  """Raises DataError where an image fixed in train is as late as one that judges."""
  query = "SELECT filename, time, given FROM images WHERE reason = '' AND split IN ({}) ORDER BY {}"
  latest = index.connection.execute(query.format("'train'", 'time DESC, filename')).fetchone()
  earliest = index.connection.execute(query.format("'val', 'test'", 'time, filename')).fetchone()
  if latest and earliest and latest[1] >= earliest[1]:
    raise DataError(
      f'data.split.time_column: expected every image of train before every one of val and test. '
      f'Received: {latest[0]!r} in train ({_by(latest[2])}), which is not earlier than '
      f'{earliest[0]!r}, which is in val or test ({_by(earliest[2])}). Correct the column split, '
      'or remove the split lock for a new split.'
    )


def _by(given: str) -> str:
  return 'as given' if given else 'as locked'


def _cut(index: Index, config: SplitConfig) -> Cuts:
  """Chooses the cut-offs nearest to the shares."""
  limits = {
    name: found
    for name, *found in index.connection.execute(
      "SELECT split, MIN(time), MAX(time) FROM images WHERE reason = '' AND split IS NOT NULL "
      'GROUP BY split'
    )
  }
  train_end = limits.get(features.TRAIN, (None, None))[1]
  starts = [limits[name][0] for name in (features.VAL, features.TEST) if name in limits]
  val = _nearest(index, config.train, train_end, min(starts, default=None), leave=1)
  val_end = limits.get(features.VAL, (None, val))[1]
  test_start = limits.get(features.TEST, (None, None))[0]
  # A cluster may have put an image of test among those of val: then only val counts.
  above = max(val, val_end)
  test = _nearest(
    index,
    config.train + config.val,
    above,
    test_start if test_start is not None and test_start > above else None,
  )
  return Cuts(val, test)


def _nearest(
  index: Index,
  share: float,
  above: int | float | None,
  upto: int | float | None,
  leave: int = 0,
) -> int | float:
  """Returns the time before which a share of the images lies, as nearly as can be.

  Args:
    index: of the images; the times of production do not count.
    share: 0..1.
    above: the result is greater.
    upto: the result is at most this.
    leave: how many times at least come after the result.
  """
  times = (
    'SELECT time, COUNT(*) AS size, ROW_NUMBER() OVER (ORDER BY time DESC) AS left FROM images '
    f"WHERE reason = '' AND split IS NOT '{features.PRODUCTION}' GROUP BY time"
  )
  best = index.connection.execute(
    f'WITH times AS ({times}), cuts AS (SELECT time, left, '
    'SUM(size) OVER (ORDER BY time) - size AS before, SUM(size) OVER () AS total FROM times) '
    'SELECT time FROM cuts WHERE before > 0 AND left > :leave '
    'AND (:above IS NULL OR time > :above) AND (:upto IS NULL OR time <= :upto) '
    'ORDER BY ABS(before - :share * total), time LIMIT 1',
    {'share': share, 'above': above, 'upto': upto, 'leave': 0 if upto is not None else leave},
  ).fetchone()
  if best:
    return best[0]
  if upto is not None:
    return upto
  last = index.connection.execute(f'SELECT MAX(time) FROM ({times})').fetchone()[0]
  # After the last image: the split is empty, which is said where the sizes are checked.
  return math.inf if last is None else last + 1


def _take_out(index: Index, cuts: Cuts) -> None:
  """Takes out the members of clusters that cannot follow the others in time."""
  side = "CASE WHEN {} < :val THEN 'train' ELSE 'judged' END"
  rows = index.connection.execute(
    'SELECT images.position, twin.position, twin.filename FROM images '
    'JOIN latest USING (cluster) LEFT JOIN (SELECT cluster, MIN(split) AS split FROM images '
    "WHERE reason = '' AND cluster != '' AND split IS NOT NULL GROUP BY cluster) AS leader "
    'USING (cluster) JOIN images AS twin ON twin.position = (SELECT position FROM images AS o '
    "WHERE o.cluster = images.cluster AND o.reason = '' AND o.position != images.position "
    'ORDER BY o.split IS NULL, o.time DESC, o.filename LIMIT 1) '
    "WHERE images.reason = '' AND images.split IS NULL "
    f"AND COALESCE(leader.split, '') != '{features.PRODUCTION}' "
    f'AND {side.format("images.time")} != CASE '
    f"WHEN leader.split = 'train' THEN 'train' WHEN leader.split IS NOT NULL THEN 'judged' "
    f'ELSE {side.format("latest.time")} END',
    {'val': cuts.val},
  ).fetchall()
  index.many(
    'UPDATE images SET reason = ?, other = ?, detail = ? WHERE position = ?',
    (
      (
        quarantine.LEAK,
        twin,
        f'belongs together with {filename} on the other side of the time at which train ends',
        position,
      )
      for position, twin, filename in rows
    ),
  )


def _warnings(index: Index, config: SplitConfig) -> list[str]:
  warnings = []
  train, images = index.connection.execute(
    "SELECT SUM(split = 'train'), COUNT(*) FROM images WHERE reason = '' "
    f"AND split != '{features.PRODUCTION}'"
  ).fetchone()
  if images and abs(train / images - config.train) > _FAR:
    warnings.append(
      f'train holds {100 * train / images:.0f} % of the images, where data.split.train asks for '
      f'{100 * config.train:.0f} %: the times, or what is given or locked, leave no better '
      'cut-off. Without the split lock, the cut-offs are chosen anew.'
    )
  return warnings
