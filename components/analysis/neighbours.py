"""The nearest training images of some images, by the features that the network makes of them."""

from collections.abc import Iterable, Sequence

import numpy as np


def nearest(
  queries: np.ndarray, batches: Iterable[tuple[Sequence[str], np.ndarray]], count: int
) -> list[list[tuple[str, float]]]:
  """Finds the nearest of many images by cosine distance, 1 - cos, 0 to 2.

  Only the nearest so far are in memory. Features of length 0 are at distance 1 of all.

  Args:
    queries: float [Q, D].
    batches: ids and features float [n, D] of those that are searched.
    count: how many for each query, at most.

  Returns:
    For each query (id, distance), the nearest first; of equals the one that came first.
  """
  asked = _of_length_one(queries)
  names: list[str] = []
  distances: np.ndarray = np.zeros((len(queries), 0))
  kept: np.ndarray = np.zeros((len(queries), 0), np.int64)
  for ids, found in batches:
    kept = np.hstack([kept, np.tile(len(names) + np.arange(len(ids)), (len(queries), 1))])
    distances = np.hstack([distances, 1 - asked @ _of_length_one(found).T])
    names.extend(ids)
    order = np.argsort(distances, axis=1, kind='stable')[:, :count]
    kept = np.take_along_axis(kept, order, axis=1)
    distances = np.take_along_axis(distances, order, axis=1)
  return [
    [(names[place], float(max(distance, 0.0))) for place, distance in zip(row, far, strict=True)]
    for row, far in zip(kept, distances, strict=True)
  ]


def _of_length_one(values: np.ndarray) -> np.ndarray:
  values = np.asarray(values, np.float64)
  lengths = np.linalg.norm(values, axis=1, keepdims=True)
  return np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
