"""Whether two request logs are about the same traffic: shares of the answers, and confidence."""

import dataclasses

import numpy as np
import pandas as pd
import scipy.stats

from schemas import signatures
from schemas.errors import DataError
from serving import logged_requests

# How often two logs of the same traffic may be called different, in all.
FALSE_ALARMS = 0.01


@dataclasses.dataclass(frozen=True)
class ClassShare:
  """How often a class was answered.

  Attributes:
    label: the class.
    first: answers of the first log.
    second: of the second.
    p: of Fisher's exact test, two-sided.
    changed: whether that is beyond chance, for all classes together.
  """

  label: str
  first: int
  second: int
  p: float
  changed: bool


@dataclasses.dataclass(frozen=True)
class Comparison:
  """The second log against the first.

  Attributes:
    first: images of the first log.
    second: of the second.
    classes: the most changed first.
    distance: of Kolmogorov and Smirnov between the probabilities, 0..1.
    p: of that distance, two-sided.
    medians: of the probabilities.
    confidence_changed: whether the probabilities are other ones, beyond chance.
    versions: that answered, of each log.
  """

  first: int
  second: int
  classes: tuple[ClassShare, ...]
  distance: float
  p: float
  medians: tuple[float, float]
  confidence_changed: bool
  versions: tuple[tuple[str, ...], tuple[str, ...]]

  @property
  def changed(self) -> bool:
    """Whether the traffic, or what the model makes of it, is another."""
    return self.confidence_changed or any(one.changed for one in self.classes)


def compare(first: pd.DataFrame, second: pd.DataFrame) -> Comparison:
  """Compares two logs; each row counts as one independent image.

  The shares get one half of FALSE_ALARMS, divided by the number of classes
  (Bonferroni), the probabilities the other half. Requests that belong together, as ten
  pictures of one event do, make chance look smaller than it is.

  Args:
    first: of logged_requests.frame.
    second: likewise.

  Raises:
    DataError: a log holds no answer with a class.
  """
  for which, table in (('first', first), ('second', second)):
    if logged_requests.PREDICTED not in table or signatures.PROBABILITY not in table:
      raise DataError(
        f'The {which} log: expected answers of a Sightline model. Received: {len(table)} rows '
        'without class and probability.'
      )
  counts = [table[logged_requests.PREDICTED].value_counts() for table in (first, second)]
  labels = sorted({*counts[0].index, *counts[1].index})
  classes = [
    _share(label, counts, len(first), len(second), FALSE_ALARMS / (2 * len(labels)))
    for label in labels
  ]
  probabilities = [table[signatures.PROBABILITY].to_numpy(np.float64) for table in (first, second)]
  found = scipy.stats.ks_2samp(*probabilities)
  return Comparison(
    len(first),
    len(second),
    tuple(sorted(classes, key=lambda one: (one.p, one.label))),
    float(found.statistic),
    float(found.pvalue),
    (float(np.median(probabilities[0])), float(np.median(probabilities[1]))),
    bool(found.pvalue < FALSE_ALARMS / 2),
    (_versions(first), _versions(second)),
  )


def _share(label: str, counts: list[pd.Series], n: int, m: int, limit: float) -> ClassShare:
  a, b = (int(found.get(label, 0)) for found in counts)
  p = float(scipy.stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue)
  return ClassShare(label, a, b, p, p < limit)


def _versions(table: pd.DataFrame) -> tuple[str, ...]:
  return tuple(sorted(table[logged_requests.VERSION].unique()))
