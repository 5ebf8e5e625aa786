"""What this machine has, against what Sightline needs: `sightline doctor`.

Answers in seconds, so nothing heavy is imported: what must be loaded to be
believed is loaded in a process of its own.
"""

import dataclasses
import functools
import importlib.metadata
import importlib.resources
import importlib.util
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence

from schemas.errors import RunError, SightlineError

PACKAGES = ('schemas', 'models', 'serving', 'components', 'pipeline')

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_REBUILD = 'build the environment again: make'
# The wheels of ml-metadata and tensorflow-data-validation are built for it.
_NEEDED_GLIBC = (2, 39)
# GiB: below the first a run cannot end well, below the second it may not.
_DISK = (1.0, 5.0)
_MEMORY = (2.0, 4.0)


@dataclasses.dataclass(frozen=True)
class Check:
  """One line of the examination.

  Attributes:
    name: what was looked at.
    ok: True is green, None a warning, False red.
    found: what this machine has.
    expected: what Sightline needs.
    next_step: what to do about it; emptied where the line is green.
  """

  name: str
  ok: bool | None
  found: str
  expected: str
  next_step: str = ''

  def __post_init__(self) -> None:
    if self.ok is True:
      object.__setattr__(self, 'next_step', '')


def examine(directory: pathlib.Path | None = None) -> list[Check]:
  """Looks at the interpreter, the packages and the machine.

  Args:
    directory: where runs will be written; by default the working directory.
  """
  directory = directory or pathlib.Path.cwd()
  checks: tuple[Callable[[], Check], ...] = (
    check_python,
    check_c_library,
    check_native_modules,
    check_versions,
    check_keras,
    check_packages,
    check_pip,
    functools.partial(check_disk, directory),
    check_memory,
    check_cores,
    check_gpu,
  )
  return [check() for check in checks]


def failed(checks: Iterable[Check]) -> bool:
  """Tells whether any line is red; the command then ends with exit code 1."""
  return any(check.ok is False for check in checks)


def check_shadowing() -> None:
  """Refuses a `models`, `pipeline`, ... on the path that is not Sightline's own.

  Called by the command line when it starts.

  Raises:
    RunError: a folder or module of that name comes first on the path.
  """
  for name, found in shadows():
    raise RunError(
      f'{name}: expected the package of that name in {_ROOT}. Received: {found}, which comes '
      'first on the path and hides it. Rename that folder, take it out of PYTHONPATH, or '
      'start from another folder; code of your own may have any other name.'
    )


def shadows() -> list[tuple[str, str]]:
  """Returns (package, location) for each of our names that resolves to another place."""
  found = []
  for name in PACKAGES:
    spec = importlib.util.find_spec(name)
    # A folder without __init__.py is a package too: it has locations and no origin.
    places = list(spec.submodule_search_locations or [spec.origin or '']) if spec else ['nothing']
    if str(_ROOT / name) not in [str(pathlib.Path(place).resolve()) for place in places]:
      found.append((name, places[0]))
  return found


def check_python() -> Check:
  """Python 3.11 on Linux x86_64, for which TFX has wheels."""
  found = f'{platform.python_version()} on {platform.system()} {platform.machine()}'
  return Check(
    'Python',
    sys.version_info[:2] == (3, 11) and found.endswith('on Linux x86_64'),
    found,
    '3.11 on Linux x86_64',
    'install Python 3.11 and call: make PYTHON=/path/to/python3.11; elsewhere than on Linux '
    'use a container or, on Windows, WSL2',
  )


def check_c_library() -> Check:
  """The C library that this very process has loaded."""
  version, path = _loaded_c_library()
  private = _ROOT.joinpath('.venv/runtime') in path.parents if path else False
  words = '.'.join(map(str, version)) if any(version) else 'not glibc'
  place = 'private runtime' if private else f'{path or "system"}'
  return Check(
    'C library',
    version >= _NEEDED_GLIBC,
    f'glibc {words} ({place})',
    'glibc 2.39 or newer',
    f'{_REBUILD} (on Debian and Ubuntu it unpacks a private runtime)',
  )


def check_native_modules() -> Check:
  """ml-metadata and tfx-bsl, the two extension modules that an old C library refuses."""
  code = 'import ml_metadata, tfx_bsl.coders.example_coder'
  try:
    done = subprocess.run(
      [sys.executable, '-c', code], check=False, capture_output=True, text=True, timeout=60
    )
    loads, text = done.returncode == 0, done.stderr.strip() or 'no output'
  except subprocess.TimeoutExpired:
    loads, text = False, 'not loaded within 60 s'
  return Check(
    'native modules',
    loads,
    'load' if loads else text.splitlines()[-1],
    'ml-metadata and tfx-bsl load',
    _REBUILD,
  )


def check_versions() -> Check:
  """Every installed package against the lock."""
  try:
    locked = read_lock(lock_text())
  except FileNotFoundError as error:
    return Check(
      'versions',
      None,
      f'no lock at {error.filename}',
      'the packaged lock',
      'install Sightline again from its source folder',
    )
  differing = differences(locked, _installed())
  found = ', '.join(differing[:4]) + (f' and {len(differing) - 4} more' if differing[4:] else '')
  return Check(
    'versions',
    not differing,
    found or f'{len(locked)} packages as locked',
    f'the {len(locked)} locked versions',
    _REBUILD,
  )


def lock_text() -> str:
  """Returns the lock: packaged as schemas/requirements.lock, or the checkout's own.

  Raises:
    FileNotFoundError: neither exists.
  """
  packaged = importlib.resources.files('schemas') / 'requirements.lock'
  if packaged.is_file():
    return packaged.read_text(encoding='utf-8')
  return (_ROOT / 'requirements/runtime.txt').read_text(encoding='utf-8')


def read_lock(text: str) -> dict[str, str]:
  """Returns normalised name to version for each `name==version` of a requirements lock."""
  pattern = re.compile(r'^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)', re.MULTILINE)
  return {_normalised(name): version for name, version in pattern.findall(text)}


def differences(locked: Mapping[str, str], installed: Mapping[str, str]) -> list[str]:
  """Returns a line for each locked package that is missing or has another version."""
  rows = []
  for name, version in sorted(locked.items()):
    have = installed.get(name)
    if have != version:
      rows.append(f'{name} {have or "is missing"} (locked: {version})')
  return rows


def check_keras() -> Check:
  """Keras 3, and no variable that turns tf.keras into Keras 2."""
  version = _installed().get('keras', 'missing')
  legacy = os.environ.get('TF_USE_LEGACY_KERAS', '')
  set_ = legacy.lower() in ('1', 'true')
  found = f'keras {version}' + (f', TF_USE_LEGACY_KERAS={legacy}' if legacy else '')
  return Check(
    'Keras',
    version.startswith('3.') and not set_,
    found,
    'keras 3, TF_USE_LEGACY_KERAS not set',
    'unset TF_USE_LEGACY_KERAS' if set_ else _REBUILD,
  )


def check_packages() -> Check:
  """No other package of our names comes first on the path."""
  found = [f'{name} is {place}' for name, place in shadows()]
  return Check(
    'packages',
    not found,
    ', '.join(found) or f'from {_ROOT}',
    f'{", ".join(PACKAGES)} from {_ROOT}',
    'rename that folder, or take it out of PYTHONPATH',
  )


def check_pip() -> Check:
  """The tfx command line calls a bare `pip`, which must be this environment's."""
  found = shutil.which('pip')
  own = pathlib.Path(sys.prefix, 'bin')
  matches = found is not None and pathlib.Path(found).parent.resolve() == own.resolve()
  return Check(
    'pip on PATH',
    True if matches else None,
    found or 'none',
    f'{own}/pip (for tfx only)',
    f'before tfx commands: export PATH={own}:$PATH',
  )


def check_disk(directory: pathlib.Path) -> Check:
  """Free space where runs are written."""
  place = next(path for path in (directory, *directory.parents) if path.exists())
  free = shutil.disk_usage(place).free / 2**30
  return Check(
    'disk',
    _grade(free, _DISK),
    f'{free:.1f} GiB free at {place}',
    f'{_DISK[1]:g} GiB free',
    'delete old runs, or set run.root to a larger disk',
  )


def check_memory() -> Check:
  """Memory that is free now, or within this container's limit."""
  available = _available_memory() / 2**30
  return Check(
    'memory',
    _grade(available, _MEMORY),
    f'{available:.1f} GiB available',
    f'{_MEMORY[1]:g} GiB available',
    'close other programs, or lower train.batch_size and image.height',
  )


def check_cores() -> Check:
  """Cores that this process may use."""
  cores = len(os.sched_getaffinity(0))
  return Check(
    'cores',
    True if cores >= 2 else None,
    str(cores),
    '2 or more',
    'runs take about twice as long on one core',
  )


def check_gpu() -> Check:
  """Whether TensorFlow sees the NVIDIA GPU that answers; without one the CPU is enough."""
  command = shutil.which('nvidia-smi')
  if command is None:
    return Check('GPU', True, 'none (training runs on the CPU)', 'none needed')
  try:
    done = subprocess.run(
      [command, '--query-gpu=name,memory.total', '--format=csv,noheader'],
      check=False,
      capture_output=True,
      text=True,
      timeout=10,
    )
    answers, text = done.returncode == 0, (done.stdout or done.stderr).strip()
  except subprocess.TimeoutExpired:
    answers, text = False, 'nvidia-smi does not answer within 10 s'
  if not answers:
    return Check(
      'GPU',
      None,
      text,
      'an answer from nvidia-smi',
      'mend the driver, or go on: training runs on the CPU',
    )
  seen, why = _gpus_of_tensorflow()
  return Check(
    'GPU',
    seen > 0,
    f'{text}; TensorFlow sees {seen}' + (f' ({why})' if why else ''),
    'a GPU that answers is seen by TensorFlow',
    f'{_REBUILD} (where nvidia-smi answers it takes requirements/cuda.txt), or hide the GPU '
    'to train on the CPU: export CUDA_VISIBLE_DEVICES=-1',
  )


def _gpus_of_tensorflow() -> tuple[int, str]:
  """Returns how many GPUs it sees, in a process of its own, and its complaint if none."""
  code = "import tensorflow as tf; print('GPUs', len(tf.config.list_physical_devices('GPU')))"
  try:
    done = subprocess.run(
      [sys.executable, '-c', code],
      check=False,
      capture_output=True,
      text=True,
      timeout=120,
      env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '0'},
    )
  except subprocess.TimeoutExpired:
    return 0, 'it was not loaded within 120 s'
  found = re.search(r'^GPUs (\d+)$', done.stdout, re.MULTILINE)
  if found and int(found[1]):
    return int(found[1]), ''
  said = [line for line in done.stderr.splitlines() if re.search(r'cuda|gpu', line, re.IGNORECASE)]
  return 0, said[-1].rpartition('] ')[2] if said else 'it does not say why'


def check_beam(config: pathlib.Path, overrides: Sequence[str] = ()) -> Check:
  """The workers of the Beam engine that an experiment names."""
  from pipeline import beam_preflight
  from schemas.loader import load_config

  try:
    experiment = load_config(config, overrides)
    beam_preflight.check(experiment)
  except SightlineError as error:
    return Check('Beam engine', False, str(error), 'workers as this process is', 'see above')
  engine = experiment.beam.engine
  asked = {'local': 'this process', 'portable': 'a worker answered, with the same packages'}
  return Check(
    'Beam engine',
    True if engine in asked else None,
    f'{engine}: {asked.get(engine, "cannot be asked before a job is sent")}',
    'workers as this process is',
    'send a small run first',
  )


def render(checks: Sequence[Check]):
  """Returns the examination as a table, with what to do about each line that is not green."""
  import rich.console
  import rich.table

  table = rich.table.Table(title='This machine', title_justify='left')
  for heading in ('', 'what', 'found', 'expected'):
    table.add_column(heading, overflow='fold')
  marks = {True: '[green]ok[/]', None: '[yellow]warning[/]', False: '[red]fails[/]'}
  for check in checks:
    table.add_row(
      marks[check.ok],
      check.name,
      rich.markup.escape(check.found),
      rich.markup.escape(check.expected),
    )
  steps = [
    f'{check.name}: {rich.markup.escape(check.next_step)}' for check in checks if check.next_step
  ]
  verdict = (
    '[red]This machine cannot run Sightline yet.[/]'
    if failed(checks)
    else '[green]This machine can run Sightline.[/]'
  )
  return rich.console.Group(table, *(f'  next: {step}' for step in steps), verdict)


def _grade(value: float, limits: tuple[float, float]) -> bool | None:
  if value < limits[0]:
    return False
  return True if value >= limits[1] else None


def _normalised(name: str) -> str:
  return re.sub(r'[-_.]+', '-', name).lower()


@functools.cache
def _installed() -> dict[str, str]:
  rows: dict[str, str] = {}
  for distribution in importlib.metadata.distributions():
    rows.setdefault(_normalised(distribution.metadata['Name']), distribution.version)
  return rows


def _loaded_c_library() -> tuple[tuple[int, int], pathlib.Path | None]:
  try:
    text = os.confstr('CS_GNU_LIBC_VERSION') or ''
  except (ValueError, OSError):
    text = ''
  found = re.match(r'glibc (\d+)\.(\d+)', text)
  version = (int(found[1]), int(found[2])) if found else (0, 0)
  try:
    maps = pathlib.Path('/proc/self/maps').read_text(encoding='utf-8')
  except OSError:
    return version, None
  path = re.search(r'(/\S*/libc(?:\.so\.6|-[\d.]+\.so))$', maps, re.MULTILINE)
  return version, pathlib.Path(path[1]) if path else None


def _available_memory() -> float:
  text = pathlib.Path('/proc/meminfo').read_text(encoding='utf-8')
  found = re.search(r'^MemAvailable:\s+(\d+) kB', text, re.MULTILINE)
  available = float(found[1]) * 1024 if found else 0.0
  limit = pathlib.Path('/sys/fs/cgroup/memory.max')
  used = pathlib.Path('/sys/fs/cgroup/memory.current')
  if limit.exists() and used.exists():
    words = limit.read_text(encoding='utf-8').strip()
    if words.isdigit():
      available = min(available, int(words) - int(used.read_text(encoding='utf-8')))
  return available
