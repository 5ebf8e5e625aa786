"""Which images belong together: a union-find over their positions."""

import numpy as np


class Clusters:
  """n items, each alone at first."""

  def __init__(self, n: int):
    self._parents: np.ndarray = np.arange(n, dtype=np.int32)

  def join(self, a: int, b: int) -> None:
    """Puts the clusters of two items together; the smaller root stays."""
    first, second = sorted((self._root(a), self._root(b)))
    self._parents[second] = first

  def roots(self) -> np.ndarray:
    """Returns int32 [n]: equal for the items of a cluster."""
    for item in range(len(self._parents)):
      self._parents[item] = self._root(item)
    return self._parents.copy()

  def _root(self, item: int) -> int:
    parents = self._parents
    while parents[item] != item:
      parents[item] = parents[parents[item]]
      item = int(parents[item])
    return item
