"""What a client may send: limits that hold before any byte reaches the graph."""

import dataclasses
from collections.abc import Iterable, Mapping

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
  """The request holds something that must not reach the graph."""


def check(inputs: Mapping[str, np.ndarray], limits: Limits) -> None:
  """Looks at every image of a request.

  Images are the elements of the inputs that the export's signatures call
  `image_bytes`, and `image/encoded` of the serialised records in `examples`;
  inputs of other names pass.

  Raises:
    RefusedError: there are too many images, or one is too large, of another
      format or not upright; the text says which.
  """
  if signatures.IMAGE_BYTES in inputs:
    _check_images(_flat(inputs[signatures.IMAGE_BYTES]), signatures.IMAGE_BYTES, limits)
  if signatures.EXAMPLES in inputs:
    records = _flat(inputs[signatures.EXAMPLES])
    _check_count(len(records), signatures.EXAMPLES, limits)
    _check_images(_images_of(records), signatures.EXAMPLES, limits)


def _flat(array: np.ndarray) -> list:
  return list(np.asarray(array, object).ravel())


def _check_count(count: int, name: str, limits: Limits) -> None:
  if count > limits.images:
    raise RefusedError(
      f'{name}: expected at most {limits.images} images in a request. Received: {count}.'
    )


def _check_images(images: list, name: str, limits: Limits) -> None:
  _check_count(len(images), name, limits)
  for index, data in enumerate(images):
    if not isinstance(data, bytes):
      raise RefusedError(
        f'{name}[{index}]: expected the bytes of an image. Received: {type(data).__name__}.'
      )
    if len(data) > limits.image_bytes:
      raise RefusedError(
        f'{name}[{index}]: expected at most {limits.image_bytes} bytes. Received: {len(data)}.'
      )
    try:
      image_file.inspect(data, limits.image_pixels)
    except image_file.ImageFileError as error:
      raise RefusedError(f'{name}[{index}]: {error.reason}: {error}') from error


def _images_of(records: Iterable) -> list[bytes]:
  # Only where somebody sends records: importing it imports TensorFlow.
  from google.protobuf import message
  from tensorflow.core.example import example_pb2

  images: list[bytes] = []
  for index, record in enumerate(records):
    try:
      example = example_pb2.Example.FromString(record)
    except (message.DecodeError, TypeError) as error:
      raise RefusedError(
        f'{signatures.EXAMPLES}[{index}]: expected a serialised tf.Example. Received: {error}.'
      ) from error
    images.extend(example.features.feature[features.IMAGE].bytes_list.value)
  return images
