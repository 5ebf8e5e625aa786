"""The folder that a model server watches: what it holds, and how a version gets into it.

TensorFlow Serving takes any numeric folder for a version the moment it appears.
So a version is copied under a name that is no number and renamed when all of it
is on the disk.
"""

import contextlib
import dataclasses
import errno
import fcntl
import os
import pathlib
import shutil
import time
from collections.abc import Iterator

from schemas.errors import ExportError, ServingError
from schemas.weights_hash import weights_sha256
from serving.version_folders import SAVED_MODEL, complete_versions, version_numbers

EMPTY = 'empty'
_PARTIAL = 'publishing-'
_LOCK = '.publishing.lock'
_LARGEST_VERSION = (1 << 63) - 1  # int64 in TensorFlow Serving


@dataclasses.dataclass(frozen=True)
class Published:
  """A whole version in the folder.

  Attributes:
    version: its number.
    path: its folder; the address of one in a bucket.
    weights_sha256: of its variables; '' where they are missing or unreadable.
    new: whether `publish` wrote it just now; the version is the same one either way.
  """

  version: int
  path: pathlib.Path | str
  weights_sha256: str
  new: bool = dataclasses.field(default=False, compare=False)


def newest(base_path: pathlib.Path) -> Published | None:
  """Returns the version that a server would serve; None if there is none."""
  versions = complete_versions(base_path)
  if not versions:
    return None
  number = max(versions)
  try:
    digest = weights_sha256(versions[number])
  except (ExportError, OSError):
    digest = ''
  return Published(number, versions[number], digest)


def state(base_path: pathlib.Path) -> str:
  """Returns a short text that changes when another version or other weights are the newest."""
  published = newest(base_path)
  return EMPTY if published is None else f'{published.version} {published.weights_sha256}'


def publish(
  export: pathlib.Path,
  base_path: pathlib.Path,
  restore_version: int | None = None,
) -> Published:
  """Makes the newest version one that holds the weights of `export`.

  Where it already does, nothing is written.

  Args:
    export: the folder with saved_model.pb.
    base_path: the folder that a server watches; made if it is missing.
    restore_version: the number under which these weights were published before;
      taken again where it would be the highest.

  Returns:
    The newest version, which is the new one or the one that was there.

  Raises:
    ExportError: `export` is no SavedModel with variables.
    ServingError: the folder cannot be written.
  """
  if not (export / SAVED_MODEL).is_file():
    raise ExportError(f'{export}: expected a SavedModel. Received: no {SAVED_MODEL}.')
  digest = weights_sha256(export)
  try:
    base_path.mkdir(parents=True, exist_ok=True)
    with _alone(base_path):
      _remove_leftovers(base_path)
      published = newest(base_path)
      if published is not None and published.weights_sha256 == digest:
        return published
      version, path = _copy_and_rename(export, base_path, restore_version)
  except OSError as error:
    raise ServingError(
      f'{base_path}: expected a folder that can be written, with room for a copy of {export}. '
      f'Received: {error}. Make room, or choose another with publish.directory.'
    ) from error
  return Published(version, path, digest, new=True)


@contextlib.contextmanager
def _alone(base_path: pathlib.Path) -> Iterator[None]:
  # Two runs may publish to one folder; whoever holds the lock knows that every
  # partial copy in it is dead. The kernel frees the lock of a killed process.
  with open(base_path / _LOCK, 'w', encoding='utf-8') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield


def _remove_leftovers(base_path: pathlib.Path) -> None:
  for path in base_path.glob(f'{_PARTIAL}*'):
    shutil.rmtree(path)


def _copy_and_rename(
  export: pathlib.Path,
  base_path: pathlib.Path,
  restore_version: int | None,
) -> tuple[int, pathlib.Path]:
  partial = base_path / f'{_PARTIAL}{os.getpid()}'
  # copyfile: the server may be another user; permissions are those of new files.
  shutil.copytree(export, partial, copy_function=shutil.copyfile)
  _flush(partial)
  while True:
    highest = max(version_numbers(base_path), default=0)
    version = next_number(highest, restore_version, base_path)
    path = base_path / str(version)
    try:
      os.rename(partial, path)
    except OSError as error:
      if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
        raise
      continue  # Somebody without the lock was quicker; the next number is free.
    _flush_folder(base_path)
    return version, path


def next_number(highest: int, wanted: int | None, where: pathlib.Path | str) -> int:
  """Returns the number of a new version: seconds since 1970, or the one that is wanted.

  Args:
    highest: of the versions that are there; 0 for none.
    wanted: taken where it would be the highest.
    where: they are, for the error.

  Raises:
    ServingError: TensorFlow Serving knows no higher number.
  """
  if wanted is not None and wanted > highest:
    return wanted
  number = max(int(time.time()), highest + 1)
  if number > _LARGEST_VERSION:
    raise ServingError(
      f'{where}: expected room for a number above {highest}, and that is the highest that '
      'TensorFlow Serving knows. Rename that folder.'
    )
  return number


def _flush(folder: pathlib.Path) -> None:
  for parent, _, names in os.walk(folder):
    for name in names:
      with open(os.path.join(parent, name), 'rb') as stream:
        os.fsync(stream.fileno())
    _flush_folder(parent)


def _flush_folder(folder: pathlib.Path | str) -> None:
  handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)
