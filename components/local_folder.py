"""Artifacts as folders of this machine, also where they lie in a bucket."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from tfx.dsl.io import fileio


@contextlib.contextmanager
def reading(uri: str) -> Iterator[pathlib.Path]:
  """Yields the folder itself, or a copy of one that lies in a bucket."""
  if os.path.isdir(uri):
    yield pathlib.Path(uri)
    return
  with tempfile.TemporaryDirectory() as folder:
    for name in fileio.listdir(uri):
      fileio.copy(os.path.join(uri, name), os.path.join(folder, name))
    yield pathlib.Path(folder)


@contextlib.contextmanager
def writing(uri: str) -> Iterator[pathlib.Path]:
  """Yields an empty folder whose files and subfolders come to `uri` when all went well."""
  with tempfile.TemporaryDirectory() as folder:
    yield pathlib.Path(folder)
    fileio.makedirs(uri)
    for path in sorted(pathlib.Path(folder).rglob('*')):
      to = os.path.join(uri, path.relative_to(folder).as_posix())
      if path.is_dir():
        fileio.makedirs(to)
      else:
        fileio.copy(str(path), to, overwrite=True)
