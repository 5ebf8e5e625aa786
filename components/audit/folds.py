"""Folds for out-of-fold predictions that keep a cluster together.

A near-copy in another fold would vouch for its own wrong label.
"""

import numpy as np

FOLDS = 5


def assign(labels: np.ndarray, clusters: np.ndarray, seed: int, count: int = FOLDS) -> np.ndarray:
  """Deals images to folds: clusters whole, classes evenly.

  Args:
    labels: int [n], the class of each image.
    clusters: int [n]; images of one cluster hold the same number, 0 or above;
      an image that is alone holds -1.
    seed: another seed gives other folds.
    count: how many folds.

  Returns:
    int8 [n], the fold of each image.
  """
  order = np.random.default_rng(seed).permutation(len(labels))
  result: np.ndarray = np.zeros(len(labels), np.int8)
  taken = [[0] * count for _ in range(int(labels.max()) + 1)] if len(labels) else []
  totals = [0] * count

  def deal(members: list[int]) -> None:
    of_class = taken[labels[members[0]]]
    fold = min(range(count), key=lambda fold: (of_class[fold], totals[fold]))
    totals[fold] += len(members)
    for member in members:
      taken[labels[member]][fold] += 1
      result[member] = fold

  # The large ones first: those that are alone then fill the gaps.
  for members in sorted(_clusters(order, clusters), key=len, reverse=True):
    deal(members)
  for image in order[clusters[order] < 0]:
    deal([int(image)])
  return result


def _clusters(order: np.ndarray, clusters: np.ndarray) -> list[list[int]]:
  found: dict[int, list[int]] = {}
  for image in order[clusters[order] >= 0]:
    found.setdefault(int(clusters[image]), []).append(int(image))
  return list(found.values())


def training_rows(
  labels: np.ndarray, candidates: np.ndarray, limit: int, at_least: int, seed: int
) -> np.ndarray:
  """Chooses at most about `limit` images to train on, and of every class some.

  Args:
    labels: int [n], the class of each image.
    candidates: int [m], positions of the images that may be chosen.
    limit: how many to choose; exceeded only by the rule of the next argument.
    at_least: so many of each class are chosen before the rest, where it has them.
    seed: of the choice.

  Returns:
    int [at most m], positions in ascending order.
  """
  if len(candidates) <= limit:
    return candidates
  shuffled = np.random.default_rng(seed).permutation(candidates)
  by_class = np.argsort(labels[shuffled], kind='stable')
  ordered = labels[shuffled][by_class]
  firsts = np.searchsorted(ordered, ordered)
  rank: np.ndarray = np.empty(len(shuffled), np.int64)
  rank[by_class] = np.arange(len(shuffled)) - firsts
  wanted = rank < at_least
  spare = max(limit - int(wanted.sum()), 0)
  return np.sort(np.concatenate([shuffled[wanted], shuffled[~wanted][:spare]]))
