"""What chance alone does to a comparison of two samples.

A threshold of the schema is a change that matters. Two samples of one and the
same set differ too, so what they may differ by is added, or, where that alone is
larger, takes its place.
"""

import math
from collections.abc import Mapping

import scipy.stats

# How often each comparison may raise a false alarm.
FALSE_ALARMS = 0.01
# TFDV lays the ten quantiles of one sample over the ten of the other.
_BUCKETS = 20


def divergence(first: int, second: int) -> float:
  """Returns what chance adds to a Jensen-Shannon divergence (base 2).

  To second order it is the sum over k buckets of (p - q)^2 / (p + q), divided by
  4 ln 2. Of two samples of one set, that is (1/n + 1/m) times a chi-square of
  k - 1 degrees of freedom, over 8 ln 2; here its 99 % quantile. What TFDV's coarse
  buckets add, however many the images, is in the schema's threshold.

  Args:
    first: number of values of one sample.
    second: of the other.
  """
  quantile = scipy.stats.chi2.ppf(1 - FALSE_ALARMS, _BUCKETS - 1)
  return float(quantile * (1 / first + 1 / second) / (8 * math.log(2)))


def share_change(first: Mapping[str, int], second: Mapping[str, int]) -> float:
  """Returns by how much the share of the most changed class may change by chance.

  The two-proportion z-test of that class, with its pooled share, at 1 % divided
  by the number of classes (Bonferroni), two-sided.

  Args:
    first: images by class of one sample.
    second: of the other.
  """
  label = most_changed(first, second)
  n, m = sum(first.values()), sum(second.values())
  pooled = (first.get(label, 0) + second.get(label, 0)) / (n + m)
  classes = len({*first, *second})
  z = scipy.stats.norm.isf(FALSE_ALARMS / (2 * classes))
  return float(z * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m)))


def most_changed(first: Mapping[str, int], second: Mapping[str, int]) -> str:
  """Returns the class whose share changed most, the first by name of equals."""
  n, m = sum(first.values()), sum(second.values())
  return max(
    sorted({*first, *second}),
    key=lambda label: abs(first.get(label, 0) / n - second.get(label, 0) / m),
  )
