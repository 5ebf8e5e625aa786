"""The optional packages of other runtimes, and what to do where one is missing."""

import importlib
import types

from schemas.errors import ExportError

INSTALL = "pip install 'sightline[fast]'"


def load(name: str, purpose: str) -> types.ModuleType:
  """Imports an optional package.

  Args:
    name: of the module, such as `openvino`.
    purpose: what wants it, for the text of the error.

  Raises:
    ExportError: it is not installed, or cannot be loaded.
  """
  try:
    return importlib.import_module(name)
  except ImportError as error:
    raise ExportError(
      f'{purpose}: expected the package {name}. Received: {error}. Install what other runtimes '
      f'need: {INSTALL}'
    ) from error
