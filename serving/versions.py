"""The version in service, and its change while requests are under way.

The rules are TensorFlow Serving's default ones: of the numeric folders below the
base path the highest is served, a new one is loaded before the old one goes, and
a version that cannot be loaded leaves the old one in service. Unlike there, a
folder without saved_model.pb is not yet a version.
"""

import contextlib
import dataclasses
import logging
import pathlib
import threading
from collections.abc import Callable, Iterator

import tensorflow as tf

from schemas.errors import ExportError, ServingError
from serving import warm_up
from serving.servable import Servable
from serving.version_folders import SAVED_MODEL, complete_versions

# States of tensorflow.serving.ModelVersionStatus.
LOADING, AVAILABLE, END = 'LOADING', 'AVAILABLE', 'END'

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class VersionStatus:
  """One row of the status answer."""

  version: int
  state: str
  error_code: str = 'OK'
  error_message: str = ''


@dataclasses.dataclass
class _Loaded:
  version: int
  servable: Servable
  users: int = 0
  retired: bool = False


class VersionNotFoundError(ServingError):
  """No such version is in service."""


class Versions:
  """Serves the newest version below a base path.

  Args:
    base_path: holds a folder a version.
    load: makes a Servable of a version's folder.
    prepare: makes its first request fast; a failure keeps the version out of
      service.
  """

  def __init__(
    self,
    base_path: pathlib.Path | str,
    load: Callable[[pathlib.Path], Servable] = Servable,
    prepare: Callable[[Servable], None] = warm_up.warm_up,
  ):
    self.base_path = pathlib.Path(base_path)
    self._load, self._prepare = load, prepare
    self._lock = threading.Lock()
    self._polling = threading.Lock()
    self._current: _Loaded | None = None
    self._status: dict[int, VersionStatus] = {}
    # A version that failed is tried again only when its file is another one.
    self._failed: dict[int, tuple[int, int]] = {}

  def poll(self) -> None:
    """Looks once for the newest version, and puts it in service if it is another one.

    A version that cannot be loaded is no exception but a row of `status`.

    Raises:
      ServingError: files could not be read; the file system may come back, so that
        the next call tries again.
    """
    with self._polling:
      try:
        found = complete_versions(self.base_path)
      except OSError as error:
        raise self._unreadable(self.base_path, error) from error
      if not found:
        return  # The last version stays in service, as in TensorFlow Serving.
      newest = max(found)
      current = self._current
      if current is not None and current.version == newest:
        return
      stamp = _stamp(found[newest] / SAVED_MODEL)
      if stamp is None or self._failed.get(newest) == stamp:
        return
      self._set_status(VersionStatus(newest, LOADING))
      try:
        servable = self._load(found[newest])
        self._prepare_or_close(servable)
      except OSError as error:
        self._set_status(VersionStatus(newest, END, 'Unavailable', str(error)))
        raise self._unreadable(found[newest], error) from error
      except (ServingError, ExportError, tf.errors.OpError) as error:
        _LOG.error('Version %d was not put in service: %s', newest, error)
        self._fail(newest, stamp, error)
        return
      except Exception as error:  # noqa: BLE001 - a defect of one version, not of the server
        _LOG.exception('Version %d was not put in service.', newest)
        self._fail(newest, stamp, error)
        return
      self._swap(_Loaded(newest, servable))

  def _prepare_or_close(self, servable: Servable) -> None:
    try:
      self._prepare(servable)
    except BaseException:
      servable.close()
      raise

  def _fail(self, version: int, stamp: tuple[int, int], error: Exception) -> None:
    self._failed[version] = stamp
    self._set_status(VersionStatus(version, END, _code(error), str(error)))

  def _unreadable(self, path: pathlib.Path, error: OSError) -> ServingError:
    return ServingError(f'{path}: expected files that can be read. Received: {error}.')

  def _swap(self, loaded: _Loaded) -> None:
    with self._lock:
      old, self._current = self._current, loaded
      self._status[loaded.version] = VersionStatus(loaded.version, AVAILABLE)
      if old is not None:
        old.retired = True
        if old.version != loaded.version:
          self._status[old.version] = VersionStatus(old.version, END)
    _LOG.info('Version %d is in service.', loaded.version)
    if old is not None:
      self._close_if_unused(old)

  def _set_status(self, status: VersionStatus) -> None:
    with self._lock:
      self._status[status.version] = status

  @contextlib.contextmanager
  def use(self, version: int | None = None) -> Iterator[tuple[int, Servable]]:
    """Lends the version in service; it is not closed before it is given back.

    Args:
      version: the number that the caller insists on; by default any.

    Raises:
      VersionNotFoundError: nothing, or not that version, is in service.
    """
    with self._lock:
      current = self._current
      if current is None or version not in (None, current.version):
        raise VersionNotFoundError(
          f'{self.base_path}: expected version {"any" if version is None else version} in '
          f'service. Received: {current.version if current else "none"}.'
        )
      current.users += 1
    try:
      yield current.version, current.servable
    finally:
      with self._lock:
        current.users -= 1
      self._close_if_unused(current)

  def _close_if_unused(self, loaded: _Loaded) -> None:
    with self._lock:
      unused = loaded.retired and loaded.users == 0
      if unused:
        loaded.retired = False  # One caller alone closes it.
    if unused:
      loaded.servable.close()

  @property
  def ready(self) -> bool:
    """Whether a version is in service."""
    return self._current is not None

  def status(self) -> list[VersionStatus]:
    """Returns what is known of each version that was seen, the newest first."""
    with self._lock:
      return [self._status[version] for version in sorted(self._status, reverse=True)]

  def close(self) -> None:
    """Takes the version out of service; it is closed after its last request."""
    with self._lock:
      current, self._current = self._current, None
      if current is not None:
        current.retired = True
        self._status[current.version] = VersionStatus(current.version, END)
    if current is not None:
      self._close_if_unused(current)


def _stamp(path: pathlib.Path) -> tuple[int, int] | None:
  try:
    found = path.stat()
  except OSError:
    return None
  return found.st_mtime_ns, found.st_ino


def _code(error: Exception) -> str:
  cause = error if isinstance(error, tf.errors.OpError) else error.__cause__
  if isinstance(cause, tf.errors.OpError):
    return type(cause).__name__.removesuffix('Error')
  return 'UNKNOWN'
