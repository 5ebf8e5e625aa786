"""The record of runs: what ran, and what a published version was made from.

Read from the metadata store, which TFX writes, and each run's
summary.json, which Sightline writes. Nothing is written here.

ml_metadata is imported inside a function: the command line imports this module
when it starts and must answer at once.
"""

import collections
import dataclasses
import datetime
import json
import pathlib
from collections.abc import Container, Iterable, Mapping
from typing import Any

from pipeline import metadata_store, run_notes, serving_difference
from schemas.config import Config
from schemas.errors import RunError

DATABASE = metadata_store.FILE
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
_COMPARED = ('baseline_model', 'baseline_blessing')


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
    parameters: of the component, as plain values.
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
  parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


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
    goal: what it was for; empty where nobody said.
    conclusion: the latest; empty where there is none.
  """

  run_id: str
  started: datetime.datetime
  seconds: float
  state: str
  accuracy: float | None
  verdict: str
  version: str
  goal: str = ''
  conclusion: str = ''


@dataclasses.dataclass(frozen=True)
class Lineage:
  """What a version, or a run, was made from.

  Attributes:
    run_id: of the run that published the version, or the run asked for.
    version: empty where the run published none.
    steps: executions on the way, in the order in which they ran.
    artifacts: that those steps read or wrote, by id.
    figures: accuracies of the run, by what they were measured on, and its times, as text.
    notes: what the store keeps with the run; see run_notes.
  """

  run_id: str
  version: str
  steps: tuple[Step, ...]
  artifacts: Mapping[int, Artifact]
  figures: Mapping[str, str] = dataclasses.field(default_factory=dict)
  notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def of_type(self, name: str) -> list[Artifact]:
    """Returns the artifacts of a type, oldest first."""
    return [one for _, one in sorted(self.artifacts.items()) if one.type == name]

  @property
  def facts(self) -> dict[str, str]:
    """What a reader asks first: data, model and verdicts, as text."""
    found = {'run': self.run_id, 'version': self.version or 'none published'}
    found |= {**run_notes.in_words(self.notes), **self.figures}
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
    self._store = metadata_store.open_store(self._root)
    contexts = self._store.get_contexts_by_type(_RUN)
    self._run_names = {context.id: context.name for context in contexts}
    self._notes = {context.name: _values(context.custom_properties) for context in contexts}
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
    pushed = self._pushed_as(name)
    if pushed:
      return self._lineage(self._writers[pushed.id].run_id, name, [pushed.id])
    run_id = self.run_id(name)
    outputs = [key for step in self.steps(run_id) for key in step.outputs]
    return self._lineage(run_id, self._last_version(outputs), outputs)

  def run_id(self, name: str) -> str:
    """Returns the run that published a version, or the one of that name.

    Args:
      name: a version number, a run id, or the unambiguous beginning of one.

    Raises:
      RunError: neither a version nor a run has that name, or several have.
    """
    pushed = self._pushed_as(name)
    return self._writers[pushed.id].run_id if pushed else self._run_id(name)

  def knows(self, run_id: str) -> bool:
    """Returns whether the store has an entry of that run."""
    return run_id in self._run_names.values()

  def published(self, version: str) -> bool:
    """Returns whether a run published that version."""
    return self._pushed_as(version) is not None

  def published_at(self, version: str) -> datetime.datetime | None:
    """Returns when the step ended that published a version; None where no run did."""
    pushed = self._pushed_as(version)
    if pushed is None:
      return None
    step = self._writers[pushed.id]
    return step.started + datetime.timedelta(seconds=step.seconds)

  def published_weights(self, version: str) -> str:
    """Returns the hash of the weights that were published as a version; empty if unknown."""
    pushed = self._pushed_as(version)
    return str(pushed.properties.get('weights_sha256') or '') if pushed else ''

  def steps(self, run_id: str) -> list[Step]:
    """Returns the executions of a run, in the order in which they began."""
    return [step for _, step in sorted(self._steps.items()) if step.run_id == run_id]

  def outputs(self, run_id: str) -> list[Artifact]:
    """Returns what the executions of a run wrote or took over from the cache, oldest first."""
    keys = {key for step in self.steps(run_id) for key in step.outputs}
    found = map(_artifact, self._store.get_artifacts_by_id(sorted(keys)))
    return sorted(found, key=lambda one: one.id)

  def version(self, run_id: str) -> str:
    """Returns the version that a run published or confirmed; empty where it did not."""
    return self._last_version({key for step in self.steps(run_id) for key in step.outputs})

  def folder(self, run_id: str) -> pathlib.Path:
    """Returns where the summary of a run lies, if it has one."""
    return self._root / run_id

  def summary(self, run_id: str) -> dict:
    """Returns summary.json of a run; {} where it has none."""
    return read_json(self.folder(run_id) / SUMMARY)

  def notes(self, run_id: str) -> Mapping[str, Any]:
    """Returns what the store keeps with a run: goal, conclusions, hashes."""
    return self._notes.get(run_id, {})

  def _run(self, run_id: str, steps: list[Step]) -> Run:
    summary = self.summary(run_id) or self._judged(steps)
    started = min(step.started for step in steps)
    ended = max(step.started + datetime.timedelta(seconds=step.seconds) for step in steps)
    return Run(
      run_id,
      started,
      (ended - started).total_seconds(),
      state(steps),
      _accuracy(summary),
      str(summary.get('verdict') or ''),
      self._last_version({key for step in steps for key in step.outputs}),
      run_notes.goal(self.notes(run_id)),
      run_notes.conclusion(self.notes(run_id)),
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
      f'{len(matches)} runs. List them with: sightline runs list CONFIG'
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
      figures(self.summary(run_id) or self._judged(steps.values())),
      self.notes(run_id),
    )

  def _pushed_as(self, version: str) -> Artifact | None:
    return next((one for one in self._pushed() if _version(one) == version), None)

  def _last_version(self, outputs: Container[int]) -> str:
    versions = [_version(artifact) for artifact in self._pushed() if artifact.id in outputs]
    return versions[-1] if versions else ''

  def _pushed(self) -> list[Artifact]:
    found = map(_artifact, self._store.get_artifacts_by_type(_PUSHED))
    return sorted((one for one in found if _version(one)), key=lambda one: one.id)

  def _judged(self, steps: Iterable[Step]) -> dict:
    """Accuracy and verdict of a run that TFX's own runner did, which writes no summary."""
    outputs = {key for step in steps for key in step.outputs}
    for artifact in map(_artifact, self._store.get_artifacts_by_type(_EVALUATION)):
      if artifact.id in outputs:
        tree = read_json(pathlib.Path(artifact.uri, _VERDICT))
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
        parameters=_values(execution.properties) | _values(execution.custom_properties),
      )


def run_root(config: Config) -> pathlib.Path:
  """Returns where the runs of an experiment are recorded."""
  return pathlib.Path(config.run.root or f'runs/{config.name}')


def record(config: Config) -> Record:
  """Opens the record of one experiment.

  Raises:
    RunError: it has not run yet.
  """
  return Record(run_root(config))


def read_json(path: pathlib.Path) -> dict:
  """Returns the object that a file holds; {} where there is no such file.

  Raises:
    RunError: it cannot be read.
  """
  try:
    tree = json.loads(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, NotADirectoryError):
    return {}
  except (OSError, ValueError) as error:
    raise RunError(f'{path}: expected JSON. Received: {error}') from error
  return tree if isinstance(tree, dict) else {}


def _artifact(message) -> Artifact:
  return Artifact(message.id, message.type, message.uri, _values(message.custom_properties))


def _values(properties) -> dict[str, Any]:
  return {
    name: getattr(value, value.WhichOneof('value'))
    for name, value in properties.items()
    if value.WhichOneof('value')
  }


def _version(pushed: Artifact) -> str:
  return str(pushed.properties.get('pushed_version') or '')


def _verdict(blessed: object) -> str:
  if blessed is None:
    return 'no verdict'
  return 'blessed' if blessed == 1 else 'not blessed'


def state(steps: Iterable[Step]) -> str:
  """Returns what became of a run: complete, cached, failed, unfinished or not started."""
  states = {step.state for step in steps}
  if not states:
    return 'not started'
  if states & {'FAILED', 'CANCELED'}:
    return 'failed'
  if not states <= set(_DONE):
    return 'unfinished'
  return 'cached' if states == {'CACHED'} else 'complete'


def figures(summary: Mapping[str, Any]) -> dict[str, str]:
  """Returns the accuracies of a summary, each with n and interval, and the time of an image."""
  found = {
    'accuracy on test': summary.get('accuracy'),
    'accuracy on production': (summary.get('production') or {}).get('accuracy'),
  }
  leaks = summary.get('leaks') or {}
  if leaks.get('affected'):
    found['accuracy without leaks'] = leaks.get('accuracy_without')
  served = serving_difference.in_words(summary.get('serving') or {})
  return {
    name: f'{part["value"]:.4f} (n {part["n"]}, 95 % interval {part["interval"][0]:.4f} to '
    f'{part["interval"][1]:.4f})'
    for name, part in found.items()
    if isinstance(part, Mapping) and part.get('value') is not None and 'interval' in part
  } | ({'time of one image': served} if served else {})


def _accuracy(summary: Mapping[str, Any]) -> float | None:
  value = summary.get('accuracy')
  if isinstance(value, Mapping):
    value = value.get('value')
  return float(value) if isinstance(value, int | float) else None
