"""Functions of a user's own: where their modules are found, and which files they are.

The config names them by dotted paths (model.build_fn, augment.fn). The folder of the
YAML file is the place for their modules: `network.build` is `build` in network.py
beside it. Where that folder is a package itself, with an __init__.py, its name comes
first: `own_code.network.build`. It comes last on Python's path, so that no file there
can take the place of a library's module; an installed package of the user's own is
found as any other.
"""

import ast
import hashlib
import importlib.util
import pathlib
import sys
import sysconfig
from collections.abc import Iterator

from schemas.config import Config
from schemas.errors import ConfigError


def make_importable(config: Config, config_path: pathlib.Path | None) -> None:
  """Lets the modules beside a YAML file be imported, if its config names any.

  The command line calls it after it has read the config. A runner file of TFX's own
  command line need not: that puts the folder of the runner file on the path.

  Args:
    config: what the file holds.
    config_path: the YAML file; without one the working directory takes its folder's
      place.

  Raises:
    ConfigError: a module beside the file would never be found, since another one
      of its name comes first.
  """
  names = _top_level_names(config)
  if not names:
    return
  folder = _base(config_path.resolve().parent if config_path else pathlib.Path.cwd())
  if str(folder) not in sys.path:
    sys.path.append(str(folder))
  for field, name in names.items():
    mine = _module_in(folder, name)
    found = _location(name)
    if mine is not None and found is not None and found.resolve() != mine:
      raise ConfigError(
        f'{field}: expected {mine}, beside the config. Received: {found}, which has the same '
        f'name and comes first on the path. Rename {mine.name}, and its name in {field}.'
      )


def fingerprint(config: Config) -> str:
  """Hashes the sources of a user's own functions, so that TFX's cache notices a change.

  Of each module also what it imports from the folder or package that it lies in; not
  what it imports from installed libraries.

  Returns:
    The first 16 hex digits of a sha256; empty where the config names no function.

  Raises:
    ConfigError: there is no such module.
  """
  names = _top_level_names(config)
  if not names:
    return ''
  digest = hashlib.sha256()
  for field, name in names.items():
    location = _location(name)
    if location is None:
      raise ConfigError(
        f'{field}: expected a module beside the config, or an installed one. Received: {name}, '
        f'which Python does not find on {", ".join(path or "." for path in sys.path)}.'
      )
    base = location.parent
    for path in sorted(_sources(base, name)):
      digest.update(f'{path.relative_to(base)}\0'.encode())
      digest.update(path.read_bytes())
  return digest.hexdigest()[:16]


def _top_level_names(config: Config) -> dict[str, str]:
  """Returns config field to the first part of the dotted path that it holds."""
  fields = {'model.build_fn': config.model.build_fn, 'augment.fn': config.augment.fn}
  return {field: path.partition('.')[0] for field, path in fields.items() if path}


def _base(folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder itself, or the one that holds the package that it is a part of."""
  while (folder / '__init__.py').exists():
    folder = folder.parent
  return folder


def _location(name: str) -> pathlib.Path | None:
  """Returns the file of a module, or the folder of a package."""
  importlib.invalidate_caches()
  spec = importlib.util.find_spec(name)
  if spec is None:
    return None
  if spec.submodule_search_locations:
    return pathlib.Path(next(iter(spec.submodule_search_locations)))
  return pathlib.Path(spec.origin) if spec.origin else None


def _module_in(folder: pathlib.Path, name: str) -> pathlib.Path | None:
  return next((path for path in (folder / name, folder / f'{name}.py') if path.exists()), None)


def _sources(base: pathlib.Path, name: str) -> set[pathlib.Path]:
  """Returns the sources of a module or package, and of those beside it that it imports."""
  installed = {pathlib.Path(sysconfig.get_path(kind)) for kind in ('purelib', 'platlib', 'stdlib')}
  found: set[pathlib.Path] = set()
  waiting = [name]
  seen = set()
  while waiting:
    name = waiting.pop()
    seen.add(name)
    location = _module_in(base, name)
    if location is None:
      continue
    files = set(location.rglob('*.py')) if location.is_dir() else {location}
    found |= files
    if base not in installed:
      waiting += sorted({used for file in files for used in _imported(file)} - seen)
  return found


def _imported(path: pathlib.Path) -> Iterator[str]:
  """Yields the first part of each name that a file imports; none where it cannot be read."""
  try:
    tree = ast.parse(path.read_bytes())
  except SyntaxError:
    # Whoever imports it says what is wrong.
    return
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name.partition('.')[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
      yield node.module.partition('.')[0]
