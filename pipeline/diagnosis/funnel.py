"""The whole diagnosis: serving first, then the data."""

import collections
import contextlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow.parquet as pq

from components.image_example_gen import records
from components.serving_validator import evaluated
from components.serving_validator.probe_process import MOST_IMAGES
from pipeline.diagnosis import answers, data_steps, given_images, own_server, serving_steps
from pipeline.diagnosis.step import Step
from pipeline.diagnosis.subject import Subject
from schemas import features
from serving.servable import Servable


def steps(
  subject: Subject, given: given_images.Given, url: str | None, model_name: str | None = None
) -> list[Step]:
  """Does every step.

  Args:
    subject: the run.
    given: labelled images from production.
    url: of the live server; None for one of our own, in a fresh process.
    model_name: that the server serves; by default that of the run.

  Raises:
    SightlineError: the export, the server or an artifact cannot be used.
  """
  images = list(given.encoded())
  with answers.loaded(subject.export) as export:
    exported = answers.of_export(export, images)
    found = serving(subject, given, export, images, exported, url, model_name)
  return [*found, *data(subject, given, exported)]


def serving(
  subject: Subject,
  given: given_images.Given,
  export: Servable,
  images: Sequence[bytes],
  exported: answers.Answers,
  url: str | None,
  model_name: str | None = None,
) -> list[Step]:
  """Compares what the server says, and what was logged, with the export.

  Args:
    subject: the run.
    given: labelled images from production.
    export: of the run.
    images: the given ones, encoded.
    exported: what the export says about them.
    url: see `steps`.
    model_name: see `steps`.
  """
  name = model_name or subject.model_name
  stored = evaluated.read(str(subject.predictions))
  ids, test = zip(*answers.evaluated_images(subject.test_records, MOST_IMAGES), strict=True)
  with _server(subject, url, name) as running:
    served_test = answers.of_server(running, name, test)
    served = answers.of_server(running, name, images)
  replayed = serving_steps.replay(subject, export, ids, test, stored, served_test)
  found = [
    replayed,
    serving_steps.answers(subject, export, images, exported, served, replayed.cause),
  ]
  if given.predicted is not None:
    found.append(serving_steps.logged(subject, export, images, exported, given.predicted))
  return found


@contextlib.contextmanager
def _server(subject: Subject, url: str | None, name: str) -> Iterator[str]:
  if url is not None:
    yield url
    return
  with own_server.serving(subject.published, name, subject.version or '1') as running:
    yield running


def data(subject: Subject, given: given_images.Given, exported: answers.Answers) -> list[Step]:
  """Compares the given images, and how the export fares on them, with test and train."""
  truth = given.labels
  known = set(subject.labels)
  unknown = collections.Counter(label for label in truth if label not in known)
  right = np.array([ours == label for ours, label in zip(exported.labels, truth, strict=True)])
  table = pq.read_table(
    subject.predictions / evaluated.FILE, columns=['label', 'label_id', 'candidate']
  )
  probabilities = np.array(table['candidate'].to_pylist(), np.float32)
  test_right = probabilities.argmax(axis=1) == table['label_id'].to_numpy()
  expected = data_steps.expected_accuracy(truth, table['label'].to_pylist(), test_right)
  with tempfile.TemporaryDirectory(prefix='diagnose-') as folder:
    labels, looks = data_steps.properties(
      given.images, subject.manifest, subject.schema, pathlib.Path(folder, 'given.parquet')
    )
  return [
    data_steps.accuracy(right, test_right, dict(sorted(unknown.items())), expected),
    data_steps.confidence(exported.probabilities.max(axis=1), probabilities.max(axis=1)),
    labels,
    looks,
  ]


def in_train(subject: Subject, given: given_images.Given) -> int:
  """Returns how many of the given images the model was trained on: they prove nothing."""
  rows = pq.read_table(
    subject.manifest, columns=['image_id'], filters=[(records.SPLIT, '=', features.TRAIN)]
  )
  trained = set(rows['image_id'].to_pylist())
  return sum(image.image_id in trained for image in given.images)
