"""Runs a pipeline on this machine, one component after the other.

The same launcher, metadata store and cache as TFX's LocalDagRunner, which has no
callbacks: here a listener hears what starts, what ends and what came from the
cache. TFX is imported inside the functions, because it takes seconds.
"""

import contextlib
import dataclasses
import datetime
import fcntl
import logging
import pathlib
import signal
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from models.training import energy
from pipeline import beam_watch, metadata_store, provenance, run_notes, run_owner
from schemas.beam import BeamConfig
from schemas.config import Config
from schemas.errors import ConfigError, RunError, SightlineError

DONE = 'done'
CACHED = 'cached'
FAILED = 'failed'

# It explains what is decided without it: a run goes on, and ends well, where it fails.
GATES_NOTHING = frozenset({'Analysis'})

_log = logging.getLogger(__name__)


class Listener(Protocol):
  """Hears what a run does; called on the run's own thread."""

  def planned(self, components: list[str]) -> None: ...

  def started(self, component: str) -> None: ...

  def finished(self, component: str, outcome: str, seconds: float) -> None: ...


@dataclasses.dataclass
class ComponentRun:
  """One component in one run.

  Attributes:
    outcome: done, cached or failed.
    seconds: wall time.
    execution_id: in the metadata store; None where none was registered.
    cpu_seconds: of this process and of those that it started, user and system.
  """

  outcome: str
  seconds: float
  execution_id: int | None = None
  cpu_seconds: float = 0.0


@dataclasses.dataclass
class Run:
  """One run of an experiment, as far as it came.

  Attributes:
    run_id: also the name of its folder below the run root.
    folder: of this run, for logs and summaries.
    log: everything that the libraries printed.
    components: by id, in the order in which they ran.
    error: why it ended early, in words; None where it did not.
    failures: why each component failed that gates nothing, by its id.
    goal: what it is for, in a person's words; empty where nobody said.
    provenance: see provenance.collect; empty where it was not collected.
    cpu_seconds: of all components and what is between them.
    energy_wh: of the processor meanwhile, watt-hours.
    energy_source: `rapl` or `estimate`; see energy.Meter.
    beam: the engine of the steps over many images.
  """

  run_id: str
  folder: pathlib.Path
  log: pathlib.Path
  started: datetime.datetime
  components: dict[str, ComponentRun] = dataclasses.field(default_factory=dict)
  seconds: float = 0.0
  error: str | None = None
  failures: dict[str, str] = dataclasses.field(default_factory=dict)
  interrupted: bool = False
  goal: str = ''
  provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
  cpu_seconds: float = 0.0
  energy_wh: float = 0.0
  energy_source: str = energy.ESTIMATE
  beam: BeamConfig = BeamConfig()


@contextlib.contextmanager
def open_run(config: Config) -> Iterator[Run]:
  """Makes the folder of a new run and holds the run root until it ends.

  Raises:
    ConfigError: the run root cannot be written.
    RunError: another run holds it.
  """
  root = config.run.root
  assert root is not None  # the loader fills it in
  try:
    (root / 'logs').mkdir(parents=True, exist_ok=True)
    lock = open(root / 'run.lock', 'w', encoding='utf-8')
  except OSError as error:
    raise ConfigError(
      f'run.root: expected a folder that can be written. Received: {root} ({error.strerror}). '
      'Name another one: --set run.root=FOLDER'
    ) from error
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      raise RunError(
        f'{root}: another run of this experiment is at work there. Wait for it, or give this '
        'one a root of its own: --set run.root=FOLDER'
      ) from error
    run_owner.note(config)
    metadata_store.note(config)
    run = _new_run(root)
    run.beam = config.beam
    yield run


def _new_run(root: pathlib.Path) -> Run:
  started = datetime.datetime.now()
  run_id = started.strftime('%Y%m%d-%H%M%S')
  while (root / run_id).exists():
    started += datetime.timedelta(seconds=1)
    run_id = started.strftime('%Y%m%d-%H%M%S')
  (root / run_id).mkdir()
  return Run(run_id, root / run_id, root / 'logs' / f'{run_id}.log', started)


def compile_pipeline(config: Config, through: str | None = None):
  """Returns the pipeline of an experiment as TFX's intermediate representation.

  Args:
    config: of the experiment.
    through: id of the last component that is wanted; by default all of them.
  """
  from tfx.dsl.compiler import compiler

  from pipeline.create_pipeline import create_pipeline

  return compiler.Compiler().compile(create_pipeline(config, through))


def execute(compiled: Callable, run: Run, listener: Listener) -> None:
  """Runs every component of the pipeline, up to the first that fails.

  Args:
    compiled: returns the pipeline's intermediate representation; what it raises
      counts as the run's own error.
    run: receives what happened; its folder and log exist.
    listener: hears it as it happens.

  Raises:
    SightlineError: a component stopped for a cause that its text names.
    Exception: a defect, with its traceback in the log.
  """
  meter = energy.Meter()
  try:
    with meter:
      _quiet_libraries()
      with _interrupts() as raise_what_was_lost:
        _launch_all(compiled(), run, listener, raise_what_was_lost)
  except KeyboardInterrupt:
    run.interrupted = True
    run.error = 'Interrupted. Nothing that was half done will be used; run the same command again.'
    raise
  except SightlineError as error:
    run.error = str(error)
    raise
  except Exception as error:
    _log.exception('the run failed')
    run.error = _defect(error, run)
    raise
  finally:
    run.seconds, run.cpu_seconds = meter.seconds, meter.cpu_seconds
    run.energy_wh, run.energy_source = meter.energy_wh, meter.source


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
  """Remembers Ctrl-C: Python drops one that comes in a destructor or a library's callback.

  What fails after it failed because of it.

  Yields:
    What raises KeyboardInterrupt where there was one.
  """
  seen = threading.Event()

  def raise_what_was_lost() -> None:
    if seen.is_set():
      raise KeyboardInterrupt

  before = signal.getsignal(signal.SIGINT)
  if threading.current_thread() is not threading.main_thread() or not callable(before):
    yield raise_what_was_lost
    return

  def handle(number: int, frame: types.FrameType | None) -> None:
    seen.set()
    before(number, frame)

  signal.signal(signal.SIGINT, handle)
  try:
    yield raise_what_was_lost
  except Exception as error:
    if seen.is_set():
      # A library made an error of its own of it.
      raise KeyboardInterrupt from error
    raise
  finally:
    signal.signal(signal.SIGINT, before)


def _launch_all(
  compiled, run: Run, listener: Listener, raise_what_was_lost: Callable[[], None]
) -> None:
  from tfx.dsl.compiler import constants
  from tfx.orchestration.local import runner_utils
  from tfx.orchestration.portable import runtime_parameter_utils

  runtime_parameter_utils.substitute_runtime_parameter(
    compiled, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run.run_id}
  )
  deployment = runner_utils.extract_local_deployment_config(compiled)
  nodes = [node.pipeline_node for node in compiled.nodes]
  notes = {'goal': run.goal, **provenance.properties(run.provenance)}
  run_notes.at_start(
    _store(deployment), nodes[0].contexts, compiled.pipeline_info.id, run.run_id, notes
  )
  listener.planned([node.node_info.id for node in nodes])
  for node in nodes:
    raise_what_was_lost()
    name = node.node_info.id
    listener.started(name)
    part = ComponentRun(FAILED, 0.0)
    began, cpu_began = time.monotonic(), energy.cpu_seconds()
    try:
      with _watched(deployment, name, run.beam):
        part.outcome, part.execution_id = _launch(compiled, deployment, node)
    except Exception as error:
      raise_what_was_lost()
      if name not in GATES_NOTHING:
        raise
      _log.exception('%s failed; it gates nothing', name)
      run.failures[name] = str(error) if isinstance(error, SightlineError) else _defect(error, run)
    finally:
      part.seconds = time.monotonic() - began
      part.cpu_seconds = energy.cpu_seconds() - cpu_began
      run.components[name] = part
      listener.finished(name, part.outcome, part.seconds)
    if part.outcome == FAILED and name not in run.failures:
      why = f'{name} could not be started; the reason is in {run.log}'
      if name not in GATES_NOTHING:
        raise RunError(why)
      run.failures[name] = why


def _watched(deployment, name: str, beam: BeamConfig) -> contextlib.AbstractContextManager:
  from tfx.orchestration.local import runner_utils
  from tfx.proto.orchestration import executable_spec_pb2

  spec = runner_utils.extract_executor_spec(deployment, name)
  if isinstance(spec, executable_spec_pb2.BeamExecutableSpec):
    return beam_watch.watching(beam, name)
  return contextlib.nullcontext()


def _launch(compiled, deployment, node) -> tuple[str, int | None]:
  from ml_metadata.proto import metadata_store_pb2
  from tfx.orchestration import metadata
  from tfx.orchestration.local import runner_utils
  from tfx.orchestration.portable import launcher

  store = _store(deployment)
  name = node.node_info.id
  info = launcher.Launcher(
    pipeline_node=node,
    mlmd_connection=metadata.Metadata(store),
    pipeline_info=compiled.pipeline_info,
    pipeline_runtime_spec=compiled.runtime_spec,
    executor_spec=runner_utils.extract_executor_spec(deployment, name),
    custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
  ).launch()
  if info is None or info.execution_id is None:
    return DONE, None
  with metadata.Metadata(store) as handle:
    (execution,) = handle.store.get_executions_by_id([info.execution_id])
  state = metadata_store_pb2.Execution.State
  outcomes = {state.CACHED: CACHED, state.COMPLETE: DONE}
  # The launcher returns, and does not raise, where it cannot resolve an input.
  return outcomes.get(execution.last_known_state, FAILED), info.execution_id


def _store(deployment):
  connection = deployment.metadata_connection_config
  return getattr(connection, connection.WhichOneof('connection_config'))


def _quiet_libraries() -> None:
  """Lets the libraries log to the run's log file through Python's logging."""
  from absl import logging as absl_logging

  absl_logging.set_verbosity(absl_logging.INFO)
  absl_logging.use_absl_handler()
  # It prints a second copy of each line to stderr, which is the same file.
  logging.getLogger().removeHandler(absl_logging.get_absl_handler())


def _defect(error: BaseException, run: Run) -> str:
  return f'{type(error).__name__}: {_first_line(error)} (traceback in {run.log})'


def _first_line(error: BaseException) -> str:
  return (str(error).strip().splitlines() or [''])[0]
