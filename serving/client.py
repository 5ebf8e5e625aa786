"""Asks a model server about image files, by TensorFlow Serving's REST API."""

import base64
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable
from typing import Any

import httpx

from models import image_file
from schemas import signatures
from schemas.errors import ServingError
from serving import door

# What the door of the embedded server lets in.
_LARGEST_SENT = door.Limits().image_bytes
# Images in one request: what TensorFlow Serving and the door take without a thought.
_TOGETHER = 16
_LOOPBACK = ('127.0.0.1', 'localhost', '::1')


@dataclasses.dataclass(frozen=True)
class Prediction:
  """What the server said about one file.

  Attributes:
    path: of the file.
    label: the most likely class.
    class_id: its number.
    probability: its probability, 0..1.
    probabilities: of every class, by number.
    model_version: that answered; '' where the server does not say.
    model_sha256: of its weights; '' where the server does not say.
    low_confidence: whether a person should look; None where the model does not say.
    ood_score: how far it is from what the model was trained on, from 0; None likewise.
    foreign: whether that is too far for an answer to mean anything; None likewise.
  """

  path: pathlib.Path
  label: str
  class_id: int
  probability: float
  probabilities: tuple[float, ...]
  model_version: str = ''
  model_sha256: str = ''
  low_confidence: bool | None = None
  ood_score: float | None = None
  foreign: bool | None = None


def predict(
  files: Iterable[pathlib.Path | str],
  url: str,
  model_name: str,
  timeout_seconds: float = 30.0,
) -> list[Prediction]:
  """Sends each file to a server.

  Args:
    files: images.
    url: of the server, such as http://127.0.0.1:8501.
    model_name: that it serves.
    timeout_seconds: for one answer.

  Returns:
    One Prediction a file, in their order.

  Raises:
    DataError: a file is no image that can be sent. It is made ready here, so that
      TensorFlow Serving too answers about a WebP, and learns no place from EXIF.
    ServingError: a file cannot be read, the server is not there, or it refused.
  """
  with _open(url, timeout_seconds) as client:
    return [_predict_one(client, pathlib.Path(path), model_name) for path in files]


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
    ServingError: the server is not there, refused, or gave no answer of such a model.
  """
  found = Answers([], [], [], [])
  waiting = iter(images)
  with _open(url, timeout_seconds) as client:
    while batch := list(itertools.islice(waiting, _TOGETHER)):
      body = {'instances': [{'b64': base64.b64encode(data).decode()} for data in batch]}
      response = _post(client, f'/v1/models/{model_name}:predict', body, f'{len(batch)} images')
      try:
        for row in response.json()['predictions']:
          found.probabilities.append([float(value) for value in row[signatures.PROBABILITIES]])
          found.labels.append(str(row[signatures.PREDICTED_LABEL]))
          found.class_ids.append(int(row[signatures.CLASS_ID]))
          found.versions.append(response.headers.get('x-model-version', ''))
      except (ValueError, KeyError, TypeError) as error:
        raise _no_answer(client, response) from error
  return found


def _open(url: str, timeout_seconds: float) -> httpx.Client:
  # A proxy of the environment does not lead to this machine.
  try:
    environment = httpx.URL(url).host not in _LOOPBACK
  except httpx.InvalidURL as error:
    raise ServingError(
      f'{url}: expected a URL such as http://127.0.0.1:8501. Received: {error}.'
    ) from error
  return httpx.Client(base_url=url, timeout=timeout_seconds, trust_env=environment)


def _no_answer(client: httpx.Client, response: httpx.Response) -> ServingError:
  return ServingError(
    f'{client.base_url}: expected the answer of a Sightline model. Received: {response.text[:200]}'
  )


def _predict_one(client: httpx.Client, path: pathlib.Path, model_name: str) -> Prediction:
  try:
    data = path.read_bytes()
  except OSError as error:
    raise ServingError(f'{path}: expected a readable image file. Received: {error}.') from error
  try:
    prepared = image_file.prepare(data)
  except image_file.ImageFileError as error:
    raise image_file.ImageFileError(error.reason, f'{path}: {error}', '') from error
  # A large photo from HEIF would be refused for its size; Sightline's own server
  # converts it as well.
  sent = prepared.encoded if len(prepared.encoded) <= _LARGEST_SENT else data
  response = _post(
    client,
    f'/v1/models/{model_name}:predict',
    {'instances': [{'b64': base64.b64encode(sent).decode()}]},
    str(path),
  )
  try:
    row = response.json()['predictions'][0]
    probabilities = tuple(float(value) for value in row[signatures.PROBABILITIES])
    class_id = int(row[signatures.CLASS_ID])
    return Prediction(
      path,
      str(row[signatures.PREDICTED_LABEL]),
      class_id,
      probabilities[class_id],
      probabilities,
      response.headers.get('x-model-version', ''),
      response.headers.get('x-model-sha256', ''),
      row.get(signatures.LOW_CONFIDENCE),
      row.get(signatures.OOD_SCORE),
      row.get(signatures.FOREIGN),
    )
  except (ValueError, KeyError, IndexError, TypeError) as error:
    raise _no_answer(client, response) from error


def _post(client: httpx.Client, path: str, body: Any, subject: str) -> httpx.Response:
  try:
    response = client.post(path, json=body)
  except httpx.ConnectError as error:
    raise ServingError(
      f'{client.base_url}: expected a model server. Received: {error}. '
      'Start one with: sightline serve'
    ) from error
  except httpx.HTTPError as error:
    raise ServingError(
      f'{client.base_url}: expected an answer about {subject}. '
      f'Received: {type(error).__name__} {error}.'
    ) from error
  if response.status_code != 200:
    raise ServingError(
      f'{client.base_url}: {subject} was refused with HTTP {response.status_code}: '
      f'{_error_text(response)}'
    )
  return response


def _error_text(response: httpx.Response) -> str:
  try:
    return str(response.json()['error'])
  except (ValueError, KeyError, TypeError):
    return response.text[:200]
