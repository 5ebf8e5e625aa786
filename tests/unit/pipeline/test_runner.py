"""The run root: one run at a time, and a clear word where it cannot be used."""

import contextlib
import os
import signal
import time

import pytest

from pipeline import library_output, runner
from schemas.errors import ConfigError, RunError
from schemas.loader import build_config


def config(root):
  return build_config({'name': 'x', 'run': {'root': str(root)}}, 'test')


def test_a_second_run_on_the_same_root_is_refused(tmp_path):
  with runner.open_run(config(tmp_path)):
    with pytest.raises(RunError, match='another run of this experiment is at work'):
      with runner.open_run(config(tmp_path)):
        pass
  with runner.open_run(config(tmp_path)) as run:
    assert run.folder.is_dir()


def test_two_runs_in_one_second_have_folders_of_their_own(tmp_path):
  folders = set()
  for _ in range(3):
    with runner.open_run(config(tmp_path)) as run:
      folders.add(run.folder)
  assert len(folders) == 3


def test_a_root_that_cannot_be_written_is_a_config_error(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(ConfigError, match='run.root: expected a folder that can be written'):
    with runner.open_run(config(tmp_path / 'file/run')):
      pass


def test_what_libraries_print_goes_to_the_log(tmp_path, capfd):
  log = tmp_path / 'log'
  with library_output.to_log(log):
    os.write(1, b'from C++\n')
    os.write(2, b'and its errors\n')
  os.write(1, b'seen\n')
  assert log.read_text() == 'from C++\nand its errors\n'
  assert capfd.readouterr().out == 'seen\n'


def test_what_is_held_back_comes_to_light_with_a_defect_and_only_then(capfd):
  with pytest.raises(ConfigError), library_output.held_back():
    os.write(2, b'noise\n')
    raise ConfigError('known')
  assert 'noise' not in capfd.readouterr().err
  with pytest.raises(ZeroDivisionError), library_output.held_back():
    os.write(2, b'noise\n')
    raise ZeroDivisionError
  assert 'noise' in capfd.readouterr().err


def test_an_interrupt_that_a_library_drops_is_not_lost():
  before = signal.getsignal(signal.SIGINT)
  with runner._interrupts() as raise_what_was_lost:
    raise_what_was_lost()
    with contextlib.suppress(KeyboardInterrupt):
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(1)
    with pytest.raises(KeyboardInterrupt):
      raise_what_was_lost()
  assert signal.getsignal(signal.SIGINT) is before
