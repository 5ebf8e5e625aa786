"""Does production answer as the export does?"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.diagnosis import suspects
from pipeline.diagnosis.answers import Answers
from pipeline.diagnosis.step import ANSWERS, GAP, LOGGED, NOT_DONE, OK, REPLAY, Step
from pipeline.diagnosis.subject import Subject
from schemas.weights_hash import read_identity
from serving.servable import Servable


def replay(
  subject: Subject,
  export: Servable,
  ids: Sequence[str],
  images: Sequence[bytes],
  evaluated: Mapping[str, np.ndarray],
  served: Answers,
) -> Step:
  """Compares the server's answers about test with those that were evaluated.

  Args:
    subject: the run.
    export: its export, by which a cause is looked for.
    ids: of the images.
    images: encoded, as they were evaluated.
    evaluated: probabilities [K] by id.
    served: what the server says about them.
  """
  known = [position for position, name in enumerate(ids) if name in evaluated]
  if not known:
    return Step(REPLAY, NOT_DONE, f'none of {len(ids)} images of test has a stored prediction')
  labels = subject.labels
  stored = np.stack([evaluated[ids[position]] for position in known])
  ids_of = stored.argmax(axis=1)
  expected = Answers(stored, [labels[index] for index in ids_of], ids_of)
  return _compare(
    REPLAY,
    subject,
    export,
    [images[position] for position in known],
    expected,
    _some(served, known),
  )


def answers(
  subject: Subject,
  export: Servable,
  images: Sequence[bytes],
  exported: Answers,
  served: Answers,
  known_cause: str = '',
) -> Step:
  """Compares server and export on the given images; `known_cause` of the replay saves a search."""
  return _compare(ANSWERS, subject, export, images, exported, served, known_cause)


def logged(
  subject: Subject,
  export: Servable,
  images: Sequence[bytes],
  exported: Answers,
  predicted: Sequence[str],
) -> Step:
  """Compares what production wrote down with what the export answers.

  A label counts as another one only where the export does not hesitate between the
  two by as little as numbers may differ.
  """
  written = [position for position, label in enumerate(predicted) if label]
  if not written:
    return Step(LOGGED, NOT_DONE, 'the column predicted is empty')
  ours = _some(exported, written)
  labels = [predicted[position] for position in written]
  nothing: np.ndarray = np.empty((0, 0), np.float32)
  found = Answers(nothing, labels, np.full(len(labels), -1))
  changed = _changed(ours, found, subject.limit)
  unknown = sorted(set(labels) - set(subject.labels))
  figures = {'images': len(written), 'changed_labels': len(changed), 'unknown_labels': unknown}
  told = f'{len(changed)} of {len(written)} labels are other ones'
  if not changed:
    return Step(LOGGED, OK, told, figures=figures)
  cause = (
    f'it logs labels that the model does not know, such as {unknown[0]!r}'
    if unknown
    else _cause(subject, export, [images[position] for position in written], ours, found, changed)
  )
  return Step(LOGGED, GAP, told, cause, figures)


def _compare(
  name: str,
  subject: Subject,
  export: Servable,
  images: Sequence[bytes],
  expected: Answers,
  found: Answers,
  known_cause: str = '',
) -> Step:
  shape = (expected.probabilities.shape, found.probabilities.shape)
  if shape[0] != shape[1]:
    return Step(
      name,
      GAP,
      f'{shape[1][-1]} probabilities an image, where {shape[0][-1]} were expected',
      'another model answers',
      {'images': len(images), 'shapes': [list(part) for part in shape]},
    )
  by_image = np.abs(expected.probabilities - found.probabilities).max(axis=1)
  largest = float(by_image.max())
  changed = _changed(expected, found, subject.limit)
  figures = {
    'images': len(images),
    'largest_difference': largest,
    'limit': subject.limit,
    'changed_labels': len(changed),
    'versions': list(found.versions),
  }
  told = (
    f'{len(images)} images: probabilities differ by {largest:.2g} at most '
    f'(limit {subject.limit:g}); {len(changed)} labels are other ones'
  )
  # Not `>`: a probability that is no number is not close.
  if not changed and largest <= subject.limit:
    return Step(name, OK, told, figures=figures)
  order = changed or [int(index) for index in np.argsort(-by_image)]
  cause = known_cause or _cause(subject, export, images, expected, found, order)
  return Step(name, GAP, told, cause, figures)


def _cause(
  subject: Subject,
  export: Servable,
  images: Sequence[bytes],
  expected: Answers,
  found: Answers,
  order: Sequence[int],
) -> str:
  others = [version for version in found.versions if version != subject.version]
  if subject.version and others:
    return f'version {others[0]} answers, and not {subject.version}'
  image = (read_identity(subject.export).get('config') or {}).get('image') or {}
  side = (int(image.get('height', 224)), int(image.get('width', 224)))
  # Those that changed, and some that did not: a fault has to explain both.
  rest = [index for index in range(len(images)) if index not in set(order)]
  half = suspects.MOST_IMAGES // 2
  chosen = [*order[: suspects.MOST_IMAGES - min(half, len(rest))], *rest[:half]]
  return suspects.find(
    [images[index] for index in chosen],
    _some(expected, chosen),
    _some(found, chosen),
    export,
    subject.published,
    side,
  )


def _changed(expected: Answers, found: Answers, limit: float) -> list[int]:
  first_two = np.sort(expected.probabilities, axis=1)[:, -2:]
  sure = first_two[:, 1] - first_two[:, 0] > 2 * limit
  return [
    index
    for index, (ours, theirs) in enumerate(zip(expected.labels, found.labels, strict=True))
    if ours != theirs and sure[index]
  ]


def _some(answered: Answers, positions: Sequence[int]) -> Answers:
  chosen = np.array(positions, int)
  return Answers(
    answered.probabilities[chosen] if answered.probabilities.size else answered.probabilities,
    [answered.labels[index] for index in positions],
    answered.class_ids[chosen],
    answered.versions,
  )
