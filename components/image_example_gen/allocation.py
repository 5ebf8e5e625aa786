"""The split of every image: as given, else as locked, with its cluster, or by stratification."""

from components.image_example_gen import split
from components.image_example_gen.index import Index
from schemas import features
from schemas.config import SplitConfig


def assign(index: Index, config: SplitConfig) -> dict[str, split.Tally]:
  """Decides the split of every image.

  Returns:
    The tallies by class that it was decided on; without production.
  """
  index.connection.execute("UPDATE images SET split = fixed WHERE reason = ''")
  tallies = _tallies(index)
  quota = split.quotas(tallies, config)
  index.connection.execute('CREATE TEMP TABLE assigned (position INTEGER PRIMARY KEY, split TEXT)')
  free = index.connection.execute(
    "SELECT position, label FROM images WHERE split IS NULL AND reason = '' "
    'ORDER BY label, key, image_id'
  )
  index.many('INSERT INTO assigned VALUES (?, ?)', split.assign(free, quota))
  index.connection.execute(
    'UPDATE images SET split = assigned.split FROM assigned '
    'WHERE assigned.position = images.position'
  )
  return tallies


def _tallies(index: Index) -> dict[str, split.Tally]:
  sums = ', '.join(f"SUM(split IS '{name}')" for name in features.SPLITS)
  return {
    label: split.Tally(total, dict(zip(features.SPLITS, fixed, strict=True)))
    for label, total, *fixed in index.connection.execute(
      f"SELECT label, COUNT(*), {sums} FROM images WHERE reason = '' "
      f"AND split IS NOT '{features.PRODUCTION}' GROUP BY label ORDER BY label"
    )
  }
