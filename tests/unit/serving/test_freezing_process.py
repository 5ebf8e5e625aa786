"""The process that reads a new version: what becomes of it, and of its failures."""

import os
import shutil
import subprocess
import sys
import threading
import time

import psutil
import pytest
import tensorflow as tf

from schemas.errors import ExportError, ServingError
from serving import freezing_process, frozen_servable, versions
from serving.frozen_servable import load_aside


@pytest.fixture(autouse=True, scope='module')
def however_small():
  """The models of these tests are, and still go through the other process."""
  with pytest.MonkeyPatch.context() as patched:
    patched.setattr(frozen_servable, '_SMALL', 0)
    yield


def test_a_small_version_needs_no_other_process(affine_model, monkeypatch):
  monkeypatch.setattr(frozen_servable, '_SMALL', 1 << 20)
  monkeypatch.setattr(sys, 'executable', 'absent')
  load_aside(affine_model).close()


@pytest.mark.parametrize(
  ('ends', 'expected'),
  [
    ('echo no room >&2; exit 3', r'exit code 3\. It said last: no room'),
    ('kill -11 $$', r'exit code -11\. It said last: nothing'),
    ('printf 1234 >&$5', r'exit code 0'),
    ('printf "no length at all" >&$5', r'exit code 0'),
  ],
)
def test_a_process_that_ends_early_is_told(image_model, tmp_path, monkeypatch, ends, expected):
  stand_in = tmp_path / 'python'
  stand_in.write_text(f'#!/bin/bash\n{ends}\n')
  stand_in.chmod(0o755)
  monkeypatch.setattr(sys, 'executable', str(stand_in))
  with pytest.raises(ExportError, match=expected):
    load_aside(image_model)


def test_a_version_whose_process_was_killed_is_tried_again(affine_model, tmp_path, monkeypatch):
  shutil.copytree(affine_model, tmp_path / '1')
  found = versions.Versions(tmp_path, load_aside)
  stand_in = tmp_path / 'python'
  stand_in.write_text('#!/bin/sh\nkill -9 $$\n')
  stand_in.chmod(0o755)
  with monkeypatch.context() as patched:
    patched.setattr(sys, 'executable', str(stand_in))
    with pytest.raises(ServingError, match='was killed; there may be too little memory'):
      found.poll()
    assert found.status()[0].code == tf.errors.UNAVAILABLE
    patched.setattr(sys, 'executable', str(tmp_path / 'absent'))
    with pytest.raises(ServingError, match='no process can be started'):
      found.poll()
  found.poll()
  assert found.in_service() == [1]
  found.close()


def test_nothing_in_the_folder_of_the_server_is_taken_for_a_module(
  affine_model, tmp_path, monkeypatch
):
  (tmp_path / 'struct.py').write_text('raise SystemExit("shadowed")\n')
  monkeypatch.chdir(tmp_path)
  load_aside(affine_model).close()


@pytest.fixture
def unanswered(tmp_path):
  """Gives the process that reads a version, and the errors of its thread, which it ends."""
  (tmp_path / '1').mkdir()
  # A file system that does not answer.
  os.mkfifo(tmp_path / '1/saved_model.pb')
  failed = []

  def load():
    try:
      load_aside(tmp_path / '1')
    except OSError as error:
      failed.append(error)

  thread = threading.Thread(target=load)
  thread.start()
  assert _becomes(lambda: freezing_process._RUNNING, 10)
  (process,) = freezing_process._RUNNING
  yield process, failed
  freezing_process.end()
  thread.join(10)


def _becomes(condition, seconds):
  until = time.monotonic() + seconds
  while not condition() and time.monotonic() < until:
    time.sleep(0.01)
  return condition()


def test_a_server_that_stops_ends_the_process(unanswered):
  process, failed = unanswered
  freezing_process.end()
  assert _becomes(lambda: failed, 10)
  assert process.returncode == -9 and not freezing_process._RUNNING


def test_the_process_is_nice_within_the_session_of_the_server(unanswered):
  process, _ = unanswered
  # Linux shares processors among sessions first: niceness counts within one.
  assert os.getsid(process.pid) == os.getsid(0)
  # Ctrl-C goes to a group.
  assert os.getpgid(process.pid) != os.getpgid(0)
  seen = psutil.Process(process.pid)
  # It says so once TensorFlow is imported.
  assert _becomes(lambda: seen.nice() >= freezing_process._NICENESS, 60)


def test_the_process_ends_with_the_server(tmp_path):
  (tmp_path / '1').mkdir()
  # A file system that does not answer.
  os.mkfifo(tmp_path / '1/saved_model.pb')
  code = f"""
import os, pathlib, threading, time
from serving import freezing_process as process, frozen_servable
frozen_servable._SMALL = 0
load = lambda: frozen_servable.load_aside(pathlib.Path({str(tmp_path / '1')!r}))
threading.Thread(target=load, daemon=True).start()
until = time.monotonic() + 20
while not process._RUNNING and time.monotonic() < until:
  time.sleep(0.01)
(one,) = process._RUNNING
print(one.pid, one.poll(), flush=True)
os._exit(0)
"""
  done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=90)
  pid, ended = done.stdout.split()
  assert ended == 'None'
  # It hears of it as soon as TensorFlow is imported.
  assert _becomes(lambda: not psutil.pid_exists(int(pid)), 60)
