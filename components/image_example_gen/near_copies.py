"""Finds the images that show one picture, without comparing every image with every other.

Equal pixels are found by sorting. For the rest, the hash of every view of an image is
looked up among the hashes of the images as they are: in hash tables, each over some of
the 64 bits (Indyk and Motwani, "Approximate nearest neighbors", 1998). What is found
and differs in at most MAX_DISTANCE bits is compared by its pixels (alignment). A table
takes as many bits as keep its buckets below one image on average, so that the work
grows as the images do. Which bits those are depends on the number of images alone;
what is found among them, on the two images alone, until a bucket holds more than WINDOW.
"""

import tempfile
from collections.abc import Collection, Iterator
from typing import IO, NamedTuple

import numpy as np

from components.image_example_gen import alignment, parallel, views
from components.image_example_gen.clusters import Clusters
from components.image_example_gen.descriptions import Descriptions

SAME_PIXELS = 'same pixels'
# Of 64 bits. 3.5 of 10 million pairs of photos of different things differ in fewer.
MAX_DISTANCE = 12
# Tables that are in memory at once, about 10 bytes an image each, and how often.
TABLES = 12
PASSES = 3
# A table has 8 to 16 times as many buckets as there are images, but at most 2**24: the
# sums of float32 that make the keys are exact below.
_SPARE_BITS = 3
_MAX_KEY_BITS = 24
# Images of one bucket that a view is compared with.
WINDOW = 64
# Pairs of one image that are compared by pixels in one pass; the nearest first.
MAX_CANDIDATES = 4
# Images with less to see (PDQ's quality) have copies of equal pixels only: any two
# flat images are alike.
MIN_QUALITY = 30
# Below, an image has too few pixels for two pictures to be told from two copies.
MIN_SIDE = 32
# Images whose views are worked on at once, and hashes that are unpacked at once.
_CHUNK = 128
_ROWS = 8192
_SEED = 20190807


class Match(NamedTuple):
  """Two images that show one picture.

  Attributes:
    first: position, the lower one.
    second: position.
    how: SAME_PIXELS, 're-encoded', 'mirrored', 'rotated by 90', 'cropped', ...: what
      was done to one of them; turns are clockwise from the first to the second.
    similarity: correlation where they overlap, 0..1; 1 where the pixels are equal.
  """

  first: int
  second: int
  how: str
  similarity: float


class Effort:
  """Counts what a search did.

  Attributes:
    compared: hashes that were compared with another.
    aligned: pairs that were compared by their pixels.
  """

  def __init__(self) -> None:
    self.compared = 0
    self.aligned = 0


def find(
  descriptions: Descriptions, effort: Effort | None = None, kept: Collection[int] = ()
) -> Iterator[Match]:
  """Yields the matches that join all copies of a picture: a tree, not every pair.

  Two images that are already joined through others are not compared. What is found
  does not depend on the order of the images.

  Args:
    descriptions: of the images.
    effort: counts what is done.
    kept: positions of images that a person has looked at: two of them are no copies
      of each other, unless their pixels are equal. Through a third they may be joined.
  """
  effort = effort or Effort()
  order, leaders = _by_pixels(descriptions)
  clusters = Clusters(len(descriptions))
  for rank in np.flatnonzero(leaders != order):
    first, second = sorted((int(leaders[rank]), int(order[rank])))
    clusters.join(first, second)
    yield Match(first, second, SAME_PIXELS, 1.0)
  quality, side = descriptions.column('quality'), descriptions.column('side')
  worth = (leaders == order) & (quality[order] >= MIN_QUALITY) & (side[order] >= MIN_SIDE)
  members = order[worth]
  del order, leaders, worth, quality, side
  if len(members) > 1:
    yield from _near(descriptions, members, clusters, effort, kept)


def _by_pixels(descriptions: Descriptions) -> tuple[np.ndarray, np.ndarray]:
  """Returns positions in the order of their pixel_id, and each one's first equal one."""
  ids = descriptions.column('pixel_id')
  # As bytes: of one width, so that sorting and comparing are NumPy's own.
  ids = ids.view('V32')[:, 0] if len(ids) else np.empty(0, 'V32')
  order = np.argsort(ids, kind='stable').astype(np.int32)
  new: np.ndarray = np.ones(len(order), bool)
  new[1:] = ids[order[1:]] != ids[order[:-1]]
  starts = np.flatnonzero(new)
  return order, order[starts[np.cumsum(new) - 1]]


def _near(
  descriptions: Descriptions,
  members: np.ndarray,
  clusters: Clusters,
  effort: Effort,
  kept: Collection[int],
) -> Iterator[Match]:
  hashes = _low_hashes(descriptions, members)
  with tempfile.TemporaryFile() as stream:
    # Three kilobytes an image, which every pass reads again.
    for seen in parallel.ordered_map(views.view_hashes, _signatures(descriptions, members)):
      stream.write(seen.tobytes())
    for tables in np.split(_bits(len(members)), PASSES):
      index = _Index(hashes, tables)
      for candidates, compared in parallel.ordered_map(index.candidates, _seen(stream)):
        effort.compared += compared
        for rank, others in candidates.items():
          position = int(members[rank])
          if position in kept:
            others = [each for each in others if int(members[each[0]]) not in kept]
          yield from _aligned(descriptions, position, others, members, clusters, effort)
      # Before the next pass's tables are made.
      del index


def _signatures(descriptions: Descriptions, members: np.ndarray) -> Iterator[np.ndarray]:
  for start in range(0, len(members), _CHUNK):
    yield descriptions.signatures(members[start : start + _CHUNK])


def _seen(stream: IO[bytes]) -> Iterator[tuple[int, np.ndarray]]:
  """Yields the rank of a chunk's first image, and uint64 [k, views], the hashes of its views."""
  stream.seek(0)
  count, start = len(views.views()), 0
  while data := stream.read(_CHUNK * count * 8):
    hashes = np.frombuffer(data, np.uint64).reshape(-1, count)
    yield start, hashes
    start += len(hashes)


def _low_hashes(descriptions: Descriptions, members: np.ndarray) -> np.ndarray:
  hashes = descriptions.column('hash')
  low: np.ndarray = np.empty(len(members), np.uint64)
  for start in range(0, len(members), _ROWS):
    rows = slice(start, start + _ROWS)
    low[rows] = views.low_hashes(hashes[members[rows]])
  return low


def _aligned(
  descriptions: Descriptions,
  position: int,
  others: list[tuple[int, int]],
  members: np.ndarray,
  clusters: Clusters,
  effort: Effort,
) -> Iterator[Match]:
  """Compares one image with its candidates by pixels."""
  left = MAX_CANDIDATES
  signature = descriptions.signature(position)
  for rank, view in others:
    other = int(members[rank])
    if clusters.root(position) == clusters.root(other):
      continue
    if not left:
      return
    left -= 1
    effort.aligned += 1
    seen = views.views()[view]
    fit = alignment.fit(signature, descriptions.signature(other), seen)
    if fit is None:
      continue
    clusters.join(position, other)
    how = seen.how if position < other else seen.back
    if not how:
      how = 're-encoded' if fit.in_place else 'cropped'
    yield Match(min(position, other), max(position, other), how, fit.correlation)


class _Index:
  """Hash tables over the images as they are.

  Args:
    hashes: uint64 [n], in an order that depends on the images alone.
    tables: int [k, bits], the bits that each table takes.
  """

  def __init__(self, hashes: np.ndarray, tables: np.ndarray) -> None:
    self._hashes = hashes
    self._tables = tables
    count, bits = tables.shape
    self._orders: np.ndarray = np.empty((count, len(hashes)), np.int32)
    self._keys: np.ndarray = np.empty((count, len(hashes)), np.int32)
    # A bit for every key that occurs: most that are looked up do not.
    self._present: np.ndarray = np.zeros((count, (1 << bits) // 8), np.uint8)
    for start in range(0, len(hashes), _ROWS):
      rows = slice(start, start + _ROWS)
      self._keys[:, rows] = _keys(hashes[rows], tables)
    for keys, order, present in zip(self._keys, self._orders, self._present, strict=True):
      # Within a bucket by hash, so that the nearest are close together.
      order[:] = np.lexsort((hashes, keys))
      keys[:] = keys[order]
      np.bitwise_or.at(present, keys >> 3, np.left_shift(1, keys & 7).astype(np.uint8))

  def candidates(
    self, chunk: tuple[int, np.ndarray]
  ) -> tuple[dict[int, list[tuple[int, int]]], int]:
    """Finds, for each image of a chunk, who may be a copy.

    Args:
      chunk: rank of its first image, and uint64 [k, views], the hashes of its views.

    Returns:
      by rank of an image, (rank, view) of every candidate, the nearest first; and how
      many hashes were compared.
    """
    first, hashes = chunk
    count = hashes.shape[1]
    flat = hashes.reshape(-1)
    found = [
      self._look_up(flat, keys, table) for table, keys in enumerate(_keys(flat, self._tables))
    ]
    query = np.concatenate([part[0] for part in found])
    rank = np.concatenate([part[1] for part in found])
    distance = np.concatenate([part[2] for part in found]).astype(np.int64)
    row, view = np.divmod(query, count)
    row += first
    other = rank != row
    row, view, rank, distance = (a[other] for a in (row, view, rank, distance))
    # The best view of each pair, then the pairs of an image from near to far.
    best = np.lexsort((view, distance, rank, row))
    row, view, rank, distance = (a[best] for a in (row, view, rank, distance))
    new: np.ndarray = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (rank[1:] != rank[:-1])
    row, view, rank, distance = (a[new] for a in (row, view, rank, distance))
    nearest = np.lexsort((rank, distance, row))
    row, view, rank = (a[nearest].tolist() for a in (row, view, rank))
    pairs: dict[int, list[tuple[int, int]]] = {}
    for one, other_rank, seen in zip(row, rank, view, strict=True):
      pairs.setdefault(one, []).append((other_rank, seen))
    return pairs, sum(part[3] for part in found)

  def _look_up(
    self, flat: np.ndarray, keys: np.ndarray, table: int
  ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Returns query, rank and distance of what one table finds, and how much it compared."""
    query = np.flatnonzero((self._present[table][keys >> 3] >> (keys & 7)) & 1)
    wanted = keys[query]
    start, end = self._narrowed(
      flat[query],
      np.asarray(np.searchsorted(self._keys[table], wanted, 'left')),
      np.asarray(np.searchsorted(self._keys[table], wanted, 'right')),
      table,
    )
    length = end - start
    compared = int(length.sum())
    offset = np.arange(compared) - np.repeat(np.cumsum(length) - length, length)
    rank = self._orders[table][np.repeat(start, length) + offset]
    query = np.repeat(query, length)
    distance = np.bitwise_count(flat[query] ^ self._hashes[rank])
    near = distance <= MAX_DISTANCE
    return query[near], rank[near].astype(np.int64), distance[near], compared

  def _narrowed(
    self, flat: np.ndarray, start: np.ndarray, end: np.ndarray, table: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Leaves WINDOW images of a larger bucket: those next to where the query would stand."""
    large = np.flatnonzero(end - start > WINDOW)
    if not len(large):
      return start, end
    low, high = start[large].copy(), end[large].copy()
    while np.any(low < high):
      # Bisection in all buckets at once.
      middle = (low + high) // 2
      value = self._hashes[self._orders[table][np.minimum(middle, end[large] - 1)]]
      below = (low < high) & (value < flat[large])
      low = np.where(below, middle + 1, low)
      high = np.where(below, high, np.maximum(middle, low))
    start, end = start.copy(), end.copy()
    begin = np.clip(low - WINDOW // 2, start[large], end[large] - WINDOW)
    start[large], end[large] = begin, begin + WINDOW
    return start, end


def _keys(hashes: np.ndarray, tables: np.ndarray) -> np.ndarray:
  """Returns the bits of every table as a number, int32 [tables, n]."""
  weights: np.ndarray = np.zeros((len(tables), 64), np.float32)
  np.put_along_axis(weights, tables, 2.0 ** np.arange(tables.shape[1])[np.newaxis], axis=1)
  return (weights @ views.bits_of(hashes).T.astype(np.float32)).astype(np.int32)


def _bits(images: int) -> np.ndarray:
  """Returns which bits each table takes, int [TABLES * PASSES, bits], for so many images."""
  draw = np.random.default_rng(_SEED)
  bits = min(images.bit_length() + _SPARE_BITS, _MAX_KEY_BITS)
  return np.stack([draw.permutation(64)[:bits] for _ in range(TABLES * PASSES)])
