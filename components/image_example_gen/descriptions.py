"""All descriptions of one run, on disk."""

import pathlib

import numpy as np

from components.image_example_gen import perceptual
from components.image_example_gen.perceptual import Description

_SIDE = perceptual.THUMBNAIL_SIDE
_BYTES = _SIDE * _SIDE * 3


class Descriptions:
  """Descriptions by position, 0 to n - 1, in the order in which they came."""

  def __init__(self, folder: pathlib.Path):
    self._stream = open(folder / 'thumbnails.bin', 'w+b')
    self._count = 0

  def __len__(self) -> int:
    return self._count

  def append(self, description: Description) -> int:
    """Adds one and returns its position."""
    self._stream.seek(self._count * _BYTES)
    self._stream.write(description.thumbnail)
    self._count += 1
    return self._count - 1

  def thumbnail(self, position: int) -> np.ndarray:
    """Returns uint8 [32, 32, 3]."""
    self._stream.seek(position * _BYTES)
    return np.frombuffer(self._stream.read(_BYTES), np.uint8).reshape(_SIDE, _SIDE, 3)

  def close(self) -> None:
    self._stream.close()
