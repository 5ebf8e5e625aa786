"""What a candidate would have answered: logged requests are asked again, in this process.

Nobody who is served notices. Each picture counts once, by its hash, with the first answer
that the log holds.
"""

import collections
import csv
import dataclasses
import itertools
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluator import comparison, metrics
from schemas import features, signatures
from schemas.errors import DataError
from serving import logged_requests

_TOGETHER = 16
# Whose pictures are kept for the page; all are counted.
_SHOWN = 200
_LABEL_COLUMNS = ('image_id', 'label')

# Why a row of the log is not replayed.
NO_IMAGE = 'without a picture'
NO_ANSWER = 'without a class'
ITS_OWN = 'answered by the candidate itself'
AGAIN = 'of a picture that was there before'
REFUSED = 'refused by the candidate'


@dataclasses.dataclass(frozen=True)
class Flip:
  """A picture about which the candidate says something else.

  Attributes:
    image_id: sha256 of its bytes.
    before: class that was answered, and after: that of the candidate.
    before_probability, after_probability: theirs; NaN where the log holds none.
    label: what a person says; '' where nobody did.
    image: encoded; None beyond the first 200.
  """

  image_id: str
  before: str
  after: str
  before_probability: float
  after_probability: float
  label: str
  image: bytes | None


@dataclasses.dataclass(frozen=True)
class Replay:
  """What came of a replay.

  Attributes:
    version: of the candidate.
    against: versions whose answers the log holds, and how many of each.
    rate: pictures that flipped: value, n, and the 95 % interval by Wilson.
    classes: by class that was answered: pictures, and how many flipped.
    flips: those that flipped.
    skipped: rows that were not replayed, by reason.
    labelled: candidate against log where labels are known; None without any.
    accuracies: of the log and of the candidate there, like `rate`.
  """

  version: str
  against: Mapping[str, int]
  rate: Mapping[str, Any]
  classes: Mapping[str, tuple[int, int]]
  flips: tuple[Flip, ...]
  skipped: Mapping[str, int]
  labelled: comparison.Comparison | None
  accuracies: tuple[Mapping[str, Any], Mapping[str, Any]] | None


def replay(
  export: pathlib.Path,
  log: pathlib.Path,
  labels: Mapping[str, str],
  accepted_drop: float,
) -> Replay:
  """Asks a version about the pictures of a log.

  Args:
    export: the folder of the candidate; its name is the version.
    log: folder of a request log that holds images.
    labels: class by image id, where people know it.
    accepted_drop: of the accuracy, that still counts as the same.

  Raises:
    DataError: the log holds nothing that can be replayed.
    ExportError: the candidate cannot be loaded.
  """
  from serving.servable import Servable

  seen = _Seen(export.name, labels)
  servable = Servable(export)
  try:
    wanted = seen.wanted(log)
    while batch := list(itertools.islice(wanted, _TOGETHER)):
      answers = _answers(servable, [row[logged_requests.IMAGE] for row in batch])
      for row, answer in zip(batch, answers, strict=True):
        seen.add(row, answer)
  finally:
    servable.close()
  return seen.result(log, accepted_drop)


def read_labels(path: pathlib.Path) -> dict[str, str]:
  """Returns class by image id, from a CSV with the columns image_id and label.

  Raises:
    DataError: it cannot be read, or has other columns.
  """
  try:
    with open(path, newline='', encoding='utf-8-sig') as stream:
      reader = csv.DictReader(stream)
      columns = reader.fieldnames or []
      if not set(_LABEL_COLUMNS) <= set(columns):
        raise DataError(
          f'{path}: expected the columns image_id (sha256 of the file) and label. Received: '
          f'{", ".join(columns) or "none"}.'
        )
      return {row['image_id']: row['label'] for row in reader if row['label']}
  except (OSError, UnicodeDecodeError) as error:
    raise DataError(f'{path}: expected a CSV in UTF-8. Received: {error}.') from error


class _Seen:
  """Counts while the log is read."""

  def __init__(self, version: str, labels: Mapping[str, str]):
    self._version, self._labels = version, labels
    self._ids: set[str] = set()
    self._skipped: collections.Counter[str] = collections.Counter()
    self._against: collections.Counter[str] = collections.Counter()
    self._pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    self._flips: list[Flip] = []
    self._right: list[tuple[bool, bool]] = []

  def wanted(self, log: pathlib.Path) -> Iterator[dict[str, Any]]:
    for row in logged_requests.rows(log, images=True):
      image_id = row[features.IMAGE_ID]
      reason = (
        (ITS_OWN if row[logged_requests.VERSION] == self._version else '')
        or ('' if row[logged_requests.IMAGE] else NO_IMAGE)
        or ('' if row[logged_requests.PREDICTED] else NO_ANSWER)
        or (AGAIN if image_id in self._ids else '')
      )
      if reason:
        self._skipped[reason] += 1
        continue
      self._ids.add(image_id)
      yield row

  def add(self, row: Mapping[str, Any], answer: tuple[str, float] | None) -> None:
    if answer is None:
      self._skipped[REFUSED] += 1
      return
    before, (after, probability) = row[logged_requests.PREDICTED], answer
    image_id = row[features.IMAGE_ID]
    label = self._labels.get(image_id, '')
    self._against[row[logged_requests.VERSION]] += 1
    self._pairs[before, after] += 1
    if label:
      self._right.append((after == label, before == label))
    if before != after:
      said = row[signatures.PROBABILITY]
      kept = row[logged_requests.IMAGE] if len(self._flips) < _SHOWN else None
      self._flips.append(
        Flip(
          image_id, before, after, float('nan') if said is None else said, probability, label, kept
        )
      )

  def result(self, log: pathlib.Path, accepted_drop: float) -> Replay:
    n = sum(self._pairs.values())
    if not n:
      reasons = ', '.join(f'{count} {reason}' for reason, count in self._skipped.items())
      raise DataError(
        f'{log}: expected requests with pictures, answered by another version than '
        f'{self._version}. Received: {reasons or "no request"}. Pictures are kept with '
        'serve.request_log.images: true.'
      )
    classes = {
      name: (
        sum(count for (before, _), count in self._pairs.items() if before == name),
        sum(count for (before, to), count in self._pairs.items() if before == name != to),
      )
      for name in sorted({before for before, _ in self._pairs})
    }
    labelled, accuracies = None, None
    if self._right:
      candidate, logged = np.array(self._right, bool).T
      labelled = comparison.compare(candidate, logged, None, accepted_drop)
      accuracies = (_right(logged), _right(candidate))
    return Replay(
      self._version,
      dict(sorted(self._against.items())),
      metrics.proportion(len(self._flips), n),
      classes,
      tuple(self._flips),
      dict(self._skipped),
      labelled,
      accuracies,
    )


def _right(answers: np.ndarray) -> Mapping[str, Any]:
  return metrics.proportion(int(answers.sum()), len(answers))


def _answers(servable: Any, images: Sequence[bytes]) -> list[tuple[str, float] | None]:
  """Returns class and probability of each picture; None where it was refused."""
  import tensorflow as tf

  from serving import door

  try:
    inputs = door.admit({signatures.IMAGE_BYTES: np.array(images, object)}, door.Limits())
    found = servable.run(signatures.SERVING_DEFAULT, inputs)
  except (door.RefusedError, tf.errors.OpError):
    if len(images) == 1:
      return [None]
    return [answer for image in images for answer in _answers(servable, [image])]
  labels = found[signatures.PREDICTED_LABEL]
  probabilities = found[signatures.PROBABILITIES].max(axis=1)
  return [
    (label.decode() if isinstance(label, bytes) else str(label), float(probability))
    for label, probability in zip(labels, probabilities, strict=True)
  ]
