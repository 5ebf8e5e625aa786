"""What it takes to repeat a run: code, packages, machine, config, data, seeds, command.

Collected when the run starts, and written to provenance.json in its folder at once,
so that a run that is killed has it too. What cannot be found out is null: nothing
here stops a run.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline import code_fingerprint, doctor
from schemas.config import Config

FILE = 'provenance.json'

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_DISTRIBUTION = 'sightline'
_GIT_SECONDS = 30.0
# In full in provenance.json alone.
_LONG = ('packages', 'config')


def collect(config: Config, command: Sequence[str]) -> dict[str, Any]:
  """Returns what is known before a run starts.

  Args:
    config: as it was resolved, with defaults and overrides.
    command: the words of the command line.
  """
  tree = config.model_dump(mode='json', by_alias=True)
  lock, packages = _lock()
  return {
    'command': list(command),
    'directory': str(pathlib.Path.cwd()),
    'code': code(_ROOT),
    'lock': lock,
    'packages': packages,
    'system': _system(),
    'hardware': _hardware(),
    'config': tree,
    'config_sha256': _sha256(
      json.dumps(tree, sort_keys=True, separators=(',', ':'), ensure_ascii=False).encode()
    ),
    'seeds': dict(_seeds(tree)),
    'data': None,
  }


def complete(record: Mapping[str, Any], dataset: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the record with what is known once the run has ended.

  Args:
    record: of collect.
    dataset: dataset.json of the run; empty where it has none.
  """
  hashes = {name: dataset.get(name) for name in ('dataset_sha256', 'manifest_sha256')}
  return {
    **record,
    'hardware': {**record['hardware'], 'gpus': gpus()},
    'data': hashes if dataset else None,
  }


def compact(record: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the record without the list of packages and the config, for the summary."""
  return {name: part for name, part in record.items() if name not in _LONG}


def write(record: Mapping[str, Any], folder: pathlib.Path) -> None:
  """Writes provenance.json, whole or not at all."""
  draft = folder / f'.{FILE}'
  draft.write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
  os.replace(draft, folder / FILE)


def properties(record: Mapping[str, Any]) -> dict[str, str | int]:
  """Returns what the metadata store keeps of it with the run; what is unknown is left out."""
  if not record:
    return {}
  known = {
    'git_sha': record['code']['git_sha'],
    'dirty': record['code']['dirty'],
    'config_sha256': record['config_sha256'],
    'lock_sha256': record['lock']['sha256'],
  }
  return {
    name: int(value) if isinstance(value, bool) else value
    for name, value in known.items()
    if value is not None
  }


def code(root: pathlib.Path) -> dict[str, Any]:
  """Returns which code it is, whether from a checkout or from an installed wheel.

  Args:
    root: the folder that holds our packages.

  Returns:
    version: of the installed distribution. sources: 16 hex digits over the content of
    our packages. git_sha, dirty: of the checkout, where `root` is the top of one.
    changed: files that differ from that commit, and new ones in our packages.
    diff_sha256: over their names and what is in them; null where there are none.
    git_reason: why git_sha and dirty are null.
  """
  found: dict[str, Any] = {
    'version': _version(),
    'sources': code_fingerprint.fingerprint(*doctor.PACKAGES),
    'git_sha': None,
    'dirty': None,
    'changed': [],
    'diff_sha256': None,
    'git_reason': None,
  }
  try:
    # A wheel may be installed inside someone else's checkout, whose commit is not ours.
    top = _git(root, 'rev-parse', '--show-toplevel').decode(errors='replace').rstrip('\n')
    if pathlib.Path(top).resolve() != root.resolve():
      return {**found, 'git_reason': f'{root} is not the top of a checkout'}
    sha = _git(root, 'rev-parse', '--verify', 'HEAD').decode().strip()
    return {**found, 'git_sha': sha, **_changes(root)}
  except (OSError, subprocess.SubprocessError) as error:
    return {**found, 'git_reason': _reason(error)}


def gpus() -> list[str] | None:
  """Returns the names of the GPUs; None where TensorFlow is not loaded, which is not loaded here.

  A GPU whose name TensorFlow does not know stands there by its place, such as GPU:0.
  """
  tensorflow = sys.modules.get('tensorflow')
  config = getattr(tensorflow, 'config', None)
  if config is None:
    return None
  return [
    config.experimental.get_device_details(device).get('device_name')
    or device.name.removeprefix('/physical_device:')
    for device in config.list_physical_devices('GPU')
  ]


def _changes(root: pathlib.Path) -> dict[str, Any]:
  # Two letters of state and a blank come before each name. (git diff would write to the
  # index, whatever it was told.)
  known = _git(root, 'status', '--porcelain', '-z', '--no-renames', '--untracked-files=no')
  tracked = [line[3:] for line in _names(known)]
  # Anything else that nobody added, such as data, is not code.
  new = _names(
    _git(root, 'ls-files', '--others', '--exclude-standard', '-z', '--', *doctor.PACKAGES)
  )
  changed = sorted({*tracked, *new})
  digest = hashlib.sha256()
  for name in changed:
    path = root / name
    content = path.read_bytes() if path.is_file() else b''
    digest.update(name.encode(errors='surrogateescape') + b'\0')
    digest.update(hashlib.sha256(content).digest())
  return {
    'dirty': bool(changed),
    'changed': [name.encode(errors='surrogateescape').decode(errors='replace') for name in changed],
    'diff_sha256': digest.hexdigest() if changed else None,
  }


def _names(listed: bytes) -> list[str]:
  return [name for name in listed.decode(errors='surrogateescape').split('\0') if name]


def _git(root: pathlib.Path, *words: str) -> bytes:
  # A hook that starts us has set GIT_DIR and more, for a checkout of its own.
  environment = {key: value for key, value in os.environ.items() if not key.startswith('GIT_')}
  return subprocess.run(
    # Without the option it may write to the index, and get in a person's way.
    ['git', '--no-optional-locks', '-C', str(root), *words],
    check=True,
    capture_output=True,
    stdin=subprocess.DEVNULL,
    timeout=_GIT_SECONDS,
    env=environment,
  ).stdout


def _reason(error: OSError | subprocess.SubprocessError) -> str:
  if isinstance(error, FileNotFoundError) and error.filename == 'git':
    return 'git is not installed'
  if isinstance(error, subprocess.CalledProcessError):
    lines = error.stderr.decode(errors='replace').strip().splitlines()
    return lines[0] if lines else f'git ended with code {error.returncode}'
  return str(error)


def _version() -> str | None:
  try:
    return importlib.metadata.version(_DISTRIBUTION)
  except importlib.metadata.PackageNotFoundError:
    return None


def _lock() -> tuple[dict[str, Any], dict[str, str | None]]:
  """Returns the lock's hash and what deviates from it, and the version of each of its packages."""
  try:
    text = doctor.lock_text()
  except FileNotFoundError as error:
    return {'sha256': None, 'deviations': [], 'reason': f'no lock at {error.filename}'}, {}
  locked = doctor.read_lock(text)
  packages = {name: _installed_version(name) for name in locked}
  present = {name: version for name, version in packages.items() if version is not None}
  return {
    'sha256': _sha256(text.encode()),
    'deviations': doctor.differences(locked, present),
    'reason': None,
  }, packages


def _installed_version(name: str) -> str | None:
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return None


def _system() -> dict[str, str | None]:
  try:
    distribution = platform.freedesktop_os_release().get('PRETTY_NAME')
  except OSError:
    distribution = None
  try:
    c_library = os.confstr('CS_GNU_LIBC_VERSION')
  except (ValueError, OSError):
    c_library = None
  return {
    'python': f'{platform.python_implementation()} {platform.python_version()}',
    'os': distribution,
    'kernel': f'{platform.system()} {platform.release()} {platform.machine()}',
    'glibc': c_library.removeprefix('glibc ') if c_library else None,
  }


def _hardware() -> dict[str, Any]:
  return {
    'cpu': _cpu_model(),
    'cores': len(os.sched_getaffinity(0)),
    'cores_of_machine': os.cpu_count(),
    'memory_gib': round(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30, 1),
    'gpus': gpus(),
  }


def _cpu_model() -> str | None:
  try:
    text = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace')
  except OSError:
    return None
  found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
  return found[1].strip() if found else None


def _seeds(tree: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, int]]:
  """Yields every field named seed, by its place in the config."""
  for name, value in tree.items():
    if isinstance(value, Mapping):
      yield from _seeds(value, f'{prefix}{name}.')
    elif name == 'seed':
      yield f'{prefix}{name}', value


def _sha256(content: bytes) -> str:
  return hashlib.sha256(content).hexdigest()
