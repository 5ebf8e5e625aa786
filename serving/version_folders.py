"""The folders below a model's base path, as TensorFlow Serving reads them."""

import contextlib
import pathlib

SAVED_MODEL = 'saved_model.pb'


def version_numbers(base_path: pathlib.Path) -> dict[int, pathlib.Path]:
  """Returns every numeric folder, whole or not, by its number."""
  with contextlib.suppress(FileNotFoundError, NotADirectoryError):
    return {
      int(path.name): path
      for path in base_path.iterdir()
      if path.name.isascii() and path.name.isdigit() and path.is_dir()
    }
  return {}


def complete_versions(base_path: pathlib.Path) -> dict[int, pathlib.Path]:
  """Returns the folders that hold a whole version, by number."""
  return {
    version: path
    for version, path in version_numbers(base_path).items()
    if (path / SAVED_MODEL).is_file()
  }
