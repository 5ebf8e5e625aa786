"""The run root, held by one run at a time; and what a small run leaves in the metadata store."""

import contextlib
import os
import signal
import time

import pytest

from pipeline import library_output, lineage, provenance, runner
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


def test_an_error_that_a_library_makes_of_an_interrupt_is_one():
  with pytest.raises(KeyboardInterrupt), runner._interrupts():
    try:
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(1)
    except KeyboardInterrupt as interrupt:
      raise RuntimeError('a worker failed') from interrupt
  with pytest.raises(RuntimeError, match='by itself'), runner._interrupts():
    raise RuntimeError('by itself')


class Heard:
  """A listener."""

  def __init__(self):
    self.finished_ones = []

  def planned(self, components):
    pass

  def started(self, component):
    pass

  def finished(self, component, outcome, seconds):
    self.finished_ones.append((component, outcome))


@pytest.fixture
def pipeline(tmp_path):
  """Compiles a pipeline of one component."""
  from tfx.dsl.compiler import compiler
  from tfx.orchestration import metadata
  from tfx.orchestration.pipeline import Pipeline

  from tests.unit.pipeline import worker_component

  def compiled(fails):
    store = metadata.sqlite_metadata_connection_config(str(tmp_path / lineage.DATABASE))
    worker = worker_component.Worker(fails=fails).with_id('Worker')
    return compiler.Compiler().compile(
      Pipeline(
        pipeline_name='x',
        pipeline_root=str(tmp_path / 'artifacts'),
        components=[worker],
        metadata_connection_config=store,
      )
    )

  return compiled


@pytest.mark.parametrize(('fails', 'outcome'), [(0, runner.DONE), (1, runner.FAILED)])
def test_a_run_leaves_its_goal_in_the_store_and_counts_its_cpu_seconds(
  tmp_path, pipeline, fails, outcome
):
  heard = Heard()
  with runner.open_run(config(tmp_path)) as run:
    run.goal = 'to see'
    run.provenance = provenance.collect(config(tmp_path), [])
    with contextlib.suppress(RunError):
      runner.execute(lambda: pipeline(fails), run, heard)
  assert heard.finished_ones == [('Worker', outcome)]
  assert run.components['Worker'].outcome == outcome
  # The component's own process has ended; what a process of it spent is counted.
  assert run.components['Worker'].cpu_seconds >= 0.29
  assert run.cpu_seconds >= run.components['Worker'].cpu_seconds
  assert run.seconds >= run.components['Worker'].seconds > 0
  assert run.energy_wh > 0 and run.energy_source in ('rapl', 'estimate')
  (recorded,) = lineage.Record(tmp_path).runs()
  assert (recorded.run_id, recorded.goal) == (run.run_id, 'to see')
  notes = lineage.Record(tmp_path).notes(run.run_id)
  assert notes == {'goal': 'to see', **provenance.properties(run.provenance)}


def test_a_component_that_gates_nothing_may_fail(tmp_path, pipeline, monkeypatch):
  monkeypatch.setattr(runner, 'GATES_NOTHING', {'Worker'})
  heard = Heard()
  with runner.open_run(config(tmp_path)) as run:
    runner.execute(lambda: pipeline(1), run, heard)
  assert heard.finished_ones == [('Worker', runner.FAILED)]
  assert run.error is None
  assert run.failures == {'Worker': 'it was told to fail'}


def test_a_run_without_goal_and_provenance_leaves_neither(tmp_path, pipeline):
  with runner.open_run(config(tmp_path)) as run:
    runner.execute(lambda: pipeline(0), run, Heard())
  assert lineage.Record(tmp_path).notes(run.run_id) == {}
