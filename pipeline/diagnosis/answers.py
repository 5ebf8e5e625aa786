"""Who answers about images, and how: the export itself, or a server of it."""

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from models import records
from schemas import features, signatures
from schemas.errors import ExportError
from serving import client
from serving.servable import Servable

# Images in one call.
_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Answers:
  """Answers about N images.

  Attributes:
    probabilities: float32 [N, K].
    labels: the names of the most likely classes, N.
    class_ids: their numbers, int64 [N].
    versions: of the model that answered, each once; empty where nobody says.
  """

  probabilities: np.ndarray
  labels: list[str]
  class_ids: np.ndarray
  versions: tuple[str, ...] = ()

  def __len__(self) -> int:
    return len(self.labels)


@contextlib.contextmanager
def loaded(export: pathlib.Path) -> Iterator[Servable]:
  """Lends the export, in this process and without any server.

  Raises:
    ExportError: it cannot be loaded.
  """
  servable = Servable(export)
  try:
    yield servable
  finally:
    servable.close()


def of_export(servable: Servable, images: Iterable[bytes]) -> Answers:
  """Asks the export itself.

  Raises:
    ExportError: it refused an image.
  """
  parts = []
  waiting = iter(images)
  try:
    while batch := list(itertools.islice(waiting, _BATCH)):
      inputs = {signatures.IMAGE_BYTES: np.array(batch, object)}
      parts.append(servable.run(signatures.SERVING_DEFAULT, inputs))
  except tf.errors.OpError as error:
    raise ExportError(
      f'{servable.path}: expected answers about images that ingest accepts. '
      f'Received: {error.message}'
    ) from error
  return Answers(
    np.concatenate([part[signatures.PROBABILITIES] for part in parts]),
    [label.decode() for part in parts for label in part[signatures.PREDICTED_LABEL]],
    np.concatenate([part[signatures.CLASS_ID] for part in parts]),
  )


def of_server(url: str, model_name: str, images: Iterable[bytes]) -> Answers:
  """Asks a server by TensorFlow Serving's REST API.

  Raises:
    ServingError: it is not there, or refused.
  """
  found = client.ask(images, url, model_name)
  return Answers(
    np.array(found.probabilities, np.float32),
    found.labels,
    np.array(found.class_ids, np.int64),
    tuple(sorted(set(filter(None, found.versions)))),
  )


def evaluated_images(patterns: Iterable[str], most: int) -> Iterator[tuple[str, bytes]]:
  """Yields id and bytes of the images of test, as they were evaluated; the first `most`."""
  files = records.record_files(list(patterns))
  for record in records.read_records(files).take(most).as_numpy_iterator():
    feature = tf.train.Example.FromString(record).features.feature
    yield (
      feature[features.IMAGE_ID].bytes_list.value[0].decode(),
      feature[features.IMAGE].bytes_list.value[0],
    )
