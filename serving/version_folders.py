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


def next_step(base_path: pathlib.Path) -> str:
  """Returns what to do about a base path without a whole version, by what lies about."""
  with contextlib.suppress(OSError):
    if (base_path / SAVED_MODEL).is_file():
      return f'This folder is a version itself: name the one above it, {base_path.parent}'
    below = [path for path in sorted(base_path.iterdir()) if complete_versions(path)]
    if below:
      return f'There are versions one folder below: name {below[0]}'
  return 'Publish a model with: sightline run CONFIG'
