"""How many images of each class go to train, val and test, and which.

Pure: counts in, counts out, and a key to sort by. Nothing here knows files.
"""

import collections
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from schemas import features
from schemas.config import SplitConfig
from schemas.errors import DataError

# Fewer images cannot stand in train, val and test.
SMALLEST_SPLIT_CLASS = 3
_EPSILON = 1e-9
T = TypeVar('T')


class Tally(NamedTuple):
  """One class.

  Attributes:
    total: images of the class.
    fixed: how many of them the manifest or the lock has put where, by split.
  """

  total: int
  fixed: Mapping[str, int]

  @property
  def free(self) -> int:
    return self.total - sum(self.fixed.values())


def order_key(seed: int, image_id: str) -> bytes:
  """Returns 16 bytes to sort by: an order that depends on the seed and the images alone."""
  return hashlib.sha256(f'{seed}\n{image_id}'.encode()).digest()[:16]


def quotas(tallies: Mapping[str, Tally], config: SplitConfig) -> dict[str, dict[str, int]]:
  """Decides how many free images of each class each split receives.

  A class without fixed images gets the floor or the ceiling of its share in
  every split. Which, is decided by what the classes before it are short of, so
  that the sizes of the whole splits come out right too. With fixed images, the
  free ones bring the class as near to its shares as they can (least squares).

  Args:
    tallies: by class.
    config: shares and seed.

  Returns:
    {class: {split: number of its free images}}.
  """
  shares = {name: getattr(config, name) for name in features.SPLITS}
  owed = dict.fromkeys(features.SPLITS, 0.0)
  result = {}
  for label in sorted(tallies):
    tally = tallies[label]
    if tally.total < SMALLEST_SPLIT_CLASS:
      given = {**dict.fromkeys(features.SPLITS, 0), features.TRAIN: tally.free}
    else:
      given = _whole(_nearest(tally, shares), tally.free, owed)
    for name in features.SPLITS:
      owed[name] += shares[name] * tally.total - given[name] - tally.fixed.get(name, 0)
    result[label] = given
  return result


def _nearest(tally: Tally, shares: Mapping[str, float]) -> dict[str, float]:
  """Spreads the free images so that the squared distances from the shares are least."""
  wanted = {name: share * tally.total - tally.fixed.get(name, 0) for name, share in shares.items()}
  below = [name for name in wanted if wanted[name] > 0]
  while True:
    surplus = (sum(wanted[name] for name in below) - tally.free) / max(len(below), 1)
    still = [name for name in below if wanted[name] > surplus]
    if len(still) == len(below):
      return {name: wanted[name] - surplus if name in below else 0.0 for name in wanted}
    below = still


def _whole(parts: Mapping[str, float], total: int, owed: Mapping[str, float]) -> dict[str, int]:
  floors = {name: int(part + _EPSILON) for name, part in parts.items()}
  fractions = {name: max(parts[name] - floors[name], 0.0) for name in parts}
  # val and test go first where all is equal: an empty one stops the run.
  order = sorted(
    (name for name in (features.VAL, features.TEST, features.TRAIN) if fractions[name] > _EPSILON),
    key=lambda name: -round(owed[name] + fractions[name], 9),
  )
  for name in order[: total - sum(floors.values())]:
    floors[name] += 1
  return floors


def place(
  clusters: Iterable[tuple[str, Mapping[str, int]]],
  tallies: Mapping[str, Tally],
  config: SplitConfig,
  singles: int,
) -> Iterator[tuple[str, str]]:
  """Gives each cluster of free images its split, as a whole.

  It goes where the squared distances of its classes from their shares grow least;
  where that is equal, where the whole data set is shortest of images. Where the
  shares would leave a split empty, as they do with a handful of patients, the
  smallest clusters go to the empty splits.

  Args:
    clusters: name, and number of images by class; the largest first.
    tallies: by class; they count the clusters as free images.
    config: shares.
    singles: free images in no cluster.

  Yields:
    (cluster, split).
  """
  short = {label: _targets(tally, config) for label, tally in tallies.items()}
  for label, tally in tallies.items():
    for name in features.SPLITS:
      short[label][name] -= tally.fixed.get(name, 0)
  overall = {name: sum(each[name] for each in short.values()) for name in features.SPLITS}
  empty = {
    name for name in features.SPLITS if not any(tally.fixed.get(name) for tally in tallies.values())
  }
  for (cluster, classes), left in _with_rest(clusters, len(features.SPLITS)):
    growth = {
      name: sum(count * (count - 2 * short[label][name]) for label, count in classes.items())
      for name in features.SPLITS
    }
    open_splits = [
      name for name in features.SPLITS if name in empty or left + singles >= len(empty)
    ]
    best = min(open_splits, key=lambda name: (round(growth[name], 9), -overall[name]))
    for label, count in classes.items():
      short[label][best] -= count
      overall[best] -= count
    empty.discard(best)
    yield cluster, best


def _with_rest(items: Iterable[T], most: int) -> Iterator[tuple[T, int]]:
  """Yields each item and how many come after it, counted up to `most`."""
  waiting: collections.deque[T] = collections.deque()
  for item in items:
    waiting.append(item)
    if len(waiting) > most:
      yield waiting.popleft(), most
  while waiting:
    yield waiting.popleft(), len(waiting)


def _targets(tally: Tally, config: SplitConfig) -> dict[str, float]:
  if tally.total < SMALLEST_SPLIT_CLASS:
    return {**dict.fromkeys(features.SPLITS, 0.0), features.TRAIN: float(tally.total)}
  return {name: getattr(config, name) * tally.total for name in features.SPLITS}


def assign(
  rows: Iterable[tuple[int, str]],
  quota: Mapping[str, Mapping[str, int]],
) -> Iterator[tuple[int, str]]:
  """Gives each free row its split.

  Args:
    rows: (row, class), the rows of a class one after another in the order of
      `order_key`.
    quota: as `quotas` returns it.

  Yields:
    (row, split).
  """
  current = None
  splits: Iterator[str] = iter(())
  for row, label in rows:
    if label != current:
      current = label
      splits = (name for name in features.SPLITS for _ in range(quota[label][name]))
    yield row, next(splits)


def small_classes(tallies: Mapping[str, Tally]) -> list[str]:
  """Returns the classes that go to train as a whole, for their few images."""
  return sorted(label for label, tally in tallies.items() if tally.total < SMALLEST_SPLIT_CLASS)


def check_splits(sizes: Mapping[str, int], config: SplitConfig, largest: int = 0) -> None:
  """Raises DataError where a split is empty.

  Args:
    sizes: images by split.
    config: shares.
    largest: images of the largest cluster.
  """
  causes = ''
  if largest > 1:
    causes += f' Up to {largest} images belong together and are never divided.'
  if config.time_column:
    causes += f' Images of one {config.time_column} are never divided.'
  for name in features.SPLITS:
    if not sizes.get(name):
      shares = '/'.join(f'{100 * getattr(config, split):g}' for split in features.SPLITS)
      raise DataError(
        f'split: expected images in each of {", ".join(features.SPLITS)}. Received: none in '
        f'{name}, of {sum(sizes.values())} images at {shares} %. Add images, raise '
        f'data.split.{name}, or name the split of some rows in a column called split; a split '
        f'lock that leaves no room for it can be removed.{causes}'
      )


def without_train(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
  """Returns the number of images of each class that has none in train, by class.

  What was served may hold labels that nobody trained on: production does not count.

  Args:
    counts: {split: {class: images}}.
  """
  fitted = [counts[name] for name in features.SPLITS]
  held = {label for classes in fitted for label in classes}
  return {
    label: sum(classes.get(label, 0) for classes in fitted)
    for label in sorted(held)
    if not counts[features.TRAIN].get(label)
  }
