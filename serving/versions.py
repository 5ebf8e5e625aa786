"""The versions of one model in service, and their change while requests are under way.

The rules are TensorFlow Serving's: of the numeric folders below the base path those
that the policy wants are served (by default the highest), a new one is loaded and
warmed before an old one goes, and a version that cannot be loaded leaves the old one in
service. Unlike there, a folder without saved_model.pb is not yet a version, and one
that failed is tried again when its file is another one.
"""

import contextlib
import dataclasses
import logging
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorflow_serving.config import file_system_storage_path_source_pb2

from schemas.errors import ExportError, ServingError
from serving import model_config, warm_up
from serving.servable import Servable
from serving.version_folders import SAVED_MODEL, complete_versions

_Source = file_system_storage_path_source_pb2.FileSystemStoragePathSourceConfig

# States of tensorflow.serving.ModelVersionStatus.
LOADING, AVAILABLE, UNLOADING, END = 'LOADING', 'AVAILABLE', 'UNLOADING', 'END'

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class VersionStatus:
  """One row of the status answer.

  Attributes:
    version: its number.
    state: of tensorflow.serving.ModelVersionStatus.
    code: canonical error code; 0 is OK.
    error_message: why it is not in service; '' where it is.
  """

  version: int
  state: str
  code: int = 0
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
  """Serves versions below a base path.

  Args:
    base_path: holds a folder a version.
    load: makes a Servable of a version's folder.
    prepare: makes its first request fast; a failure keeps the version out of
      service.
    policy: a ServableVersionPolicy: which versions are wanted; the highest by default.

  Attributes:
    closed: how many versions were closed after their last request.
  """

  def __init__(
    self,
    base_path: pathlib.Path | str,
    load: Callable[[pathlib.Path], Servable] = Servable,
    prepare: Callable[[Servable], None] = warm_up.warm_up,
    policy: Any = None,
  ):
    self.base_path = pathlib.Path(base_path)
    self.policy = policy or _Source.ServableVersionPolicy()
    self._load, self._prepare = load, prepare
    self._lock = threading.Lock()
    self._polling = threading.Lock()
    self._loaded: dict[int, _Loaded] = {}
    self._labels: dict[str, int] = {}
    self._status: dict[int, VersionStatus] = {}
    # A version that failed is tried again only when its file is another one.
    self._failed: dict[int, tuple[int, int]] = {}
    self.closed = 0

  def poll(self) -> None:
    """Looks once for the versions that are wanted, and puts in service what is new.

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
      wanted = model_config.wanted(self.policy, set(found))
      if not wanted:
        return  # What is in service stays there: an empty folder is an accident.
      for version in wanted:
        if version not in self._loaded:
          self._put_in_service(version, found[version])
      self._retire_others(wanted)

  def _put_in_service(self, version: int, path: pathlib.Path) -> None:
    stamp = _stamp(path / SAVED_MODEL)
    if stamp is None or self._failed.get(version) == stamp:
      return
    self._set_status(VersionStatus(version, LOADING))
    try:
      servable = self._load(path)
      self._prepare_or_close(servable)
    except OSError as error:
      self._set_status(VersionStatus(version, END, tf.errors.UNAVAILABLE, str(error)))
      raise self._unreadable(path, error) from error
    except (ServingError, ExportError, tf.errors.OpError) as error:
      _LOG.error('Version %d was not put in service: %s', version, error)
      self._fail(version, stamp, error)
      return
    except Exception as error:  # noqa: BLE001 - a defect of one version, not of the server
      _LOG.exception('Version %d was not put in service.', version)
      self._fail(version, stamp, error)
      return
    with self._lock:
      self._loaded[version] = _Loaded(version, servable)
      self._status[version] = VersionStatus(version, AVAILABLE)
    _LOG.info('Version %d is in service.', version)

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

  def _retire_others(self, wanted: list[int]) -> None:
    """Takes out of service what is not wanted, if anything that is wanted is in service."""
    with self._lock:
      if not any(version in self._loaded for version in wanted):
        # Availability is preserved: of the old ones the highest stays.
        wanted = [max(self._loaded)] if self._loaded else []
      retired = self._retire([v for v in self._loaded if v not in wanted])
    for loaded in retired:
      self._close_if_unused(loaded)

  def _retire(self, versions: list[int]) -> list[_Loaded]:
    retired = [self._loaded.pop(version) for version in versions]
    for loaded in retired:
      loaded.retired = True
      self._status[loaded.version] = VersionStatus(loaded.version, UNLOADING)
    return retired

  def _set_status(self, status: VersionStatus) -> None:
    with self._lock:
      self._status[status.version] = status

  def set_labels(self, labels: Mapping[str, int]) -> None:
    """Makes these the labels; each may name only a version that is in service.

    Raises:
      VersionNotFoundError: a version is not; the labels stay as they were.
    """
    with self._lock:
      for label, version in labels.items():
        if version not in self._loaded:
          raise VersionNotFoundError(
            f'{self.base_path}: expected version {version} in service, for the label '
            f'"{label}". Received: {sorted(self._loaded)}. Wait until it is AVAILABLE.'
          )
      self._labels = dict(labels)

  def labels(self) -> dict[str, int]:
    """Returns the version of each label."""
    with self._lock:
      return dict(self._labels)

  @contextlib.contextmanager
  def use(self, version: int | None = None) -> Iterator[tuple[int, Servable]]:
    """Lends a version in service; it is not closed before it is given back.

    Args:
      version: the number that the caller insists on; by default the highest.

    Raises:
      VersionNotFoundError: nothing, or not that version, is in service.
    """
    with self._lock:
      chosen = max(self._loaded, default=None) if version is None else version
      if chosen not in self._loaded:
        raise VersionNotFoundError(
          f'{self.base_path}: expected version {"any" if version is None else version} in '
          f'service. Received: {", ".join(map(str, sorted(self._loaded))) or "none"}.'
        )
      loaded = self._loaded[chosen]
      loaded.users += 1
    try:
      yield loaded.version, loaded.servable
    finally:
      with self._lock:
        loaded.users -= 1
      self._close_if_unused(loaded)

  def _close_if_unused(self, loaded: _Loaded) -> None:
    with self._lock:
      unused = loaded.retired and loaded.users == 0
      if unused:
        loaded.retired = False  # One caller alone closes it.
    if not unused:
      return
    loaded.servable.close()
    with self._lock:
      self.closed += 1
      if loaded.version not in self._loaded:
        self._status[loaded.version] = VersionStatus(loaded.version, END)

  @property
  def ready(self) -> bool:
    """Whether a version is in service."""
    return bool(self._loaded)

  def in_service(self) -> list[int]:
    """Returns the versions in service, the highest first."""
    with self._lock:
      return sorted(self._loaded, reverse=True)

  def status(self) -> list[VersionStatus]:
    """Returns what is known of each version that was seen, the newest first."""
    with self._lock:
      return [self._status[version] for version in sorted(self._status, reverse=True)]

  def close(self) -> None:
    """Takes every version out of service; each is closed after its last request."""
    with self._lock:
      retired = self._retire(list(self._loaded))
    for loaded in retired:
      self._close_if_unused(loaded)


def _stamp(path: pathlib.Path) -> tuple[int, int] | None:
  try:
    found = path.stat()
  except OSError:
    return None
  return found.st_mtime_ns, found.st_ino


def _code(error: Exception) -> int:
  cause = error if isinstance(error, tf.errors.OpError) else error.__cause__
  return cause.error_code if isinstance(cause, tf.errors.OpError) else tf.errors.UNKNOWN
