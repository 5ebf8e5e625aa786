"""The package as `pip install .` makes it: every module and data file, from any folder."""

import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> pathlib.Path:
  """A folder with the installed package and nothing of the checkout."""
  work = tmp_path_factory.mktemp('wheel')
  source = work / 'source'
  subprocess.run(['git', 'clone', '--quiet', str(ROOT), str(source)], check=True)
  subprocess.run(
    [
      sys.executable,
      '-m',
      'pip',
      'wheel',
      '--quiet',
      '--no-deps',
      '--no-build-isolation',
      '--wheel-dir',
      str(work),
      str(source),
    ],
    check=True,
  )
  (wheel,) = work.glob('sightline-*.whl')
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(work / 'site')
  return work / 'site'


def python(site: pathlib.Path, folder: pathlib.Path, code: str) -> str:
  """Runs code where only the installed package can be imported, and returns what it prints."""
  # The editable checkout is on the path through a finder; the folder in front of it wins.
  done = subprocess.run(
    [sys.executable, '-c', f'import sys; sys.path.insert(0, {str(site)!r})\n{code}'],
    cwd=folder,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_every_module_is_in_the_wheel(site):
  tracked = subprocess.run(
    ['git', 'ls-files', 'schemas', 'models', 'serving', 'components', 'pipeline'],
    cwd=ROOT,
    check=True,
    capture_output=True,
    text=True,
  ).stdout.split()
  missing = [name for name in tracked if not (site / name).exists()]
  assert not missing
  assert not (site / 'tests').exists()


def test_the_lock_travels_with_the_package(site):
  lock = (site / 'schemas/requirements.lock').read_text(encoding='utf-8')
  assert lock == (ROOT / 'requirements/runtime.txt').read_text(encoding='utf-8')


def test_the_bundled_experiment_loads_and_writes_where_the_user_stands(site, tmp_path):
  out = python(
    site,
    tmp_path,
    """
import pathlib, pipeline
from schemas.loader import load_config
config = load_config(pathlib.Path(pipeline.__file__).parent / 'configs/digits.yaml')
print(pipeline.__file__); print(config.data.schema_path.is_file()); print(config.run.root)
""",
  ).split()
  assert out == [str(site / 'pipeline/__init__.py'), 'True', str(tmp_path / 'runs/digits')]


def test_the_command_is_declared_and_answers(site, tmp_path):
  (entry,) = site.glob('sightline-*.dist-info/entry_points.txt')
  assert 'sightline = pipeline.__main__:main' in entry.read_text()
  out = python(
    site,
    tmp_path,
    """
import sys; sys.argv = ['sightline', '--help']
import pipeline.__main__ as command
assert command.__file__.startswith(sys.path[0])
command.main()
""",
  )
  assert 'doctor' in out and 'compile' in out
