"""Fits on train what known images look like to the network, and on val how foreign is foreign."""

import math
from collections.abc import Callable, Iterable

import numpy as np

from models.known_images import KnownImages

# Axes of the covariance that are kept: 0.3 MB of 1,280 features
# (docs/decisions/0014-foreign-images.md).
RANK = 64
# Below it the features do not vary: a network that answers the same to everything.
_LEAST_VARIANCE = 1e-12


class Moments:
  """First and second moments of features by class, in one pass and float64."""

  def __init__(self, classes: int, width: int):
    """Takes the number of classes, K, and of features, d."""
    self._counts: np.ndarray = np.zeros(classes)
    self._sums: np.ndarray = np.zeros((classes, width))
    self._products: np.ndarray = np.zeros((width, width))

  def add(self, features: np.ndarray, label_ids: np.ndarray) -> None:
    """Takes features, float [n, d], and label ids, int [n]."""
    values: np.ndarray = features.astype(np.float64)
    np.add.at(self._counts, label_ids, 1)
    np.add.at(self._sums, label_ids, values)
    self._products += values.T @ values

  def known(self) -> KnownImages:
    """Returns the means of the classes that were seen, and their shrunk covariance."""
    seen = self._counts > 0
    counts, sums = self._counts[seen], self._sums[seen]
    means = sums / counts[:, None]
    within = (self._products - means.T @ sums) / counts.sum()
    variances, axes = np.linalg.eigh(shrink((within + within.T) / 2, int(counts.sum())))
    rank = min(RANK, len(variances) - 1)
    # eigh sorts them, the smallest first.
    rest, largest = variances[: len(variances) - rank], variances[len(variances) - rank :]
    kept = axes[:, len(variances) - rank :]
    # An axis has two directions; which of them is found is the library's choice.
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(rank)])
    return KnownImages(
      means.astype(np.float32),
      (kept * signs).astype(np.float32),
      np.sqrt(largest).astype(np.float32),
      np.sqrt(rest.mean()).astype(np.float32),
    )


def shrink(covariance: np.ndarray, count: int) -> np.ndarray:
  """Moves a covariance towards that of a ball of its size (OAS; Chen et al., 2010).

  Args:
    covariance: float64 [d, d], of the sample.
    count: of the sample, at least 1.

  Returns:
    One without a variance of 0, also where there are fewer images than features.
  """
  width = len(covariance)
  size = np.trace(covariance) / width
  if size < _LEAST_VARIANCE:
    return np.eye(width) * _LEAST_VARIANCE
  spread = (covariance**2).mean()
  share = min((spread + size**2) / ((count + 1) * (spread - size**2 / width) + 1e-300), 1.0)
  return (1 - share) * covariance + share * size * np.eye(width)


def fit(to_features: Callable, batches: Iterable, classes: int, width: int) -> KnownImages:
  """Goes through train once.

  Args:
    to_features: from pixels [N, H, W, 3] to features float32 [N, d].
    batches: of (pixels, one-hot labels), not augmented.
    classes: K.
    width: d.
  """
  moments = Moments(classes, width)
  for pixels, labels in batches:
    moments.add(np.asarray(to_features(pixels)), np.asarray(labels).argmax(axis=1))
  return moments.known()


def limit(scores: np.ndarray, share: float) -> float:
  """Returns the score above which an image is called foreign.

  The conformal quantile of val (Vovk et al., 2005): of images drawn as those of val were, at
  most `share` lie above it on average, or 1 / (n + 1) where val is too small for that.

  Args:
    scores: float [n] of val, at least one.
    share: 0..1, of known images that may be called foreign.
  """
  ordered = np.sort(scores.astype(np.float64))
  # 1e-9: 0.01 of 100 is to be 1, and not a little more.
  rank = min(math.ceil((len(ordered) + 1) * (1 - share) - 1e-9), len(ordered))
  if rank < 1:
    return 0.0
  if rank == len(ordered):
    # A served score differs from this one in its last digits.
    return float(ordered[-1]) * (1 + 1e-4)
  return float(ordered[rank - 1] + ordered[rank]) / 2
