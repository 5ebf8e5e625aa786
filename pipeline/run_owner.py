"""Whose a run root is: the data folder of the runs in it, in a small text file.

A draft takes its run root from the name of the data folder, so that two folders
of one name would share metadata, baseline and published versions.
"""

import pathlib

from schemas.config import Config
from schemas.errors import ConfigError

FILE = 'data_root.txt'


def note(config: Config) -> None:
  """Writes down the data folder of a run, in the run root, which exists."""
  path = _path(config)
  if _read(path) != str(config.data.root):
    path.write_text(f'{config.data.root}\n', encoding='utf-8')


def check(config: Config) -> None:
  """Refuses the run root of another data folder.

  Raises:
    ConfigError: with both folders, and how to name another run root.
  """
  owner = _read(_path(config))
  if owner and owner != str(config.data.root):
    raise ConfigError(
      f'run.root: expected a folder for runs on {config.data.root}. Received: {config.run.root}, '
      f'which holds runs on {owner}; their model would be the baseline of this one. '
      'Name another one: --set run.root=FOLDER'
    )


def _path(config: Config) -> pathlib.Path:
  assert config.run.root is not None  # the loader fills it in
  return config.run.root / FILE


def _read(path: pathlib.Path) -> str:
  try:
    return path.read_text(encoding='utf-8').strip()
  except (FileNotFoundError, NotADirectoryError):
    return ''
