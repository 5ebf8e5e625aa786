"""Clusters that the manifest or the lock has put into several splits, and what to do about them.

A leak is a cluster with given or locked members in two or more of train, val,
test and production. Of the three answers (data.on_leak), the first stops the run;
the second lets all rows be and marks those that judge; the third leaves the
members in one split, the one that judges most, and takes the others out: test
goes before production, production before val, val before train.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from components.image_example_gen import quarantine
from components.image_example_gen.index import DECIDED, Index
from schemas import features

STOP, WARN, DROP = 'stop', 'warn', 'drop'
# From the split that judges most to the one that judges nothing.
_JUDGES = (features.TEST, features.PRODUCTION, features.VAL, features.TRAIN)
_SHOWN = 5
_ONLY_THROUGH_OTHERS = 'joined through other images'
# Members of a cluster among which a pair that is alike by itself is looked for.
_LOOKED_AT = 100
_SAME_PIXELS = 'the same pixels'
_ALIKE = 2


class Member(NamedTuple):
  """An image of a cluster.

  Attributes:
    position: its row.
    filename: as the manifest names it.
    split: where it stands.
    given: where the manifest says so, else ''.
    description: position among the descriptions.
    pixel_id: of its pixels.
  """

  position: int
  filename: str
  split: str
  given: str
  description: int
  pixel_id: str


_MEMBER = ', '.join(Member._fields)


def find(index: Index) -> list[str]:
  """Returns the clusters that straddle splits, by name."""
  return [
    cluster
    for (cluster,) in index.connection.execute(
      "SELECT cluster FROM images WHERE reason = '' AND cluster != '' AND split IS NOT NULL "
      'GROUP BY cluster HAVING COUNT(DISTINCT split) > 1 ORDER BY MIN(filename)'
    )
  ]


def complaint(index: Index, clusters: list[str], source: str, lock: str) -> str:
  """Returns the text of the error that stops the run.

  Args:
    index: of the images.
    clusters: as `find` returns them.
    source: name of the manifest.
    lock: path of the split lock.
  """
  lines = []
  for cluster in clusters[:_SHOWN]:
    member, twin, how = _worst_pair(index.connection, cluster)
    lines.append(
      f'{source}: {twin.filename!r} ({_place(twin)}) and {member.filename!r} '
      f'({_place(member)}) belong together: {how}.'
    )
  if len(clusters) > len(lines):
    lines.append(f'... and {len(clusters) - len(lines)} more such groups.')
  lines.append(
    'Images that belong together must stand in one split, or what was learnt is taken for what '
    f'was understood. Move them by the column split, or where they are locked, in {lock}. Or set '
    'data.on_leak: drop takes the copies out of the split that judges less (train before val '
    'before test), warn keeps all and marks those that judge with image/leak, stop (as now) '
    'stops the run.'
  )
  return '\n'.join(lines)


def take_out(index: Index, clusters: list[str]) -> None:
  """Leaves the members of each cluster in one split, and takes the others out."""
  taken = []
  for cluster in clusters:
    kept = _sides(index.connection, cluster)[0]
    for member in _members(index.connection, cluster):
      if member.split != kept:
        twin, how = _twin(index.connection, member, cluster, (kept,))
        taken.append(
          (
            quarantine.LEAK,
            f'belongs together with {twin.filename} in {kept}: {how}; taken out of '
            f'{member.split}, because data.on_leak is drop',
            twin.position,
            member.position,
          )
        )
  index.many(
    'UPDATE images SET reason = ?, detail = ?, other = ?, split = NULL WHERE position = ?', taken
  )


def set_free_beside_production(index: Index) -> None:
  """Takes out free members of clusters that are fixed in production alone.

  In production they would be scored as what was served, which they were not; in
  another split they would be leaks.
  """
  clusters = index.connection.execute(
    "SELECT cluster FROM images WHERE reason = '' AND cluster != '' GROUP BY cluster "
    'HAVING MIN(split) = ? AND MAX(split) = ? AND SUM(split IS NULL) > 0 ORDER BY cluster',
    (features.PRODUCTION, features.PRODUCTION),
  ).fetchall()
  taken = []
  for (cluster,) in clusters:
    for row in index.connection.execute(
      f"SELECT {_MEMBER} FROM images WHERE cluster = ? AND reason = '' AND split IS NULL "
      'ORDER BY filename, position',
      (cluster,),
    ).fetchall():
      member = Member(*row)
      twin, how = _twin(index.connection, member, cluster, (features.PRODUCTION,))
      detail = (
        f'belongs together with {twin.filename} in {features.PRODUCTION}: {how}; it was not '
        'served itself, and elsewhere it would be a leak'
      )
      taken.append((quarantine.LEAK, detail, twin.position, member.position))
  index.many('UPDATE images SET reason = ?, detail = ?, other = ? WHERE position = ?', taken)


def mark(index: Index) -> int:
  """Marks what judges and has a copy in another split; returns how many images that are."""
  marked = []
  for cluster in find(index):
    for member in _members(index.connection, cluster):
      if member.split != features.TRAIN:
        sides = [name for name in _JUDGES[::-1] if name != member.split]
        twin, how = _twin(index.connection, member, cluster, tuple(sides))
        detail = f'belongs together with {twin.filename} in {twin.split}: {how}'
        marked.append((detail, twin.position, member.position))
  index.many('UPDATE images SET leak = 1, detail = ?, other = ? WHERE position = ?', marked)
  return len(marked)


def link(connection: sqlite3.Connection, member: Member, twin: Member) -> str:
  """Says in words why two images belong together; '' where only others join them."""
  if member.pixel_id == twin.pixel_id:
    return _SAME_PIXELS
  pair = connection.execute(
    'SELECT how, similarity FROM pairs WHERE (first = ? AND second = ?) OR '
    '(first = ? AND second = ?)',
    (member.description, twin.description, twin.description, member.description),
  ).fetchone()
  if pair:
    return f'{pair[0]}, {100 * pair[1]:.0f} % alike'
  group = connection.execute(
    'SELECT a.kind, a.value FROM groups AS a JOIN groups AS b USING (kind, value) '
    'WHERE a.description = ? AND b.description = ? ORDER BY kind, value LIMIT 1',
    (member.description, twin.description),
  ).fetchone()
  if group:
    return f'{"the decided group" if group[0] == DECIDED else group[0]} {group[1]!r}'
  return ''


def _members(connection: sqlite3.Connection, cluster: str) -> Iterator[Member]:
  for row in connection.execute(
    f"SELECT {_MEMBER} FROM images WHERE cluster = ? AND reason = '' AND split IS NOT NULL "
    'ORDER BY filename, position',
    (cluster,),
  ):
    yield Member(*row)


def _sides(connection: sqlite3.Connection, cluster: str) -> list[str]:
  """Returns the splits that a cluster stands in; the one that judges most first."""
  found = {
    name
    for (name,) in connection.execute(
      "SELECT DISTINCT split FROM images WHERE cluster = ? AND reason = ''", (cluster,)
    )
  }
  return [name for name in _JUDGES if name in found]


def _twin(
  connection: sqlite3.Connection, member: Member, cluster: str, sides: tuple[str, ...]
) -> tuple[Member, str]:
  """Returns the member of another split that is most alike, and how alike."""
  marks = ', '.join('?' * len(sides))
  for query, values in (
    ('images.pixel_id = ?', (member.pixel_id,)),
    (
      'images.description IN (SELECT second FROM pairs WHERE first = ? '
      'UNION SELECT first FROM pairs WHERE second = ?)',
      (member.description, member.description),
    ),
  ):
    row = connection.execute(
      f"SELECT {_MEMBER} FROM images WHERE {query} AND reason = '' AND split IN ({marks}) "
      'ORDER BY fixed IS NULL, filename LIMIT 1',
      (*values, *sides),
    ).fetchone()
    if row:
      return Member(*row), link(connection, member, Member(*row))
  found = None
  for side in sides:
    row = connection.execute(
      f"SELECT {_MEMBER} FROM images WHERE cluster = ? AND split = ? AND reason = '' "
      'ORDER BY filename LIMIT 1',
      (cluster, side),
    ).fetchone()
    if row:
      found = Member(*row)
      break
  # In a cluster that is one group, any member will do; else one is looked for.
  how = link(connection, member, found) if found else ''
  row = (
    found
    and not how
    and connection.execute(
      f'SELECT {_MEMBER} FROM images WHERE images.description IN (SELECT b.description '
      'FROM groups AS a JOIN groups AS b USING (kind, value) WHERE a.description = ?) '
      f"AND reason = '' AND split IN ({marks}) ORDER BY fixed IS NULL, filename LIMIT 1",
      (member.description, *sides),
    ).fetchone()
  )
  if row:
    return Member(*row), link(connection, member, Member(*row))
  if found:
    return found, how or _ONLY_THROUGH_OTHERS
  raise LookupError(f'No member of {cluster} stands in {", ".join(sides)}.')


def _worst_pair(connection: sqlite3.Connection, cluster: str) -> tuple[Member, Member, str]:
  """Returns an image that judges, its twin in another split, and how alike they are."""
  judges, *others = _sides(connection, cluster)
  found = None
  for number, member in enumerate(_members(connection, cluster)):
    if member.split == judges:
      twin, how = _twin(connection, member, cluster, tuple(others[::-1]))
      if found is None or _directness(how) > _directness(found[2]):
        found = member, twin, how
    if found and (number > _LOOKED_AT or _directness(found[2]) == _ALIKE):
      break
  assert found is not None  # the cluster stands in `judges`
  return found


def _directness(how: str) -> int:
  """Ranks what `_twin` says: two that look alike, two of one group, two joined by others."""
  if how == _SAME_PIXELS or how.endswith('alike'):
    return _ALIKE
  return 0 if how == _ONLY_THROUGH_OTHERS else 1


def _place(member: Member) -> str:
  return f'{member.split}, {"as given" if member.given else "as locked"}'
