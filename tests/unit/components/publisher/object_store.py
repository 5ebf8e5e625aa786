"""A bucket of this machine: objects appear whole and one by one, and nothing is renamed at once."""

import contextlib
import io
import os
import pathlib
import shutil
import time
from typing import ClassVar

from tfx.dsl.io import filesystem, filesystem_registry


class _Upload(io.BytesIO):
  """An object that is there when it is closed."""

  def __init__(self, path: pathlib.Path):
    super().__init__()
    self._path = path

  def close(self) -> None:
    if not self.closed:
      time.sleep(ObjectStore.seconds_an_object)
      ObjectStore.written.append(str(self._path))
      if ObjectStore.fails and self._path.name == ObjectStore.fails:
        super().close()
        raise OSError(f'{self._path}: the connection was lost')
      self._path.parent.mkdir(parents=True, exist_ok=True)
      draft = self._path.with_name(f'.{self._path.name}')
      draft.write_bytes(self.getvalue())
      os.replace(draft, self._path)
    super().close()


class ObjectStore(filesystem.Filesystem):
  """gs:// for TFX, in a folder."""

  SUPPORTED_SCHEMES: ClassVar = ['gs://']
  root: ClassVar[pathlib.Path]
  seconds_an_object: ClassVar[float] = 0.0
  fails: ClassVar[str] = ''
  written: ClassVar[list[str]] = []

  @classmethod
  def at(cls, address: str) -> pathlib.Path:
    return cls.root / address.removeprefix('gs://')

  @staticmethod
  def open(path, mode='r'):
    there = ObjectStore.at(path)
    if mode == 'wb':
      return _Upload(there)
    return io.BytesIO(there.read_bytes())

  @staticmethod
  def exists(path):
    return ObjectStore.at(path).exists()

  @staticmethod
  def makedirs(path):
    """A bucket has no folders."""

  @staticmethod
  def rmtree(path):
    shutil.rmtree(ObjectStore.at(path))

  @staticmethod
  def rename(src, dst, overwrite=False):
    raise AssertionError('a bucket renames object by object: a poller would see half a version')


@contextlib.contextmanager
def mounted(root: pathlib.Path):
  """Has TFX find gs:// there."""
  known = filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY._preferred_filesystem_by_scheme
  before = known.get('gs://')
  ObjectStore.root = root
  ObjectStore.seconds_an_object, ObjectStore.fails, ObjectStore.written = 0.0, '', []
  known['gs://'] = ObjectStore
  try:
    yield ObjectStore
  finally:
    known['gs://'] = before
