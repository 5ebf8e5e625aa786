"""Whether one of two models is better on the same images, or chance would do as well."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import scipy.optimize
import scipy.stats

Word = Literal['better', 'same', 'worse', 'undecided']

SIGNIFICANT = 0.05
_POWER = 0.8
_DRAWS = 20_000
# Of one kind, and none of the other, have a p below 0.05 by McNemar's exact test.
_FEWEST = 6
# Up to here every way to flip the signs is tried, and none is drawn.
_EXACT = 14


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A first model against a second one, on the same images.

  Attributes:
    verdict: `better` and `worse` are beyond chance; `same` is not shown to be worse by
      more than is accepted; `undecided` looks worse than that, and chance could do it.
    n: images.
    groups: what is independent among them: an image, or a cluster of them.
    only_first: images that only the first has right.
    only_second: images that only the second has right.
    difference: of the accuracies, first less second.
    interval: of 95 %, of that difference.
    p: two-sided; of McNemar's exact test (1947), or where images hang together of the
      test that flips the sign of each cluster's difference.
    test: which of the two.
    detectable: the smallest difference that this test set would show 4 times of 5; None
      where it would show none.
  """

  verdict: Word
  n: int
  groups: int
  only_first: int
  only_second: int
  difference: float
  interval: tuple[float, float]
  p: float
  test: str
  detectable: float | None

  def in_words(self) -> str:
    """Returns difference, interval, test and what could have been seen."""
    low, high = self.interval
    seen = (
      'this test set is too small to show any difference'
      if self.detectable is None
      else f'this test set would show one of {100 * self.detectable:.1f} points'
    )
    return (
      f'{self.difference:+.4f} (95 % interval {low:+.4f} to {high:+.4f}; only it is right on '
      f'{self.only_first} images, only the other on {self.only_second}; {self.test}, '
      f'p {self.p:.2g}; {seen})'
    )


def compare(
  first: np.ndarray,
  second: np.ndarray,
  clusters: Sequence[str] | None,
  accepted_drop: float,
) -> Comparison:
  """Compares two models image by image.

  Args:
    first: bool [N], whether the first model has each image right.
    second: bool [N], likewise.
    clusters: N names; images of one name hang together, '' is alone. None: all are.
    accepted_drop: how much worse than the second still counts as the same, 0 to 1.

  Raises:
    ValueError: there is no image.
  """
  n = len(first)
  if n == 0:
    raise ValueError('comparison: expected at least one image. Received: none.')
  changes = first.astype(np.int64) - second.astype(np.int64)
  groups = _groups(clusters, n)
  sums = np.bincount(groups, changes)
  alone = len(sums) == n
  up, down = int((changes > 0).sum()), int((changes < 0).sum())
  p = mcnemar(up, down) if alone else flipped(sums)
  difference = float(changes.mean())
  interval, inflation = _interval(changes, groups)
  return Comparison(
    _verdict(difference, interval, p, accepted_drop),
    n,
    len(sums),
    up,
    down,
    difference,
    interval,
    p,
    "McNemar's exact test" if alone else f'signs of {len(sums)} clusters flipped',
    detectable(n / inflation, (up + down + 2) / (n + 2)),
  )


def mcnemar(only_first: int, only_second: int) -> float:
  """Returns p of McNemar's exact test (1947), two-sided: a fair coin over both numbers."""
  apart = only_first + only_second
  return float(scipy.stats.binomtest(only_first, apart, 0.5).pvalue) if apart else 1.0


def flipped(sums: np.ndarray) -> float:
  """Returns p, two-sided, of a sum whose terms could as well have had the other sign.

  Args:
    sums: the difference of each cluster.
  """
  terms = sums[sums != 0]
  if not len(terms):
    return 1.0
  found = abs(terms.sum()) - 1e-9
  if len(terms) <= _EXACT:
    signs = np.array(list(itertools.product((-1, 1), repeat=len(terms))))
    return float((np.abs(signs @ terms) >= found).mean())
  draw = np.random.default_rng(0)
  extreme = 0
  for _ in range(0, _DRAWS, 1000):
    signs = draw.choice((-1.0, 1.0), (1000, len(terms)))
    extreme += int((np.abs(signs @ terms) >= found).sum())
  return (extreme + 1) / (_DRAWS + 1)


def detectable(n: float, apart: float) -> float | None:
  """Returns the smallest difference that McNemar's test shows with a power of 0.8.

  By Connor (1987), at a level of 0.05, two-sided.

  Args:
    n: independent images.
    apart: share of the images on which two models like these disagree.
  """
  level, power = scipy.stats.norm.ppf([1 - SIGNIFICANT / 2, _POWER])

  def missing(difference: float) -> float:
    share = max(apart, difference)
    wanted = level * math.sqrt(share) + power * math.sqrt(share - difference**2)
    return (wanted / difference) ** 2 - n

  if n < _FEWEST or missing(1.0) > 0:
    return None
  return float(scipy.optimize.brentq(missing, 1e-6, 1.0))


def worse_slices(
  first: np.ndarray,
  second: np.ndarray,
  clusters: Sequence[str] | None,
  slices: Mapping[str, np.ndarray],
) -> dict[str, Comparison]:
  """Returns the slices on which the first model is worse beyond chance.

  With p corrected after Holm (1979) for all slices that were looked at.

  Args:
    first: bool [N], whether the first model has each image right.
    second: bool [N], likewise.
    clusters: as `compare` takes them.
    slices: bool [N] by name: which images are in each.
  """
  found = {
    name: compare(
      first[inside],
      second[inside],
      None if clusters is None else np.asarray(clusters)[inside].tolist(),
      0.0,
    )
    for name, inside in slices.items()
    if inside.any()
  }
  largest, worse = 0.0, {}
  for index, name in enumerate(sorted(found, key=lambda name: found[name].p)):
    largest = max(largest, found[name].p * (len(found) - index))
    if largest < SIGNIFICANT and found[name].difference < 0:
      worse[name] = dataclasses.replace(found[name], p=largest)
  return worse


def _groups(clusters: Sequence[str] | None, n: int) -> np.ndarray:
  if clusters is None:
    return np.arange(n)
  alone = [name or f'\0{place}' for place, name in enumerate(clusters)]
  return np.unique(alone, return_inverse=True)[1]


def _interval(changes: np.ndarray, groups: np.ndarray) -> tuple[tuple[float, float], float]:
  """Returns the interval of the mean change, and by what clusters widen its variance.

  Bonett and Price (2012): normal, with one more image for each model. Clusters count
  as wholes in the variance (Rao and Scott, 1992).
  """
  padded: np.ndarray = np.append(changes, [1, -1])
  of: np.ndarray = np.append(groups, [groups.max() + 1, groups.max() + 2])
  n, mean = len(padded), float(padded.mean())
  residuals = np.bincount(of, padded - mean)
  count = len(residuals)
  variance = count / (count - 1) * float((residuals**2).sum()) / n**2
  independent = float(((padded - mean) ** 2).sum()) / n**2
  half = float(scipy.stats.norm.ppf(1 - SIGNIFICANT / 2)) * math.sqrt(variance)
  return (max(mean - half, -1.0), min(mean + half, 1.0)), max(variance / independent, 1.0)


def _verdict(
  difference: float, interval: tuple[float, float], p: float, accepted_drop: float
) -> Word:
  if p < SIGNIFICANT and difference > 0:
    return 'better'
  if interval[0] >= -accepted_drop:
    return 'same'
  if p < SIGNIFICANT:
    return 'worse'
  return 'same' if difference >= -accepted_drop else 'undecided'
