"""A user's own function, named in the config by its dotted path."""

import importlib
from collections.abc import Callable

from schemas.errors import ConfigError


def load(path: str, field: str) -> Callable:
  """Imports the function that a config field names.

  Args:
    path: `package.module.function`; the package is found as Python finds any other.
    field: the config field that names it, for the text of an error.

  Returns:
    The function.

  Raises:
    ConfigError: there is no such module, the module has no such name, what it names
      is not callable, or the import itself fails.
  """
  module_name, _, name = path.rpartition('.')
  if not module_name:
    raise ConfigError(f'{field}: expected package.module.function. Received: {path!r}.')
  try:
    module = importlib.import_module(module_name)
  except ModuleNotFoundError as error:
    if error.name is None or not f'{module_name}.'.startswith(f'{error.name}.'):
      # The module is there, and something that it imports is not.
      raise ConfigError(
        f'{field}: {module_name} imports {error.name}, which is not installed. Install it.'
      ) from error
    raise ConfigError(
      f'{field}: expected a module that Python can import. Received: {path}, and there is no '
      f'module {error.name}. Install it, or put the folder that holds it on PYTHONPATH.'
    ) from error
  except Exception as error:
    # Whatever the user's module does when it is imported.
    raise ConfigError(
      f'{field}: importing {module_name} failed with {type(error).__name__}: {error}'
    ) from error
  found = getattr(module, name, None)
  if found is None:
    known = ', '.join(sorted(n for n, v in vars(module).items() if callable(v) and n[0] != '_'))
    raise ConfigError(f'{field}: {module_name} has no {name}. Its functions: {known or "none"}.')
  if not callable(found):
    raise ConfigError(
      f'{field}: expected a function. Received: {path}, which is of type {type(found).__name__}.'
    )
  return found
