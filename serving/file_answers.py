"""Asks about many files: several at once, in their order, each with an answer or a reason."""

import collections
import dataclasses
import itertools
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent import futures
from typing import Protocol

from models import image_file
from schemas.errors import DataError, ServingError
from serving import door, prediction
from serving.prediction import Prediction, RejectedError, Reply

# What the door of the embedded server lets in.
_LARGEST_SENT = door.Limits().image_bytes
# base64 makes it a third larger.
_LARGEST_TOGETHER = door.Limits().body_bytes // 2


class Client(Protocol):
  """RestClient or GrpcClient."""

  def predict(self, images: Sequence[bytes]) -> list[Reply]:
    """Asks about encoded images in one request."""

  def check(self) -> None:
    """Asks for the state of the model."""

  def close(self) -> None:
    """Closes what is open."""


@dataclasses.dataclass(frozen=True)
class FileAnswer:
  """What became of one file.

  Attributes:
    path: of the file.
    prediction: what the server said; None where there is no answer.
    error: why there is none; '' where there is one.
  """

  path: pathlib.Path
  prediction: Prediction | None
  error: str = ''


def prepared(path: pathlib.Path) -> bytes:
  """Reads a file and makes it what a server is sent.

  Raises:
    DataError: it is no image that can be sent.
    ServingError: it cannot be read.
  """
  try:
    data = path.read_bytes()
  except OSError as error:
    raise ServingError(f'expected a readable image file. Received: {error}.') from error
  made = image_file.prepare(data).encoded
  # A large photo from HEIF would be refused for its size; Sightline's own server
  # converts it as well.
  return made if len(made) <= _LARGEST_SENT else data


def ask(
  paths: Iterable[pathlib.Path], client: Client, together: int = 1, at_once: int = 1
) -> Iterator[FileAnswer]:
  """Asks about files.

  Args:
    paths: of images; read one after the other, never far ahead of the answers.
    client: any thread may use it.
    together: files in one request, at most.
    at_once: requests under way, at most.

  Yields:
    A FileAnswer a file, in their order.
  """
  waiting = iter(paths)
  with futures.ThreadPoolExecutor(at_once) as pool:
    under_way: collections.deque[futures.Future[list[FileAnswer]]] = collections.deque()
    try:
      while batch := list(itertools.islice(waiting, together)):
        under_way.append(pool.submit(_ask_together, client, batch))
        # The threads have the next at hand while the first is waited for.
        if len(under_way) >= 2 * at_once:
          yield from under_way.popleft().result()
      while under_way:
        yield from under_way.popleft().result()
    finally:
      for request in under_way:
        request.cancel()


def _ask_together(client: Client, paths: Sequence[pathlib.Path]) -> list[FileAnswer]:
  answers: dict[int, FileAnswer] = {}
  images: dict[int, bytes] = {}
  for index, path in enumerate(paths):
    try:
      images[index] = prepared(path)
    except image_file.ImageFileError as error:
      answers[index] = FileAnswer(path, None, f'{error.reason}: {error.detail}')
    except (DataError, ServingError) as error:
      answers[index] = FileAnswer(path, None, str(error))
  for group in _groups(images):
    answers |= _ask_group(client, {index: paths[index] for index in group}, images)
  return [answers[index] for index in range(len(paths))]


def _groups(images: dict[int, bytes]) -> Iterator[list[int]]:
  """Parts them so that a request is no larger than the door takes."""
  group: list[int] = []
  size = 0
  for index, data in images.items():
    if group and size + len(data) > _LARGEST_TOGETHER:
      yield group
      group, size = [], 0
    group.append(index)
    size += len(data)
  if group:
    yield group


def _ask_group(
  client: Client, paths: dict[int, pathlib.Path], images: dict[int, bytes]
) -> dict[int, FileAnswer]:
  try:
    replies = client.predict([images[index] for index in paths])
    return {
      index: FileAnswer(path, prediction.of_reply(path, reply))
      for (index, path), reply in zip(paths.items(), replies, strict=True)
    }
  except RejectedError as error:
    if len(paths) == 1:
      return {index: FileAnswer(path, None, str(error)) for index, path in paths.items()}
    # One image spoils a request: each is asked about alone.
    alone: dict[int, FileAnswer] = {}
    for index, path in paths.items():
      alone |= _ask_group(client, {index: path}, images)
    return alone
  except ServingError as error:
    return {index: FileAnswer(path, None, str(error)) for index, path in paths.items()}
