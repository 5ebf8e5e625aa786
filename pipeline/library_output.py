"""Keeps what TensorFlow, Beam and TFX print away from the terminal.

Part of it comes from C++ before any logging is set up, so the file descriptors
themselves are redirected.
"""

import contextlib
import logging
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from rich.console import Console

from schemas.errors import SightlineError


@contextlib.contextmanager
def to_log(log: pathlib.Path) -> Iterator[None]:
  """Sends everything that is printed, and Python's log lines, to a file."""
  with open(log, 'ab') as stream, _redirected(stream.fileno()), log_lines(log):
    yield


@contextlib.contextmanager
def log_lines(log: pathlib.Path) -> Iterator[None]:
  """Sends Python's log lines, and they alone, to a file."""
  handler = logging.FileHandler(log, encoding='utf-8')
  handler.setFormatter(logging.Formatter('%(asctime)s %(levelname).1s %(name)s: %(message)s'))
  logger = logging.getLogger()
  previous = logger.level
  logger.addHandler(handler)
  logger.setLevel(logging.INFO)
  try:
    yield
  finally:
    logger.removeHandler(handler)
    logger.setLevel(previous)
    handler.close()


@contextlib.contextmanager
def held_back() -> Iterator[None]:
  """Holds back what is printed; a defect, and only that, brings it to light."""
  with tempfile.TemporaryFile() as stream:
    try:
      with _redirected(stream.fileno()):
        yield
    except (SightlineError, KeyboardInterrupt):
      raise
    except Exception:
      stream.seek(0)
      sys.stderr.write(stream.read().decode(errors='replace'))
      raise


def terminal() -> IO[str]:
  """Returns standard output as it is now, for use while it is redirected."""
  return os.fdopen(os.dup(sys.stdout.fileno()), 'w', encoding='utf-8')


def console() -> Console:
  """Returns a console on that terminal, which prints text as it is.

  A path may hold [brackets] or :colons:, which stand for nothing here.
  """
  return Console(file=terminal(), highlight=False, soft_wrap=True, markup=False, emoji=False)


@contextlib.contextmanager
def _redirected(descriptor: int) -> Iterator[None]:
  sys.stdout.flush()
  sys.stderr.flush()
  saved = [(number, os.dup(number)) for number in (1, 2)]
  for number, _ in saved:
    os.dup2(descriptor, number)
  try:
    yield
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
    for number, original in saved:
      os.dup2(original, number)
      os.close(original)
