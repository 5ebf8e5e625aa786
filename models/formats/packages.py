"""The optional packages of other runtimes, and what to do where one is missing."""

import importlib
import sys
import types

from schemas.errors import ExportError

INSTALL = "pip install 'sightline[fast]'"
# What OpenVINO and NNCF report their use to their maker by, unless a person opted out. Without
# it they work as well: both fall back on a stub.
_TELEMETRY = 'openvino_telemetry'


def load(name: str, purpose: str) -> types.ModuleType:
  """Imports an optional package, which will tell nobody that it is used.

  Args:
    name: of the module, such as `openvino`.
    purpose: what wants it, for the text of the error.

  Raises:
    ExportError: it is not installed, or cannot be loaded.
  """
  # Python's own way to say that a module is not there.
  sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
  try:
    return importlib.import_module(name)
  except ImportError as error:
    raise ExportError(
      f'{purpose}: expected the package {name}. Received: {error}. Install what other runtimes '
      f'need: {INSTALL}'
    ) from error
