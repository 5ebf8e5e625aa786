"""The record of runs: what ran, and what a published version was made from.

Read from the run root: metadata.sqlite, which TFX writes, and each run's
summary.json, which Sightline writes. Nothing is written here.

ml_metadata is imported inside a function: the command line imports this module
when it starts and must answer at once.
"""

import collections
import dataclasses
import datetime
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from schemas.config import Config
from schemas.errors import RunError

DATABASE = 'metadata.sqlite'
SUMMARY = 'summary.json'

# Names that TFX gives in its store.
_RUN = 'pipeline_run'
_NODE = 'node'
_PUSHED = 'PushedModel'
_DATASET = 'components.Dataset'
_MODEL = 'Model'
_EVALUATION = 'ModelEvaluation'
# Beside TFMA's own files, by our Evaluator.
_VERDICT = 'verdict.json'
_BLESSINGS = ('ModelBlessing', 'InfraBlessing')
_DONE = ('COMPLETE', 'CACHED')
# Inputs that a verdict is measured against: named, and not walked back from,
# or each version would list every one before it.
_COMPARED = ('baseline_model',)


@dataclasses.dataclass(frozen=True)
class Artifact:
  """One artifact of the store, with its custom properties as plain values."""

  id: int
  type: str
  uri: str
  properties: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Step:
  """One execution.

  Attributes:
    id: in the store.
    component: id of the component in the pipeline.
    run_id: of the run that it belongs to.
    state: COMPLETE, CACHED, FAILED, RUNNING, ... as the store writes it.
    started: when it was registered.
    seconds: from then to its last change.
    inputs: artifacts that it read.
    compared: those of them that it only measured against.
    outputs: artifacts that it wrote, or that it took over from the cache.
  """

  id: int
  component: str
  run_id: str
  state: str
  started: datetime.datetime
  seconds: float
  inputs: tuple[int, ...]
  compared: tuple[int, ...]
  outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Run:
  """One run, as a line of the list.

  Attributes:
    run_id: its name, and that of its folder.
    started: of its first component.
    seconds: from the first component's start to the last one's end.
    state: complete, cached, failed or unfinished.
    accuracy: on test, 0..1; None where the run has no summary.
    verdict: of the Evaluator, in the summary's words; empty without one.
    version: that it published or confirmed; empty where there is none.
  """

  run_id: str
  started: datetime.datetime
  seconds: float
  state: str
  accuracy: float | None
  verdict: str
  version: str


@dataclasses.dataclass(frozen=True)
class Lineage:
  """What a version, or a run, was made from.

  Attributes:
    run_id: of the run that published the version, or the run asked for.
    version: empty where the run published none.
    steps: executions on the way, in the order in which they ran.
    artifacts: that those steps read or wrote, by id.
    figures: accuracies of the run, by what they were measured on, as text.
  """

  run_id: str
  version: str
  steps: tuple[Step, ...]
  artifacts: Mapping[int, Artifact]
  figures: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def of_type(self, name: str) -> list[Artifact]:
    """Returns the artifacts of a type, oldest first."""
    return [one for _, one in sorted(self.artifacts.items()) if one.type == name]

  @property
  def facts(self) -> dict[str, str]:
    """What a reader asks first: data, model and verdicts, as text."""
    found = {'run': self.run_id, 'version': self.version or 'none published', **self.figures}
    for dataset in self.of_type(_DATASET)[-1:]:
      found['dataset'] = dataset.uri
      for name in ('manifest_sha256', 'dataset_sha256'):
        found[name] = str(dataset.properties.get(name, 'not recorded'))
    for model in self._own_models()[-1:]:
      found['model'] = model.uri
    for name in _BLESSINGS:
      for blessing in self.of_type(name)[-1:]:
        found[name] = _verdict(blessing.properties.get('blessed'))
    compared = {key for step in self.steps for key in step.compared}
    for model in [one for one in self.of_type(_MODEL) if one.id in compared][-1:]:
      found['compared with'] = model.uri
    return found

  def _own_models(self) -> list[Artifact]:
    compared = {key for step in self.steps for key in step.compared}
    return [model for model in self.of_type(_MODEL) if model.id not in compared]


class Record:
  """Reads one run root."""

  def __init__(self, root: pathlib.Path) -> None:
    """Opens the store of a run root.

    Raises:
      RunError: there is none.
    """
    self._root = pathlib.Path(root)
    self._store = _open(self._root / DATABASE)
    self._run_names = {
      context.id: context.name for context in self._store.get_contexts_by_type(_RUN)
    }
    self._nodes = self._names_of_nodes()
    self._steps = {step.id: step for step in self._read_steps()}
    self._writers: dict[int, Step] = {}
    # One that took the artifact from the cache did not make it.
    for step in sorted(self._steps.values(), key=lambda step: (step.state == 'CACHED', step.id)):
      for key in step.outputs:
        self._writers.setdefault(key, step)

  def runs(self) -> list[Run]:
    """Returns the runs, newest first."""
    steps_of = collections.defaultdict(list)
    for step in self._steps.values():
      steps_of[step.run_id].append(step)
    rows = [self._run(run_id, steps) for run_id, steps in steps_of.items()]
    return sorted(rows, key=lambda run: run.started, reverse=True)

  def lineage(self, name: str) -> Lineage:
    """Walks back from a published version, or from all that a run wrote.

    Args:
      name: a version number, a run id, or the unambiguous beginning of one.

    Raises:
      RunError: neither a version nor a run has that name, or several have.
    """
    pushed = [artifact for artifact in self._pushed() if _version(artifact) == name]
    if pushed:
      return self._lineage(self._writers[pushed[0].id].run_id, name, [pushed[0].id])
    run_id = self._run_id(name)
    outputs = [
      key for step in self._steps.values() if step.run_id == run_id for key in step.outputs
    ]
    versions = [_version(artifact) for artifact in self._pushed() if artifact.id in outputs]
    return self._lineage(run_id, versions[-1] if versions else '', outputs)

  def _run(self, run_id: str, steps: list[Step]) -> Run:
    summary = self._summary(run_id) or self._judged(steps)
    outputs = {key for step in steps for key in step.outputs}
    versions = [_version(artifact) for artifact in self._pushed() if artifact.id in outputs]
    started = min(step.started for step in steps)
    ended = max(step.started + datetime.timedelta(seconds=step.seconds) for step in steps)
    return Run(
      run_id,
      started,
      (ended - started).total_seconds(),
      _state(steps),
      _accuracy(summary),
      str(summary.get('verdict') or ''),
      versions[-1] if versions else '',
    )

  def _run_id(self, name: str) -> str:
    matches = [known for known in self._run_names.values() if known == name]
    matches = matches or [known for known in self._run_names.values() if known.startswith(name)]
    if len(matches) == 1:
      return matches[0]
    known = sorted(self._run_names.values())
    versions = sorted({_version(artifact) for artifact in self._pushed()})
    raise RunError(
      f'{self._root}: expected a version ({", ".join(versions) or "none published"}) or one run '
      f'({", ".join(known[-5:]) or "none yet"}). Received: {name}, which names '
      f'{len(matches)} runs. List them with: sightline runs list'
    )

  def _lineage(self, run_id: str, version: str, start: Iterable[int]) -> Lineage:
    waiting = list(start)
    artifacts: set[int] = set()
    steps: dict[int, Step] = {}
    while waiting:
      key = waiting.pop()
      if key in artifacts:
        continue
      artifacts.add(key)
      step = self._writers.get(key)
      if step is None or step.id in steps:
        continue
      steps[step.id] = step
      artifacts.update(step.compared)
      waiting += [*step.inputs, *step.outputs]
    rows = {one.id: one for one in map(_artifact, self._store.get_artifacts_by_id(artifacts))}
    return Lineage(
      run_id,
      version,
      tuple(steps[key] for key in sorted(steps)),
      rows,
      _figures(self._summary(run_id) or self._judged(steps.values())),
    )

  def _pushed(self) -> list[Artifact]:
    found = map(_artifact, self._store.get_artifacts_by_type(_PUSHED))
    return sorted((one for one in found if _version(one)), key=lambda one: one.id)

  def _summary(self, run_id: str) -> dict:
    return _read_json(self._root / run_id / SUMMARY)

  def _judged(self, steps: Iterable[Step]) -> dict:
    """Accuracy and verdict of a run that TFX's own runner did, which writes no summary."""
    outputs = {key for step in steps for key in step.outputs}
    for artifact in map(_artifact, self._store.get_artifacts_by_type(_EVALUATION)):
      if artifact.id in outputs:
        tree = _read_json(pathlib.Path(artifact.uri, _VERDICT))
        # What ProductionEvaluator writes is no verdict.
        if tree:
          return {
            'accuracy': (tree.get('candidate') or {}).get('accuracy'),
            'verdict': 'blessed' if tree.get('blessed') else 'not blessed',
          }
    return {}

  def _names_of_nodes(self) -> dict[int, str]:
    # TFX names the context <pipeline>.<component>.
    return {
      execution.id: context.name.rpartition('.')[2]
      for context in self._store.get_contexts_by_type(_NODE)
      for execution in self._store.get_executions_by_context(context.id)
    }

  def _read_steps(self) -> Iterable[Step]:
    from ml_metadata.proto import metadata_store_pb2 as mlmd

    run_of = {
      execution.id: name
      for key, name in self._run_names.items()
      for execution in self._store.get_executions_by_context(key)
    }
    if not run_of:
      return
    events = collections.defaultdict(list)
    compared = collections.defaultdict(list)
    for event in self._store.get_events_by_execution_ids(list(run_of)):
      events[event.execution_id, event.type].append(event.artifact_id)
      if event.path.steps and event.path.steps[0].key in _COMPARED:
        compared[event.execution_id].append(event.artifact_id)
    for execution in self._store.get_executions_by_id(list(run_of)):
      yield Step(
        id=execution.id,
        component=self._nodes.get(execution.id, execution.type),
        run_id=run_of[execution.id],
        state=mlmd.Execution.State.Name(execution.last_known_state),
        started=datetime.datetime.fromtimestamp(
          execution.create_time_since_epoch / 1000, datetime.UTC
        ),
        seconds=(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000,
        inputs=tuple(events[execution.id, mlmd.Event.INPUT]),
        compared=tuple(compared[execution.id]),
        outputs=tuple(events[execution.id, mlmd.Event.OUTPUT]),
      )


def record(config: Config) -> Record:
  """Opens the record of one experiment.

  Raises:
    RunError: it has not run yet.
  """
  return Record(pathlib.Path(config.run.root or f'runs/{config.name}'))


def render_runs(runs: Iterable[Run]):
  """Returns the list of runs as a table."""
  import rich.table

  # Without frames it fits a terminal of 80 columns.
  table = rich.table.Table(box=None, padding=(0, 1), pad_edge=False)
  for heading in ('run', 'started (UTC)', 's', 'state', 'accuracy', 'verdict', 'version'):
    table.add_column(heading, overflow='fold', no_wrap=heading != 'state')
  for run in runs:
    table.add_row(
      run.run_id,
      f'{run.started:%m-%d %H:%M:%S}',
      f'{run.seconds:.0f}',
      run.state,
      '' if run.accuracy is None else f'{run.accuracy:.1%}',
      run.verdict,
      run.version,
    )
  return table


def render_lineage(lineage: Lineage):
  """Returns what a version was made from: the facts, then every step on the way."""
  import rich.console
  import rich.table

  # Hashes are meant to be copied: whole, however narrow the terminal is.
  facts = rich.table.Table.grid(padding=(0, 2))
  facts.add_column(no_wrap=True)
  facts.add_column(overflow='fold')
  for name, text in lineage.facts.items():
    facts.add_row(name, text)
  table = rich.table.Table(title='Made by', title_justify='left')
  for heading in ('component', 'run', 'state', 'seconds', 'wrote'):
    table.add_column(heading, overflow='fold')
  for step in lineage.steps:
    wrote = [
      f'{lineage.artifacts[key].type.removeprefix("components.")} {key}'
      for key in step.outputs
      if key in lineage.artifacts
    ]
    table.add_row(
      step.component, step.run_id, step.state.lower(), f'{step.seconds:.1f}', ', '.join(wrote)
    )
  return rich.console.Group(facts, table)


def _open(path: pathlib.Path):
  from ml_metadata import errors
  from ml_metadata.metadata_store import metadata_store
  from ml_metadata.proto import metadata_store_pb2 as mlmd

  if not path.exists():
    raise RunError(
      f'{path}: expected the record of earlier runs. Received: no such file. '
      'Start one with: sightline run CONFIG'
    )
  connection = mlmd.ConnectionConfig()
  connection.sqlite.filename_uri = str(path)
  connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READONLY
  try:
    return metadata_store.MetadataStore(connection)
  except (errors.StatusError, RuntimeError) as error:
    raise RunError(f'{path}: expected a store that TFX wrote. Received: {error}') from error


def _read_json(path: pathlib.Path) -> dict:
  try:
    tree = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, NotADirectoryError):
    return {}
  except (OSError, ValueError) as error:
    raise RunError(f'{path}: expected JSON. Received: {error}') from error
  return tree if isinstance(tree, dict) else {}


def _artifact(message) -> Artifact:
  values = {
    name: getattr(value, value.WhichOneof('value'))
    for name, value in message.custom_properties.items()
    if value.WhichOneof('value')
  }
  return Artifact(message.id, message.type, message.uri, values)


def _version(pushed: Artifact) -> str:
  return str(pushed.properties.get('pushed_version') or '')


def _verdict(blessed: object) -> str:
  if blessed is None:
    return 'no verdict'
  return 'blessed' if blessed == 1 else 'not blessed'


def _state(steps: Iterable[Step]) -> str:
  states = {step.state for step in steps}
  if states & {'FAILED', 'CANCELED'}:
    return 'failed'
  if not states <= set(_DONE):
    return 'unfinished'
  return 'cached' if states == {'CACHED'} else 'complete'


def _figures(summary: Mapping[str, Any]) -> dict[str, str]:
  """Returns the accuracies of a summary, each with n and interval."""
  found = {
    'accuracy on test': summary.get('accuracy'),
    'accuracy on production': (summary.get('production') or {}).get('accuracy'),
  }
  leaks = summary.get('leaks') or {}
  if leaks.get('affected'):
    found['accuracy without leaks'] = leaks.get('accuracy_without')
  return {
    name: f'{part["value"]:.4f} (n {part["n"]}, 95 % interval {part["interval"][0]:.4f} to '
    f'{part["interval"][1]:.4f})'
    for name, part in found.items()
    if isinstance(part, Mapping) and part.get('value') is not None and 'interval' in part
  }


def _accuracy(summary: Mapping[str, Any]) -> float | None:
  value = summary.get('accuracy')
  if isinstance(value, Mapping):
    value = value.get('value')
  return float(value) if isinstance(value, int | float) else None
