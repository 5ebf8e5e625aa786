"""The descriptions of a run, on disk: a run of 100,000 images keeps 700 MB of them there."""

import pathlib
from typing import Self

import numpy as np

from components.image_example_gen import perceptual

_KEY_FIELDS: dict[str, tuple[str, tuple[int, ...]]] = {
  'pixel_id': ('u1', (32,)),
  'hash': ('u1', (perceptual.HASH_BYTES,)),
  'quality': ('u1', ()),
  'side': ('<u4', ()),
}
_KEY = np.dtype([(name, *field) for name, field in _KEY_FIELDS.items()])
_SIGNATURE = perceptual.SIGNATURE_SIDE**2
_THUMBNAIL = perceptual.THUMBNAIL_SIDE**2 * 3
# Rows of keys that are read at once.
_CHUNK = 65536


class Descriptions:
  """Appends descriptions to files and reads them back.

  Nothing is held in memory but the files' buffers. Files, not a memory map: mapped
  pages would count as the process's memory.

  Args:
    folder: is made where missing; files of a former store in it are replaced.
  """

  def __init__(self, folder: str | pathlib.Path) -> None:
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    self._keys = open(folder / 'keys.bin', 'w+b')
    self._signatures = open(folder / 'signatures.bin', 'w+b')
    self._thumbnails = open(folder / 'thumbnails.bin', 'w+b')
    self._count = 0

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def __len__(self) -> int:
    return self._count

  def close(self) -> None:
    """Closes the files; may be called twice."""
    for stream in (self._keys, self._signatures, self._thumbnails):
      stream.close()

  def append(self, description: perceptual.Description) -> int:
    """Stores a description; returns its position, from 0."""
    key: np.ndarray = np.zeros((), _KEY)
    key['pixel_id'] = np.frombuffer(bytes.fromhex(description.pixel_id), np.uint8)
    key['hash'] = np.frombuffer(description.hashes, np.uint8)
    key['quality'] = description.quality
    key['side'] = description.side
    _write(self._keys, self._count, key.tobytes())
    _write(self._signatures, self._count, description.signature)
    _write(self._thumbnails, self._count, description.thumbnail)
    self._count += 1
    return self._count - 1

  def column(self, name: str) -> np.ndarray:
    """Returns one of pixel_id, hash, quality, side of all images, [n, ...]."""
    dtype, shape = _KEY_FIELDS[name]
    column: np.ndarray = np.empty((self._count, *shape), dtype)
    for start in range(0, self._count, _CHUNK):
      count = min(_CHUNK, self._count - start)
      data = _read(self._keys, start, count, _KEY.itemsize)
      column[start : start + count] = np.frombuffer(data, _KEY)[name]
    return column

  def signature(self, position: int) -> np.ndarray:
    """Returns the grey signature, uint8 [64, 64]."""
    side = perceptual.SIGNATURE_SIDE
    data = _read(self._signatures, position, 1, _SIGNATURE)
    return np.frombuffer(data, np.uint8).reshape(side, side)

  def signatures(self, positions: np.ndarray) -> np.ndarray:
    """Returns the grey signatures of some images, uint8 [k, 64, 64]."""
    return np.stack([self.signature(int(position)) for position in positions])

  def thumbnail(self, position: int) -> np.ndarray:
    """Returns the thumbnail, uint8 [32, 32, 3], RGB."""
    side = perceptual.THUMBNAIL_SIDE
    data = _read(self._thumbnails, position, 1, _THUMBNAIL)
    return np.frombuffer(data, np.uint8).reshape(side, side, 3)


def _write(stream, position: int, data: bytes) -> None:
  # Reading moves the file's one cursor.
  stream.seek(position * len(data))
  stream.write(data)


def _read(stream, position: int, count: int, size: int) -> bytes:
  stream.seek(position * size)
  data = stream.read(count * size)
  if len(data) != count * size:
    raise IndexError(f'Positions {position} to {position + count - 1} are not stored.')
  return data
