"""Set-up: what stops it says what to do, and an incomplete environment is not trusted."""

import importlib.util
import pathlib
import platform
import shutil
import types

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def environment(monkeypatch, tmp_path):
  """The set-up script, looking at a folder that it may write to."""
  spec = importlib.util.spec_from_file_location('environment', ROOT / 'tools/environment.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
  shutil.copy(ROOT / 'setup.py', tmp_path)
  for name, value in {
    'ROOT': tmp_path,
    'VENV': tmp_path / '.venv',
    'STAMP': tmp_path / '.venv/stamp',
    'LOG': tmp_path / 'log',
  }.items():
    monkeypatch.setattr(module, name, value)
  return module


def test_without_a_stamp_an_environment_is_not_current(environment):
  (environment.VENV / 'bin').mkdir(parents=True)
  assert not environment.is_current()
  environment.STAMP.write_text(environment.fingerprint())
  assert environment.is_current()


@pytest.mark.parametrize('name', ['runtime.txt', 'dev.txt', 'bootstrap.txt'])
def test_another_lock_makes_another_environment(environment, name):
  environment.VENV.mkdir()
  environment.STAMP.write_text(environment.fingerprint())
  with open(environment.ROOT / 'requirements' / name, 'a') as lock:
    lock.write('# changed\n')
  assert not environment.is_current()


def script(folder, text):
  command = folder / 'nvidia-smi'
  command.write_text(f'#!/bin/sh\n{text}\n')
  command.chmod(0o755)


@pytest.mark.parametrize(
  ('text', 'first'),
  [
    ('echo "GPU 0: NVIDIA X (UUID: 1)"', 'cuda.txt'),
    ('echo "No devices found"', 'runtime.txt'),
    ('echo "GPU 0: NVIDIA X" ; exit 9', 'runtime.txt'),
  ],
)
def test_cuda_comes_where_a_gpu_answers(environment, monkeypatch, tmp_path, text, first):
  script(tmp_path, text)
  monkeypatch.setenv('PATH', str(tmp_path))
  assert environment.locks() == (first, 'dev.txt')


def test_a_gpu_that_appears_makes_another_environment(environment, monkeypatch, tmp_path):
  monkeypatch.setenv('PATH', str(tmp_path))
  environment.VENV.mkdir()
  environment.STAMP.write_text(environment.fingerprint())
  assert environment.is_current()
  script(tmp_path, 'echo "GPU 0: NVIDIA X (UUID: 1)"')
  assert not environment.is_current()


def pins(name):
  text = (ROOT / 'requirements' / name).read_text().replace('\\\n', ' ')
  rows = (line.split() for line in text.splitlines() if '==' in line)
  return {row[0]: set(row[1:]) for row in rows}


def test_the_lock_with_cuda_is_the_other_and_the_libraries_of_tensorflow():
  cuda, runtime = pins('cuda.txt'), pins('runtime.txt')
  assert {name: cuda.get(name) for name in runtime} == runtime
  more = {name.partition('==')[0] for name in cuda} - {name.partition('==')[0] for name in runtime}
  assert {'nvidia-cuda-runtime-cu12', 'nvidia-cudnn-cu12', 'nvidia-nccl-cu12'} <= more
  assert all(name.startswith('nvidia-') for name in more)


def test_another_system_is_told_what_to_use(environment, monkeypatch):
  monkeypatch.setattr(platform, 'system', lambda: 'Darwin')
  with pytest.raises(environment.SetupError, match='Use a container or a virtual machine'):
    environment.check_machine()


def test_what_is_missing_comes_with_the_apt_line(environment, monkeypatch):
  monkeypatch.setattr(environment.shutil, 'which', lambda name: None)
  monkeypatch.setattr(environment.sysconfig, 'get_path', lambda name: '/nowhere')
  with pytest.raises(environment.SetupError, match=r'apt-get install -y python3.11-dev g\+\+'):
    environment.check_machine()


def test_another_python_is_named(environment, monkeypatch):
  monkeypatch.setattr(environment.sys, 'version_info', (3, 12, 1))
  with pytest.raises(environment.SetupError, match='Python 3.11 is needed'):
    environment.check_machine()


def test_an_old_system_that_is_no_debian_is_told_what_to_do(environment, monkeypatch, tmp_path):
  monkeypatch.setattr(environment, 'os_release', lambda: {'ID': 'fedora'})
  with pytest.raises(environment.SetupError, match='Use Debian 13, Ubuntu 24.04 or newer'):
    environment.build_private_runtime(None)


def test_the_mirror_is_that_of_the_machines_own_apt(environment, monkeypatch):
  monkeypatch.setattr(environment, 'os_release', lambda: {'VERSION_CODENAME': 'bookworm'})
  rows = 'http://security.example/debian-security/|bookworm-security|x\nhttp://m.example/debian/|bookworm|oldstable\n'
  monkeypatch.setattr(
    environment.subprocess, 'run', lambda *_, **__: types.SimpleNamespace(stdout=rows)
  )
  assert environment.system_mirror('debian') == 'http://m.example/debian/'


def test_pip_settings_are_translated_for_uv(environment, monkeypatch):
  listing = """\
global.index-url='http://m.example/simple'
:env:.cert='/c.pem'
global.extra-index-url='file:///x http://n.example/s'
"""
  monkeypatch.setattr(
    environment.subprocess, 'run', lambda *_, **__: types.SimpleNamespace(stdout=listing)
  )
  monkeypatch.setattr(environment.os, 'environ', {})
  assert environment.index_settings() == {
    'UV_DEFAULT_INDEX': 'http://m.example/simple',
    'UV_INDEX': 'http://n.example/s',
    'SSL_CERT_FILE': '/c.pem',
  }


def test_a_failing_command_stops_with_the_last_lines_of_the_log(environment):
  with open(environment.LOG, 'w') as log:
    with pytest.raises(environment.SetupError, match='exit code 3(.|\n)*why it failed'):
      environment.run(log, ['sh', '-c', 'echo why it failed; exit 3'])


def test_the_locks_name_no_host_and_pin_every_file(environment):
  for name in ('runtime.txt', 'cuda.txt', 'dev.txt', 'bootstrap.txt'):
    text = (ROOT / 'requirements' / name).read_text()
    assert '://' not in text and '--index-url' not in text
    assert text.count('--hash=sha256:') >= text.count('==')
