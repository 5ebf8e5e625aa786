"""What usual fault turns the export's answers into those that were found."""

import functools
import io
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from models import decoder
from pipeline.diagnosis import answers
from pipeline.diagnosis.answers import Answers
from schemas.errors import SightlineError
from serving import version_folders
from serving.servable import Servable

# Images on which suspects are tried.
MOST_IMAGES = 32
_OTHER_VERSIONS = 5
# A suspect is named where the answers come at least this much closer.
_CLOSER = 0.5


def find(
  images: Sequence[bytes],
  exported: Answers,
  found: Answers,
  export: Servable,
  published: pathlib.Path,
  side: tuple[int, int],
) -> str:
  """Returns the fault that explains the answers best, in words; '' where none does.

  Args:
    images: encoded, those of the answers.
    exported: what the export answers about them.
    found: what was answered in its place; its probabilities may be empty where only the
      labels were logged.
    export: that answered `exported`.
    published: the folder of its version; the versions beside it are tried.
    side: height and width of the model's input.
  """
  order = _other_order(exported, found)
  if order:
    return order
  best, words = _distance(exported, found) * _CLOSER, ''
  for name, answered in _tries(images, export, published, side):
    distance = _distance(answered, found)
    if distance < best:
      best, words = distance, name
  return words


def _distance(first: Answers, second: Answers) -> float:
  """Returns by how much the answers differ: in the mean, or in how many labels."""
  if second.probabilities.size == 0:
    return float(np.mean([a != b for a, b in zip(first.labels, second.labels, strict=True)]))
  if first.probabilities.shape != second.probabilities.shape:
    return float('inf')
  return float(np.abs(first.probabilities - second.probabilities).mean())


def _other_order(exported: Answers, found: Answers) -> str:
  """Whether the names of the classes, or the columns, stand in another order."""
  words = 'the classes stand in another order (a vocabulary of another run, or a sorted one)'
  named: dict[str, str] = {}
  for label, other in zip(exported.labels, found.labels, strict=True):
    if named.setdefault(label, other) != other:
      break
  else:
    moved = [pair for pair in named.items() if pair[0] != pair[1]]
    # One class for another, always: of two images that is chance.
    if moved and len(set(named.values())) == len(named) > 1 and len(found) > 2 * len(named):
      return words
  ours, theirs = exported.probabilities, found.probabilities
  if ours.shape != theirs.shape or not theirs.size:
    return ''
  same = np.abs(np.sort(ours, axis=1) - np.sort(theirs, axis=1)).max()
  return words if same <= _CLOSER * np.abs(ours - theirs).max() / 10 else ''


def _tries(
  images: Sequence[bytes], export: Servable, published: pathlib.Path, side: tuple[int, int]
) -> Iterator[tuple[str, Answers]]:
  versions = version_folders.complete_versions(published.parent)
  for version in sorted(versions, reverse=True)[: _OTHER_VERSIONS + 1]:
    if versions[version].resolve() not in (published.resolve(), export.path.resolve()):
      try:
        with answers.loaded(versions[version]) as other:
          answered = answers.of_export(other, images)
      except SightlineError:
        continue  # another model, which cannot have answered
      yield f'version {version} answers', answered
  seen = [Seen(image, _decode()(image).numpy(), side) for image in images]
  for name, change in CLIENTS.items():
    changed = [_png(change(one)) for one in seen]
    yield f'{name} on the way to the model', answers.of_export(export, changed)


class Seen(NamedTuple):
  """An image as a client has it.

  Attributes:
    encoded: its bytes.
    pixels: uint8 [height, width, 3], RGB, upright.
    side: height and width of the model's input.
  """

  encoded: bytes
  pixels: np.ndarray
  side: tuple[int, int]


@functools.cache
def _decode():
  # Traced once: eager, each of its operations would be dispatched by Python.
  return tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])


def _png(pixels: np.ndarray) -> bytes:
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, 'PNG')
  return stream.getvalue()


def _swapped(seen: Seen) -> np.ndarray:
  return np.ascontiguousarray(seen.pixels[:, :, ::-1])


def _grey(seen: Seen) -> np.ndarray:
  return np.asarray(Image.fromarray(seen.pixels).convert('L').convert('RGB'))


def _inverted(seen: Seen) -> np.ndarray:
  return 255 - seen.pixels


def _not_turned(seen: Seen) -> np.ndarray:
  # Pillow does not turn an image by its EXIF orientation.
  return np.asarray(Image.open(io.BytesIO(seen.encoded)).convert('RGB'))


def _shrunk(seen: Seen) -> np.ndarray:
  resized = Image.fromarray(seen.pixels).resize(seen.side[::-1], Image.Resampling.NEAREST)
  return np.asarray(resized)


def _cropped(seen: Seen) -> np.ndarray:
  height, width = seen.pixels.shape[:2]
  short = min(height, width)
  top, left = (height - short) // 2, (width - short) // 2
  return np.ascontiguousarray(seen.pixels[top : top + short, left : left + short])


def _compressed(seen: Seen) -> np.ndarray:
  stream = io.BytesIO()
  Image.fromarray(seen.pixels).save(stream, 'JPEG', quality=50)
  return np.asarray(Image.open(stream))


# What clients and decoders are known to do, by how it is told.
CLIENTS: dict[str, Callable[[Seen], np.ndarray]] = {
  'red and blue are swapped': _swapped,
  'colours are lost': _grey,
  'brightness is turned round': _inverted,
  'the EXIF orientation is not followed': _not_turned,
  'images are resized without a filter': _shrunk,
  'images are cropped to a square': _cropped,
  'images are compressed once more': _compressed,
}
