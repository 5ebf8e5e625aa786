"""The split of every image: as given, else as locked, with its cluster, or by stratification."""

import itertools
from collections.abc import Iterator

from components.image_example_gen import split
from components.image_example_gen.index import Index
from schemas import features
from schemas.config import SplitConfig

# Train first: see `follow`.
_FOLLOWED = (*features.SPLITS, features.PRODUCTION)


def assign(index: Index, config: SplitConfig) -> dict[str, split.Tally]:
  """Decides the split of every image that neither the manifest nor the lock has fixed.

  Returns:
    The tallies by class that it was decided on; without production.
  """
  connection = index.connection
  follow(index)
  connection.execute('CREATE TEMP TABLE placed (cluster TEXT PRIMARY KEY, split TEXT)')
  (singles,) = connection.execute(
    "SELECT COUNT(*) FROM images WHERE reason = '' AND cluster = '' AND split IS NULL"
  ).fetchone()
  placed = split.place(_free_clusters(index), tallies(index), config, singles)
  index.many('INSERT INTO placed VALUES (?, ?)', placed)
  connection.execute(
    'UPDATE images SET split = placed.split FROM placed WHERE placed.cluster = images.cluster '
    "AND images.split IS NULL AND images.reason = ''"
  )
  found = tallies(index)
  connection.execute('CREATE TEMP TABLE assigned (position INTEGER PRIMARY KEY, split TEXT)')
  free = connection.execute(
    "SELECT position, label FROM images WHERE split IS NULL AND reason = '' "
    'ORDER BY label, key, image_id'
  )
  index.many('INSERT INTO assigned VALUES (?, ?)', split.assign(free, split.quotas(found, config)))
  connection.execute(
    'UPDATE images SET split = assigned.split FROM assigned '
    'WHERE assigned.position = images.position'
  )
  return found


def follow(index: Index) -> None:
  """Puts the free members of a cluster where the fixed ones are.

  Where these stand in several splits, a free one goes to train, if they are in it:
  there its copies do no further harm.
  """
  ranks = ' '.join(f"WHEN '{name}' THEN {rank}" for rank, name in enumerate(_FOLLOWED))
  index.connection.executescript(f"""
    CREATE TEMP TABLE leaders AS SELECT cluster, MIN(CASE split {ranks} END) AS rank FROM images
      WHERE reason = '' AND cluster != '' AND split IS NOT NULL GROUP BY cluster;
    CREATE UNIQUE INDEX temp.by_leader ON leaders (cluster);
    UPDATE images SET split = CASE leaders.rank
      {' '.join(f"WHEN {rank} THEN '{name}'" for rank, name in enumerate(_FOLLOWED))} END
      FROM leaders WHERE leaders.cluster = images.cluster AND split IS NULL AND reason = '';
    DROP TABLE leaders;
  """)


def tallies(index: Index) -> dict[str, split.Tally]:
  """Returns how many images each class has, and how many of them where; without production."""
  sums = ', '.join(f"SUM(split IS '{name}')" for name in features.SPLITS)
  return {
    label: split.Tally(total, dict(zip(features.SPLITS, fixed, strict=True)))
    for label, total, *fixed in index.connection.execute(
      f"SELECT label, COUNT(*), {sums} FROM images WHERE reason = '' "
      f"AND split IS NOT '{features.PRODUCTION}' GROUP BY label ORDER BY label"
    )
  }


def _free_clusters(index: Index) -> Iterator[tuple[str, dict[str, int]]]:
  """Yields the clusters of which nothing is fixed, the largest first."""
  rows = index.connection.execute(
    'WITH whole AS (SELECT cluster, COUNT(*) AS size, MIN(key) AS key FROM images '
    "WHERE reason = '' AND cluster != '' AND split IS NULL GROUP BY cluster) "
    'SELECT whole.cluster, label, COUNT(*) FROM whole JOIN images USING (cluster) '
    "WHERE reason = '' GROUP BY whole.cluster, label "
    'ORDER BY whole.size DESC, whole.key, whole.cluster, label'
  )
  for cluster, classes in itertools.groupby(rows, lambda row: row[0]):
    yield cluster, {label: count for _, label, count in classes}
