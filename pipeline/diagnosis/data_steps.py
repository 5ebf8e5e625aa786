"""Are the images, or their labels, other ones than those of the run?"""

import collections
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import scipy.stats
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate import drift
from components.evaluator import metrics
from components.image_example_gen import records
from components.image_example_gen.inspection import Inspected
from components.schema_gen import comparators
from components.schema_gen import statistics as statistics_of
from pipeline.diagnosis.step import (
  ACCURACY,
  CONFIDENCE,
  GAP,
  LABELS,
  NOT_DONE,
  OK,
  PROPERTIES,
  Step,
)
from schemas import features

# How often each test may raise a false alarm, as in DataGate.
FALSE_ALARMS = 0.01
# Of the distribution of the probabilities: a tenth of the images are answered otherwise.
LARGEST_DISTANCE = 0.1
# The power at which the smallest gap that would show is told.
_POWER = 0.8
_COLUMNS = {
  'label': features.LABEL,
  'format': features.IMAGE_FORMAT,
  **records.INTEGERS,
  **records.FLOATS,
}


def accuracy(
  right: np.ndarray, test_right: np.ndarray, unknown: Mapping[str, int], expected: float | None
) -> Step:
  """Compares the export's accuracy on the given images with that on test.

  By Fisher's exact test of two independent proportions.

  Args:
    right: bool [N], of the given images; false where the label is unknown.
    test_right: bool [M], of test.
    unknown: labels that the model does not know, with their images.
    expected: the accuracy that test would have with the given images' shares of labels;
      None where it cannot be told.
  """
  ours = metrics.proportion(int(right.sum()), len(right))
  theirs = metrics.proportion(int(test_right.sum()), len(test_right))
  if not (len(right) and len(test_right)):
    return Step(ACCURACY, NOT_DONE, f'{len(right)} images given, {len(test_right)} of test')
  table = [
    [int(right.sum()), int((~right).sum())],
    [int(test_right.sum()), int((~test_right).sum())],
  ]
  probability = float(scipy.stats.fisher_exact(table).pvalue)
  lower = ours['value'] < theirs['value']
  found = probability < FALSE_ALARMS
  figures = {
    'given': ours,
    'test': theirs,
    'p': probability,
    'smallest_gap': smallest_gap(float(theirs['value']), len(right), len(test_right)),
    'unknown_labels': dict(unknown),
    'expected_by_labels': expected,
  }
  told = (
    f'{_proportion(ours)} against {_proportion(theirs)} on test: p {probability:.2g}'
    + ('' if found else f'; {figures["smallest_gap"]:.0%} less would have shown')
    + (f'; test with these labels {expected:.1%}' if expected is not None else '')
    + (f'; {sum(unknown.values())} of unknown labels count as wrong' if unknown else '')
  )
  return Step(ACCURACY, GAP if found and lower else OK, told, figures=figures)


def smallest_gap(accuracy_of_test: float, given: int, test: int) -> float:
  """Returns the loss that the test shows four times out of five, by the normal approximation.

  Two independent proportions, both near that of test; one right answer fewer where test
  has no wrong one (Fleiss, Statistical Methods for Rates and Proportions, 3rd ed., 4.2).
  """
  p = min(max(accuracy_of_test, 1 / (test + 2)), 1 - 1 / (test + 2))
  z = scipy.stats.norm.isf(FALSE_ALARMS / 2) + scipy.stats.norm.ppf(_POWER)
  return float(min(z * math.sqrt(p * (1 - p) * (1 / given + 1 / test)), 1.0))


def expected_accuracy(
  labels: Sequence[str], test_labels: Sequence[str], test_right: np.ndarray
) -> float | None:
  """Returns test's accuracy, weighted by the given labels; None where one is not in test."""
  right: dict[str, list[bool]] = collections.defaultdict(list)
  for label, correct in zip(test_labels, test_right.tolist(), strict=True):
    right[label].append(correct)
  if not set(labels) <= set(right):
    return None
  return float(np.mean([np.mean(right[label]) for label in labels]))


def confidence(given: np.ndarray, test: np.ndarray) -> Step:
  """Compares the probability of the answers with that on test.

  By the largest distance of the two distributions (Kolmogorov and Smirnov): what matters,
  and what chance adds to it, as in DataGate. A change alone that is no chance says little
  where the images are many.

  Args:
    given: float [N], the largest probability of each image.
    test: float [M].
  """
  if not (len(given) and len(test)):
    return Step(CONFIDENCE, NOT_DONE, f'{len(given)} images given, {len(test)} of test')
  distance = float(scipy.stats.ks_2samp(given, test).statistic)
  chance = scipy.stats.kstwobign.isf(FALSE_ALARMS) * math.sqrt(1 / len(given) + 1 / len(test))
  allowed = float(LARGEST_DISTANCE + chance)
  medians = float(np.median(given)), float(np.median(test))
  return Step(
    CONFIDENCE,
    GAP if distance > allowed else OK,
    f'median {medians[0]:.3f} against {medians[1]:.3f} on test: distance {distance:.2f}, '
    f'{allowed:.2f} is allowed',
    figures={
      'given': medians[0],
      'test': medians[1],
      'distance': distance,
      'allowed': allowed,
    },
  )


def properties(
  images: Sequence[Inspected], manifest: pathlib.Path, schema: pathlib.Path, given_as: pathlib.Path
) -> tuple[Step, Step]:
  """Compares labels and looks with train, as DataGate compares production with train.

  Args:
    images: given.
    manifest: of the run's data.
    schema: of the run; its skew comparators are the limits.
    given_as: where a manifest of the given images is written, for the files in the lines.

  Returns:
    The step of the labels, and that of the measured properties.
  """
  # Further columns of the CSV are not compared.
  plain = [image._replace(row=image.row._replace(columns=())) for image in images]
  frame = pd.DataFrame(
    [records.to_row(records.Accepted(image, features.PRODUCTION), ()) for image in plain]
  )
  frame.to_parquet(given_as)
  train = pq.read_table(
    manifest, columns=list(_COLUMNS), filters=[(records.SPLIT, '=', features.TRAIN)]
  ).to_pandas()
  asked = limits(tfdv.load_schema_text(str(schema)))
  changes = list(
    drift.changes(
      drift.SKEW,
      drift.Sample('the given images', _statistics(frame), given_as, features.PRODUCTION),
      drift.Sample('train', _statistics(train), manifest, features.TRAIN),
      asked,
    )
  )
  of_labels = [change for change in changes if change.feature == features.LABEL]
  others = [change for change in changes if change.feature != features.LABEL]
  return _step(LABELS, of_labels, len(images), len(train)), _step(
    PROPERTIES, others, len(images), len(train)
  )


def limits(schema: schema_pb2.Schema) -> schema_pb2.Schema:
  """Returns the schema with Sightline's skew comparators where it has none, and one for formats."""
  result = schema_pb2.Schema()
  result.CopyFrom(schema)
  for feature in result.feature:
    if not feature.HasField('skew_comparator'):
      comparators.add(feature)
    if feature.name == features.IMAGE_FORMAT and not feature.HasField('skew_comparator'):
      feature.skew_comparator.infinity_norm.threshold = comparators.LARGEST_SHARE_CHANGE
  return result


def _step(name: str, changes: Sequence[drift.Change], given: int, train: int) -> Step:
  figures = {
    'images': given,
    'train': train,
    'changes': [
      {
        'feature': change.feature,
        'value': change.value,
        'allowed': change.allowed,
        'line': change.line,
      }
      for change in changes
    ],
  }
  if not changes:
    what = 'their shares' if name == LABELS else 'sizes, formats and looks'
    return Step(name, OK, f'{what} are those of train ({given} and {train} images)', '', figures)
  names = [change.feature.removeprefix('image/') for change in changes]
  told = '; '.join(
    f'{name}: {change.what} ({change.value:.2f}, {change.allowed:.2f} is allowed)'
    for name, change in zip(names, changes, strict=True)
  )
  return Step(name, GAP, told, ', '.join(names), figures)


def _statistics(frame: pd.DataFrame):
  return tfdv.generate_statistics_from_dataframe(
    frame[list(_COLUMNS)].rename(columns=_COLUMNS),
    tfdv.StatsOptions(num_rank_histogram_buckets=statistics_of.MOST_LABELS),
    n_jobs=1,
  )


def _proportion(found: Mapping) -> str:
  low, high = found['interval']
  return f'{found["value"]:.1%} of {found["n"]} ({low:.1%} to {high:.1%})'
