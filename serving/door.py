"""What a client may send: limits before any byte reaches the graph, and what it becomes there."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models import image_file
from schemas import features, signatures
from schemas.errors import ServingError


@dataclasses.dataclass(frozen=True)
class Limits:
  """How much one request may hold.

  Attributes:
    body_bytes: of the request, with its base64.
    image_bytes: of one encoded image.
    image_pixels: width x height of one image.
    images: in one request.
  """

  body_bytes: int = 64 << 20
  image_bytes: int = 20 << 20
  image_pixels: int = image_file.MAX_PIXELS
  images: int = 128


class RefusedError(ServingError):
  """The request holds something that must not reach the graph.

  Attributes:
    reason: in a word, for a count.
  """

  def __init__(self, text: str, reason: str):
    super().__init__(text)
    self.reason = reason


def admit(inputs: Mapping[str, np.ndarray], limits: Limits) -> dict[str, np.ndarray]:
  """Looks at every image of a request, and makes it what ingest would make of the file.

  Images are the elements of the inputs that the export's signatures call
  `image_bytes`, and `image/encoded` of the serialised records in `examples`;
  inputs of other names pass.

  Returns:
    The inputs, of the same shapes, with each image as models.image_file.prepare
    gives it.

  Raises:
    RefusedError: there are too many images, or one is too large, of another
      format or broken; the text says which.
  """
  admitted = dict(inputs)
  if signatures.IMAGE_BYTES in inputs:
    images = np.asarray(inputs[signatures.IMAGE_BYTES], object)
    _check_count(images.size, signatures.IMAGE_BYTES, limits)
    admitted[signatures.IMAGE_BYTES] = _map(
      lambda index, data: _prepared(data, f'{signatures.IMAGE_BYTES}[{index}]', limits), images
    )
  if signatures.EXAMPLES in inputs:
    records = np.asarray(inputs[signatures.EXAMPLES], object)
    _check_count(records.size, signatures.EXAMPLES, limits)
    parsed = _map(_example, records)
    count = sum(len(_images(example)) for example in parsed.ravel())
    _check_count(count, signatures.EXAMPLES, limits)
    admitted[signatures.EXAMPLES] = _map(
      lambda index, example: _prepared_example(index, example, limits), parsed
    )
  return admitted


def _map(function: Callable[[int, Any], Any], array: np.ndarray) -> np.ndarray:
  # Element by element: NumPy would look into a value that is a sequence.
  result: np.ndarray = np.empty(array.size, object)
  for index, value in enumerate(array.ravel()):
    result[index] = function(index, value)
  return result.reshape(array.shape)


def _check_count(count: int, name: str, limits: Limits) -> None:
  if count > limits.images:
    raise RefusedError(
      f'{name}: expected at most {limits.images} images in a request. Received: {count}.',
      'too_many_images',
    )


def _prepared(data: Any, name: str, limits: Limits) -> bytes:
  if not isinstance(data, bytes):
    raise RefusedError(
      f'{name}: expected the bytes of an image. Received: {type(data).__name__}.', 'no_bytes'
    )
  if len(data) > limits.image_bytes:
    raise RefusedError(
      f'{name}: expected at most {limits.image_bytes} bytes. Received: {len(data)}.',
      'too_many_bytes',
    )
  try:
    return image_file.prepare(data, limits.image_pixels).encoded
  except image_file.ImageFileError as error:
    raise RefusedError(f'{name}: {error.reason}: {error}', error.reason) from error


def _example(index: int, record: Any) -> Any:
  # Only where somebody sends records: importing it imports TensorFlow.
  from google.protobuf import message
  from tensorflow.core.example import example_pb2

  try:
    return example_pb2.Example.FromString(record)
  except (message.DecodeError, TypeError) as error:
    raise RefusedError(
      f'{signatures.EXAMPLES}[{index}]: expected a serialised tf.Example. Received: {error}.',
      'no_example',
    ) from error


def _images(example: Any) -> Any:
  # Asked first: looking a key up would add it.
  if features.IMAGE not in example.features.feature:
    return []
  return example.features.feature[features.IMAGE].bytes_list.value


def _prepared_example(index: int, example: Any, limits: Limits) -> bytes:
  images = _images(example)
  for position, data in enumerate(images):
    images[position] = _prepared(data, f'{signatures.EXAMPLES}[{index}]', limits)
  return example.SerializeToString(deterministic=True)
