"""A hash of our own code, so that TFX's cache notices when it changes.

The cache looks at inputs, parameters and the class path of a component, not at
the code behind that path.
"""

import functools
import hashlib
import importlib.util
import pathlib

# Templates and styles decide what a component writes as much as its code does.
_SUFFIXES = ('.py', '.jinja', '.css')


@functools.cache
def fingerprint(*packages: str) -> str:
  """Hashes the sources of packages, templates among them, by relative name and content.

  Args:
    *packages: dotted names, such as `models` or `components.evaluator`.

  Returns:
    The first 16 hex digits of a sha256.
  """
  digest = hashlib.sha256()
  for package in packages:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
      raise ModuleNotFoundError(package)
    origin = pathlib.Path(spec.origin)
    folder = origin.parent
    sources = _sources(folder) if origin.name == '__init__.py' else [origin]
    for source in sources:
      digest.update(f'{package}/{source.relative_to(folder)}\0'.encode())
      digest.update(source.read_bytes())
  return digest.hexdigest()[:16]


def _sources(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(path for path in folder.rglob('*') if path.suffix in _SUFFIXES)
