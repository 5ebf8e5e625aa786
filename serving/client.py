"""Asks a model server about image files: the calls for a program."""

import contextlib
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable

from models import image_file
from schemas import signatures
from schemas.errors import ServingError
from serving import file_answers, prediction
from serving.prediction import Prediction
from serving.rest_client import RestClient
from serving.target import Target

__all__ = ['Answers', 'Prediction', 'ask', 'connect', 'predict']

# Images in one request: what TensorFlow Serving and the door take without a thought.
_TOGETHER = 16


def connect(target: Target, connections: int = 1) -> file_answers.Client:
  """Opens a client of the protocol that the URL names; close it after use.

  Args:
    target: which model, and how it is asked. gRPC loads TensorFlow.
    connections: requests that may be under way at once.

  Raises:
    ConfigError: a file of TLS cannot be used.
  """
  if target.is_grpc:
    from serving.grpc_client import GrpcClient

    return GrpcClient(target)
  return RestClient(target, connections)


def predict(
  files: Iterable[pathlib.Path | str],
  url: str,
  model_name: str,
  timeout_seconds: float = 30.0,
) -> list[Prediction]:
  """Sends each file to a server; the first that is not answered ends it.

  Args:
    files: images.
    url: of the server, such as http://127.0.0.1:8501.
    model_name: that it serves.
    timeout_seconds: for one answer.

  Returns:
    One Prediction a file, in their order.

  Raises:
    ConfigError: the URL is none.
    DataError: a file is no image that can be sent. It is made ready here, so that
      TensorFlow Serving too answers about a WebP, and learns no place from EXIF.
    ServingError: a file cannot be read, the server is not there, or it refused.
  """
  target = Target(url, model_name, timeout_seconds=timeout_seconds)
  with contextlib.closing(connect(target)) as client:
    return [_predict_one(client, pathlib.Path(path)) for path in files]


@dataclasses.dataclass(frozen=True)
class Answers:
  """What the server said about images that were sent as they are.

  Attributes:
    probabilities: of every class, an image a row.
    labels: of the most likely class, by image.
    class_ids: its number, by image.
    versions: that answered, by image; '' where the server does not say.
  """

  probabilities: list[list[float]]
  labels: list[str]
  class_ids: list[int]
  versions: list[str]


def ask(
  images: Iterable[bytes],
  url: str,
  model_name: str,
  timeout_seconds: float = 60.0,
) -> Answers:
  """Sends encoded images, several in a request.

  Args:
    images: as models.image_file.prepare gives them.
    url: of the server, such as http://127.0.0.1:8501.
    model_name: that it serves.
    timeout_seconds: for one answer.

  Raises:
    ConfigError: the URL is none.
    ServingError: the server is not there, refused, or gave no answer of such a model.
  """
  found = Answers([], [], [], [])
  waiting = iter(images)
  target = Target(url, model_name, timeout_seconds=timeout_seconds)
  with contextlib.closing(connect(target)) as client:
    while batch := list(itertools.islice(waiting, _TOGETHER)):
      for row, told in client.predict(batch):
        try:
          found.probabilities.append([float(value) for value in row[signatures.PROBABILITIES]])
          found.labels.append(str(row[signatures.PREDICTED_LABEL]))
          found.class_ids.append(int(row[signatures.CLASS_ID]))
          found.versions.append(told.get(prediction.MODEL_VERSION, ''))
        except (ValueError, KeyError, TypeError) as error:
          raise prediction.not_ours(row) from error
  return found


def _predict_one(client: file_answers.Client, path: pathlib.Path) -> Prediction:
  try:
    return prediction.of_reply(path, client.predict([file_answers.prepared(path)])[0])
  except image_file.ImageFileError as error:
    raise image_file.ImageFileError(error.reason, f'{path}: {error.detail}', '') from error
  except ServingError as error:
    raise ServingError(f'{path}: {error}') from error
