"""The doctor: each check sees the fault it is there for, and says what to do."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest

from pipeline import doctor
from schemas.errors import RunError

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def without_legacy_keras(monkeypatch):
  """TFT sets the variable when another test of this process imports it."""
  monkeypatch.delenv('TF_USE_LEGACY_KERAS', raising=False)


def test_this_environment_has_no_red_line_about_packages():
  checks = {check.name: check for check in doctor.examine()}
  for name in ('Python', 'C library', 'native modules', 'versions', 'Keras', 'packages'):
    assert checks[name].ok is True, checks[name]


def test_a_line_that_is_not_green_says_what_to_do():
  for check in doctor.examine():
    assert check.ok is True or check.next_step


def test_the_lock_is_read_as_names_and_versions():
  text = (
    'Foo_Bar==1.2.0 \\\n    --hash=sha256:ab\n# a comment\n'
    'tfx[kfp]==1.21.0\nlast==3 ; python_version > "3"\n'
  )
  assert doctor.read_lock(text) == {'foo-bar': '1.2.0', 'tfx': '1.21.0', 'last': '3'}


def test_a_missing_and_a_differing_package_are_named():
  rows = doctor.differences({'a': '1', 'b': '2', 'c': '3'}, {'a': '1', 'b': '9', 'z': '1'})
  assert rows == ['b 9 (locked: 2)', 'c is missing (locked: 3)']


def test_the_lock_in_use_is_that_of_the_checkout():
  assert doctor.read_lock(doctor.lock_text())['keras'] == importlib.metadata.version('keras')


def test_another_keras_is_red(monkeypatch):
  monkeypatch.setattr(doctor, '_installed', lambda: {'keras': '2.15.0'})
  assert doctor.check_keras().ok is False


def test_the_legacy_variable_is_red(monkeypatch):
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '1')
  check = doctor.check_keras()
  assert check.ok is False
  assert 'unset TF_USE_LEGACY_KERAS' in check.next_step


def test_an_old_c_library_is_red(monkeypatch):
  monkeypatch.setattr(doctor.os, 'confstr', lambda name: 'glibc 2.36')
  check = doctor.check_c_library()
  assert check.ok is False
  assert '2.36' in check.found


def test_modules_that_do_not_load_are_red(monkeypatch, tmp_path):
  (tmp_path / 'ml_metadata.py').write_text('raise ImportError("GLIBC_2.38 not found")')
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  check = doctor.check_native_modules()
  assert check.ok is False
  assert 'GLIBC_2.38 not found' in check.found


def test_little_disk_and_memory(monkeypatch, tmp_path):
  usage = type('Usage', (), {'free': 0.5 * 2**30})
  monkeypatch.setattr(doctor.shutil, 'disk_usage', lambda path: usage)
  assert doctor.check_disk(tmp_path / 'not/yet/there').ok is False
  usage.free = 3 * 2**30
  assert doctor.check_disk(tmp_path).ok is None
  monkeypatch.setattr(doctor, '_available_memory', lambda: 3 * 2**30)
  assert doctor.check_memory().ok is None
  monkeypatch.setattr(doctor, '_available_memory', lambda: 1 * 2**30)
  assert doctor.check_memory().ok is False


@pytest.mark.parametrize(
  ('script', 'ok', 'word'),
  [
    ('echo "NVIDIA X, 16 GiB"', False, 'NVIDIA X, 16 GiB; TensorFlow sees 0'),
    ('echo "driver mismatch" >&2; exit 9', None, 'driver mismatch'),
  ],
)
def test_a_gpu_that_answers_or_not(monkeypatch, tmp_path, script, ok, word):
  # Where there is a real one TensorFlow must not see it here.
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '-1')
  command = tmp_path / 'nvidia-smi'
  command.write_text(f'#!/bin/sh\n{script}\n')
  command.chmod(0o755)
  monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
  check = doctor.check_gpu()
  assert check.ok is ok
  assert word in check.found


def test_a_gpu_that_tensorflow_sees_is_green(monkeypatch, tmp_path):
  command = tmp_path / 'nvidia-smi'
  command.write_text('#!/bin/sh\necho "NVIDIA X, 16 GiB"\n')
  command.chmod(0o755)
  monkeypatch.setenv('PATH', f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
  monkeypatch.setattr(doctor, '_gpus_of_tensorflow', lambda: (1, ''))
  assert doctor.check_gpu().ok is True


def test_no_gpu_is_information(monkeypatch, tmp_path):
  monkeypatch.setenv('PATH', str(tmp_path))
  assert doctor.check_gpu().ok is True


@pytest.mark.parametrize('with_init', [True, False])
def test_a_shadowing_package_is_refused_by_name(tmp_path, with_init):
  (tmp_path / 'models').mkdir()
  if with_init:
    (tmp_path / 'models/__init__.py').touch()
  done = subprocess.run(
    [sys.executable, '-c', 'from pipeline import doctor; doctor.check_shadowing()'],
    env={**os.environ, 'PYTHONPATH': str(tmp_path)},
    cwd='/',
    capture_output=True,
    text=True,
  )
  assert done.returncode == 1
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith('schemas.errors.RunError: models: expected')
  assert str(tmp_path / 'models') in last


def test_nothing_shadows_here():
  doctor.check_shadowing()


def test_a_shadowing_module_is_a_red_line(monkeypatch):
  monkeypatch.setattr(doctor, 'shadows', lambda: [('models', '/elsewhere/models.py')])
  assert doctor.check_packages().ok is False
  with pytest.raises(RunError, match='/elsewhere/models.py'):
    doctor.check_shadowing()


def test_red_fails_and_a_warning_does_not():
  green = doctor.Check('a', True, 'x', 'y', 'dropped')
  warning = doctor.Check('b', None, 'x', 'y', 'look at it')
  red = doctor.Check('c', False, 'x', 'y', 'mend it')
  assert green.next_step == ''
  assert not doctor.failed([green, warning])
  assert doctor.failed([green, warning, red])


def test_the_table_holds_what_was_found_and_the_next_steps():
  import rich.console

  console = rich.console.Console(width=160, record=True, file=open(os.devnull, 'w'))
  console.print(doctor.render([doctor.Check('disk', False, '[0.1] GiB', '5 GiB', 'delete runs')]))
  text = console.export_text()
  for word in ('disk', '[0.1] GiB', 'delete runs', 'cannot run Sightline'):
    assert word in text


@pytest.mark.slow
def test_a_wheel_carries_the_lock(tmp_path):
  import shutil
  import zipfile

  source = tmp_path / 'source'
  # A copy, because a build leaves its folders beside setup.py.
  shutil.copytree(
    ROOT,
    source,
    ignore=shutil.ignore_patterns(
      '.*', 'runs', 'data', 'tests', 'build', '*.egg-info', '__pycache__'
    ),
  )
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
      str(tmp_path),
      str(source),
    ],
    check=True,
  )
  (wheel,) = tmp_path.glob('*.whl')
  with zipfile.ZipFile(wheel) as archive:
    names = archive.namelist()
    lock = archive.read('schemas/requirements.lock').decode()
    archive.extractall(tmp_path / 'unpacked')
  assert doctor.read_lock(lock) == doctor.read_lock((ROOT / 'requirements/runtime.txt').read_text())
  for name in (
    'pipeline/templates/local_runner.py.template',
    'pipeline/doctor.py',
    'components/artifacts.py',
  ):
    assert name in names
  # A container compares itself with the checkout that compiled.
  code = 'from pipeline.kubeflow import expectation; print(expectation.compiled_here().to_json())'
  said = [
    subprocess.run(
      [sys.executable, '-c', code],
      env={'PATH': os.environ['PATH'], 'PYTHONPATH': str(place)},
      cwd='/',
      check=True,
      capture_output=True,
      text=True,
    ).stdout
    for place in (tmp_path / 'unpacked', ROOT)
  ]
  assert said[0] == said[1] != ''
