"""Labels that look wrong, from predictions by models that never saw the image.

Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating
Uncertainty in Dataset Labels", JAIR 2021), by the library of its authors.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from components.audit import cheap_features, folds

# Extremely randomized trees (Geurts, Ernst and Wehenkel, 2006) found the most
# flipped labels of the classifiers that were compared; a handful at a time,
# because a tree holds a row of class shares in each node.
_TREES = 100
_TREES_AT_ONCE = 10
_LEAF = 2
_COLUMNS_A_SPLIT = 40
# Images that each fold trains on: what bounds time and memory on large data sets.
_LIMIT = 4000
_LIMIT_A_CLASS = 40
_MOST = 20_000
_AT_LEAST = 20
_CHUNK = 512


class Suspects(NamedTuple):
  """What the cheap model thinks of each label; arrays in the order of the images.

  Attributes:
    score: float [n], 0..1: the probability that it gives the label that the
      image has; low is suspicious. NaN where the class is too small to judge.
    suggestion: int [n], the class that it would choose; -1 where not judged.
    flagged: bool [n], a label error by confident learning.
    accuracy: share of the judged images whose label it predicts; NaN without any.
    judged: number of images.
    unjudged: the classes that are too small, by their index.
  """

  score: np.ndarray
  suggestion: np.ndarray
  flagged: np.ndarray
  accuracy: float
  judged: int
  unjudged: list[int]

  def ranking(self) -> np.ndarray:
    """Returns the positions of the judged images, the most suspicious first."""
    order = np.argsort(self.score, kind='stable')
    return order[: self.judged]  # NaN is sorted last


def find(
  thumbnails: np.ndarray, labels: np.ndarray, clusters: np.ndarray, seed: int = 0
) -> Suspects:
  """Judges the label of every image.

  The same input gives the same result. A class with fewer clusters than there
  are folds is left out: nothing could learn it without the image in question.

  Args:
    thumbnails: uint8 [n, 32, 32, 3]; may be a memory map.
    labels: int [n], 0 up to the number of classes.
    clusters: int [n], as `folds.assign` takes them.
    seed: of folds and trees.
  """
  judged, unjudged = _judged(labels, clusters)
  score = np.full(len(labels), np.nan)
  suggestion = np.full(len(labels), -1)
  flagged: np.ndarray = np.zeros(len(labels), bool)
  classes, dense = np.unique(labels[judged], return_inverse=True)
  if len(classes) < 2:
    return Suspects(score, suggestion, flagged, float('nan'), 0, sorted(set(labels.tolist())))
  # The libraries take seconds to import.
  from cleanlab import filter as cleanlab_filter
  from cleanlab import rank

  probabilities = _out_of_fold(thumbnails, judged, dense, clusters[judged], seed)
  score[judged] = rank.get_label_quality_scores(dense, probabilities, method='self_confidence')
  best = probabilities.argmax(axis=1)
  suggestion[judged] = classes[best]
  # Confident learning says how many are wrong, the score says which: of the
  # library's rules this one cried wolf least on photos.
  flagged[judged] = cleanlab_filter.find_label_issues(
    dense, probabilities, filter_by='low_self_confidence', n_jobs=1
  )
  return Suspects(score, suggestion, flagged, float((best == dense).mean()), len(judged), unjudged)


def _judged(labels: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, list[int]]:
  """Returns the positions of the images that can be judged, and the classes that cannot."""
  alone = clusters < 0
  groups = np.where(alone, np.arange(len(labels)) + clusters.max(initial=0) + 1, clusters)
  pairs = np.unique(np.stack([labels, groups]), axis=1)
  independent = np.bincount(pairs[0])
  small = np.flatnonzero((independent > 0) & (independent < folds.FOLDS))
  return np.flatnonzero(~np.isin(labels, small)), small.tolist()


def _out_of_fold(
  thumbnails: np.ndarray,
  judged: np.ndarray,
  labels: np.ndarray,
  clusters: np.ndarray,
  seed: int,
) -> np.ndarray:
  """Returns float64 [len(judged), classes], rows that sum to 1."""
  from sklearn.ensemble import ExtraTreesClassifier

  count = int(labels.max()) + 1
  limit = min(max(_LIMIT, _LIMIT_A_CLASS * count), _MOST)
  fold_of = folds.assign(labels, clusters, seed)
  result: np.ndarray = np.zeros((len(judged), count))
  for fold in range(folds.FOLDS):
    held_out = np.flatnonzero(fold_of == fold)
    rows = folds.training_rows(labels, np.flatnonzero(fold_of != fold), limit, _AT_LEAST, seed)
    train, test = (_features(thumbnails, judged[part]) for part in (rows, held_out))
    for number in range(_TREES // _TREES_AT_ONCE):
      trees = ExtraTreesClassifier(
        _TREES_AT_ONCE,
        min_samples_leaf=_LEAF,
        max_features=_COLUMNS_A_SPLIT,
        class_weight='balanced',
        random_state=seed + number,
        n_jobs=-1,
      )
      trees.fit(train, labels[rows])
      # In one thread, so that sums are taken in one order.
      trees.set_params(n_jobs=1)
      result[np.ix_(held_out, trees.classes_)] += trees.predict_proba(test)
  return result / result.sum(axis=1, keepdims=True)


def _features(thumbnails: np.ndarray, positions: np.ndarray) -> np.ndarray:
  result: np.ndarray = np.empty((len(positions), cheap_features.WIDTH), np.float32)
  for start in range(0, len(positions), _CHUNK):
    chunk = positions[start : start + _CHUNK]
    result[start : start + _CHUNK] = cheap_features.features(thumbnails[chunk])
  return result


def numbered(names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
  """Returns each name's number in the sorted list of names, and that list."""
  known = sorted(set(names))
  number = {name: index for index, name in enumerate(known)}
  return np.array([number[name] for name in names], np.int64), known


def cluster_numbers(clusters: Sequence[str]) -> np.ndarray:
  """Returns int [n]: equal for equal names, -1 for ''."""
  known: dict[str, int] = {}
  return np.array(
    [known.setdefault(name, len(known)) if name else -1 for name in clusters], np.int64
  )
