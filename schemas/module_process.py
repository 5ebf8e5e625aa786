"""How one of our modules is started as a process of its own, from any folder."""

import os
import pathlib
import sys

_ROOT = pathlib.Path(__file__).parents[1]


def command(module: str, *arguments: str) -> list[str]:
  """Returns the words that start `module`, such as `pipeline.served_answer`."""
  # -P: a folder named models or serving in the working directory is not ours.
  return [sys.executable, '-P', '-m', module, *arguments]


def environment() -> dict[str, str]:
  """Returns the environment in which our packages are found before all others."""
  paths = [str(_ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]
  return {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
