"""The files of the request log: whole ones to read, and one that is being written.

A file is written as `<name>.part` under a lock and renamed to `<name>` when it is
complete, so a reader never meets half a file. The kernel frees the lock of a process
that was killed; what it left is made whole at the next start.
"""

import contextlib
import datetime
import fcntl
import logging
import os
import pathlib
import secrets
import time
from typing import IO

import tensorflow as tf

from schemas.errors import ServingError

SUFFIX = '.tfrecord'
_PART = '.part'
_BROKEN = '.broken'
# Length and two checksums around a record.
_FRAME_BYTES = 16

_LOG = logging.getLogger(__name__)


class LogFiles:
  """Writes records to files in a folder, and keeps that folder small.

  Several processes may write to one folder. Not for several threads.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    max_file_bytes: int,
    max_total_bytes: int,
    max_age_seconds: float,
    rotate_seconds: float,
  ):
    """Makes the folder and completes what a killed process left.

    Args:
      folder: made if it is missing, for this user alone.
      max_file_bytes: from which on a file is completed.
      max_total_bytes: of all files; the oldest go first.
      max_age_seconds: since its last record; older files are deleted.
      rotate_seconds: after which a file is completed, however small.

    Raises:
      ServingError: the folder cannot be written.
    """
    self.folder = folder
    self._max_file_bytes, self._max_total_bytes = max_file_bytes, max_total_bytes
    self._max_age_seconds, self._rotate_seconds = max_age_seconds, rotate_seconds
    self._open: _Part | None = None
    try:
      folder.mkdir(parents=True, exist_ok=True, mode=0o700)
      recover(folder)
      self.prune()
    except OSError as error:
      raise ServingError(
        f'{folder}: expected a folder that the request log can write to. Received: {error}. '
        'Choose another with serve.request_log.directory or --request-log.'
      ) from error

  def write(self, record: bytes) -> None:
    """Appends a record.

    Raises:
      ServingError: it is larger than a file may be.
      OSError, tf.errors.OpError: it could not be written; the next call begins a file
        of its own.
    """
    size = len(record) + _FRAME_BYTES
    if size > self._max_file_bytes:
      raise ServingError(
        f'{self.folder}: expected a record of at most {self._max_file_bytes} bytes, the size of '
        f'a file. Received: {size}. Raise serve.request_log.file_mb.'
      )
    if self._open is not None and self._open.size + size > self._max_file_bytes:
      self.complete()
    try:
      if self._open is None:
        self.prune(self._max_file_bytes)
        self._open = _Part(self.folder)
      self._open.write(record)
    except (OSError, tf.errors.OpError):
      self._abandon()
      raise

  def tick(self) -> None:
    """Completes a file whose time has come. Call it now and then."""
    if self._open is not None and self._open.age >= self._rotate_seconds:
      self.complete()

  def complete(self) -> None:
    """Gives the open file its name, if there is one, and deletes what is too old or too much."""
    part, self._open = self._open, None
    if part is not None:
      part.complete()
      self.prune()

  def prune(self, coming: int = 0) -> None:
    """Deletes whole files that are too old, then the oldest of what is too much.

    Args:
      coming: bytes to make room for.
    """
    now = time.time()
    total = coming
    # By name, which begins with the time; what is broken is no exception.
    files = sorted([*whole(self.folder), *self.folder.glob(f'*{SUFFIX}{_BROKEN}')], reverse=True)
    for path in files:
      with contextlib.suppress(FileNotFoundError):  # Another process was quicker.
        found = path.stat()
        total += found.st_size
        if total > self._max_total_bytes or now - found.st_mtime > self._max_age_seconds:
          path.unlink()

  def _abandon(self) -> None:
    part, self._open = self._open, None
    if part is not None:
      part.abandon()


class _Part:
  """A file that is being written."""

  def __init__(self, folder: pathlib.Path):
    now = datetime.datetime.now(datetime.UTC)
    # The random part keeps two processes apart that begin in the same microsecond.
    name = f'requests-{now:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}{SUFFIX}'
    self._final = folder / name
    self._path = folder / f'{name}{_PART}'
    self._lock: IO[bytes] = open(self._path, 'ab')
    os.chmod(self._path, 0o600)
    fcntl.flock(self._lock, fcntl.LOCK_EX)
    self._writer = tf.io.TFRecordWriter(str(self._path))
    self._began = time.monotonic()
    self.size = 0

  @property
  def age(self) -> float:
    return time.monotonic() - self._began

  def write(self, record: bytes) -> None:
    self._writer.write(record)
    self.size += len(record) + _FRAME_BYTES

  def complete(self) -> None:
    with self._lock:
      self._writer.close()
      os.fsync(self._lock.fileno())
      os.rename(self._path, self._final)

  def abandon(self) -> None:
    with self._lock, contextlib.suppress(OSError, tf.errors.OpError):
      self._writer.close()


def whole(folder: pathlib.Path) -> list[pathlib.Path]:
  """Returns the complete files of a folder, oldest first."""
  return sorted(folder.glob(f'*{SUFFIX}'))


def recover(folder: pathlib.Path) -> None:
  """Completes what killed processes left; what is being written now is not touched.

  The whole records of such a file become a file. Where a half one follows them, what was
  left is kept beside it with the suffix `.broken` and is never read.

  Raises:
    OSError: a file cannot be read or written.
  """
  for part in sorted(folder.glob(f'*{SUFFIX}{_PART}')):
    with contextlib.suppress(FileNotFoundError), open(part, 'rb') as lock:
      try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError:
        continue
      _recover(part)


def _recover(part: pathlib.Path) -> None:
  final = part.with_name(part.name.removesuffix(_PART))
  work = final.with_name(f'{final.name}.recovering')
  count, broken = 0, ''
  with tf.io.TFRecordWriter(str(work)) as writer:
    try:
      for record in tf.data.TFRecordDataset(str(part)).as_numpy_iterator():
        writer.write(record)
        count += 1
    except tf.errors.DataLossError as error:
      broken = error.message
  if count:
    os.rename(work, final)
  else:
    work.unlink()
  if broken:
    os.rename(part, final.with_name(f'{final.name}{_BROKEN}'))
  else:
    part.unlink()
  _LOG.warning('%s was left by a server that was killed: %d records are kept.', part, count)
