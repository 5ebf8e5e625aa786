"""The state of a training on disk: written whole or not at all, and read back or refused.

A folder holds the last two checkpoints and the weights of the best epoch that they
name. NumPy's archives carry a checksum of each array, so that a damaged file is known
by reading it.
"""

import dataclasses
import errno
import json
import logging
import os
import pathlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from schemas.errors import TrainingError

# One before the last is there in case the last one is damaged.
KEPT = 2
_META = 'meta'
_NAME = re.compile(r'step-(\d{9})\.npz')
_BEST = re.compile(r'best-(\d{6})\.npz')
_DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
  """A checkpoint that was read.

  Attributes:
    path: its file.
    meta: position, curves and whatever else the writer gave; JSON values.
    arrays: by the writer's names.
    best: the weights of the best epoch so far, in the model's order; None before one.
  """

  path: pathlib.Path
  meta: Mapping
  arrays: Mapping[str, np.ndarray]
  best: list[np.ndarray] | None


class Checkpoints:
  """The checkpoints of one training."""

  def __init__(self, folder: pathlib.Path):
    """Takes a folder of its own; it is made at the first write."""
    self.folder = folder

  def save(self, number: int, meta: Mapping, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a checkpoint and removes those before the last two.

    Args:
      number: of batches so far in the whole training; orders the checkpoints.
      meta: JSON values; `meta['best_epoch']`, where it is not None, names a file that
        save_best wrote.
      arrays: by names without a slash at their head.

    Raises:
      TrainingError: it cannot be written. What was there before is still there.
    """
    content = {name: np.asarray(value) for name, value in arrays.items()}
    content[_META] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    self._write(self.folder / f'step-{number:09d}.npz', content)
    self._prune()

  def save_best(self, epoch: int, weights: Sequence[np.ndarray]) -> None:
    """Writes the weights of the best epoch so far; earlier ones go with their checkpoints.

    Raises:
      TrainingError: they cannot be written.
    """
    self._write(self.folder / f'best-{epoch:06d}.npz', {str(i): w for i, w in enumerate(weights)})

  def latest(self) -> Checkpoint | None:
    """Reads the newest checkpoint that is whole; a damaged one is passed over and said so."""
    for path in sorted(self._checkpoints(), reverse=True):
      try:
        return self._read(path)
      except _DAMAGE as error:
        _log.warning('checkpoint %s is damaged (%s): going back to the one before', path, error)
    return None

  def remove(self) -> None:
    """Removes all of it: the training is over and its model is exported."""
    shutil.rmtree(self.folder, ignore_errors=True)

  def _read(self, path: pathlib.Path) -> Checkpoint:
    arrays = _load(path)
    meta = json.loads(arrays.pop(_META).tobytes())
    best = None
    if meta.get('best_epoch') is not None:
      stored = _load(self._best(meta['best_epoch']))
      best = [stored[str(i)] for i in range(len(stored))]
    return Checkpoint(path, meta, arrays, best)

  def _best(self, epoch: int) -> pathlib.Path:
    return self.folder / f'best-{epoch:06d}.npz'

  def _checkpoints(self) -> list[pathlib.Path]:
    return [path for path in self.folder.glob('step-*.npz') if _NAME.fullmatch(path.name)]

  def _prune(self) -> None:
    newest = sorted(self._checkpoints())
    for path in newest[:-KEPT]:
      path.unlink()
    named = set()
    for path in newest[-KEPT:]:
      try:
        with np.load(path) as archive:
          named.add(json.loads(archive[_META].tobytes()).get('best_epoch'))
      except _DAMAGE:
        continue  # latest() says so when it comes to that
    for path in self.folder.glob('best-*.npz'):
      matched = _BEST.fullmatch(path.name)
      if matched and int(matched[1]) not in named:
        path.unlink()

  def _write(self, path: pathlib.Path, content: Mapping[str, np.ndarray]) -> None:
    draft = path.with_name(f'.{path.name}.tmp')
    try:
      self.folder.mkdir(parents=True, exist_ok=True)
      with open(draft, 'wb') as stream:
        # Positional names would clash with an array called `file`.
        np.savez(stream, **content)  # type: ignore[arg-type]
        stream.flush()
        os.fsync(stream.fileno())
      os.replace(draft, path)
      _sync_folder(self.folder)
    except OSError as error:
      draft.unlink(missing_ok=True)
      raise TrainingError(_explain(path, content, error, self._checkpoints())) from error


def _load(path: pathlib.Path) -> dict[str, np.ndarray]:
  with np.load(path, allow_pickle=False) as archive:
    return {name: archive[name] for name in archive.files}


def _sync_folder(folder: pathlib.Path) -> None:
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def _explain(
  path: pathlib.Path,
  content: Mapping[str, np.ndarray],
  error: OSError,
  kept: Sequence[pathlib.Path],
) -> str:
  size = sum(value.nbytes for value in content.values()) / 1e6
  last = f'{max(kept).name} is kept' if kept else 'there is none before it'
  room = 'Make room' if error.errno in (errno.ENOSPC, errno.EDQUOT) else 'Make the folder writable'
  return (
    f'{path}: expected to write a checkpoint of {size:.1f} MB. Received: {error.strerror}; '
    f'{last}. {room} and run the same command again: training goes on from there.'
  )
