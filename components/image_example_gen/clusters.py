"""Who belongs together: disjoint sets over positions, 4 bytes an image."""

import numpy as np


class Clusters:
  """Disjoint sets of the positions 0..n-1; a set's root is its lowest position."""

  def __init__(self, count: int) -> None:
    self._parents: np.ndarray = np.arange(count, dtype=np.int32)

  def root(self, position: int) -> int:
    """Returns the lowest position of the set, and shortens the way to it."""
    parents = self._parents
    while parents[position] != position:
      parents[position] = parents[parents[position]]
      position = int(parents[position])
    return int(position)

  def join(self, first: int, second: int) -> bool:
    """Makes one set of two; returns False where they already were one."""
    first, second = self.root(first), self.root(second)
    if first == second:
      return False
    low, high = min(first, second), max(first, second)
    self._parents[high] = low
    return True

  def roots(self) -> np.ndarray:
    """Returns every position's root, int32 [n]."""
    while True:
      # Each round halves the way of all at once.
      shorter = self._parents[self._parents]
      if np.array_equal(shorter, self._parents):
        return shorter
      self._parents = shorter
