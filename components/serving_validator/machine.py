"""The machine that something was measured on, as far as it decides how long that takes."""

import os
import pathlib
import re

import tensorflow as tf

_CPUINFO = pathlib.Path('/proc/cpuinfo')


def describe() -> dict[str, str | int | None]:
  """Returns `cpu`, the model's name or None; `cores` that this process may use; `tensorflow`."""
  return {'cpu': _cpu(), 'cores': len(os.sched_getaffinity(0)), 'tensorflow': tf.__version__}


def _cpu() -> str | None:
  try:
    text = _CPUINFO.read_text(encoding='utf-8', errors='replace')
  except OSError:
    return None
  found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
  return found[1].strip() if found else None
