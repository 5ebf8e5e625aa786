"""What is recorded of one run, from wherever it stands.

The metadata store knows its executions and artifacts, provenance.json what it takes to
repeat it, summary.json what came out. A run that stopped early lacks some of these, one
of TFX's own runner the two files, and one whose artifacts were deleted the rest.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import lineage, manifest_difference, provenance, run_notes

_DATASET = 'components.Dataset'
_MODEL_RUN = 'ModelRun'
_EVALUATION = 'ModelEvaluation'


@dataclasses.dataclass(frozen=True)
class RecordedRun:
  """What is known of one run.

  Attributes:
    run_id: its name.
    version: that it published or confirmed; empty where there is none.
    notes: see run_notes.
    steps: its executions, in order.
    summary, provenance, dataset, training, verdict: the JSON files; {} where it has none.
    manifest: manifest.parquet of its data; None where it has none.
  """

  run_id: str
  version: str
  notes: Mapping[str, Any]
  steps: tuple[lineage.Step, ...]
  summary: Mapping[str, Any]
  provenance: Mapping[str, Any]
  dataset: Mapping[str, Any]
  training: Mapping[str, Any]
  verdict: Mapping[str, Any]
  manifest: pathlib.Path | None

  @property
  def config(self) -> Mapping[str, Any]:
    """The resolved config; of a run that did not record it, what its Trainer was given."""
    return self.provenance.get('config') or _trained_config(self.steps)

  @property
  def recorded(self) -> bool:
    """Whether the whole config was recorded."""
    return bool(self.provenance.get('config'))

  def head(self) -> dict[str, Any]:
    """Returns what a reader has to know of the run, whatever changed."""
    said = run_notes.conclusions(self.notes)
    return {
      'run_id': self.run_id,
      'version': self.version or None,
      'outcome': self.summary.get('outcome') or lineage.state(self.steps),
      'error': self.summary.get('error'),
      'goal': run_notes.goal(self.notes) or self.summary.get('goal') or None,
      'conclusion': said[-1]['text'] if said else None,
      'accuracy': (self.verdict.get('candidate') or {}).get('accuracy'),
    }


def read(record: lineage.Record, name: str) -> RecordedRun:
  """Gathers what is known of a run.

  Args:
    record: of the run root.
    name: a run id or a version, or the unambiguous beginning of a run id.

  Raises:
    RunError: no such run, or a file of it that is no JSON.
  """
  run_id = record.run_id(name)
  outputs = record.outputs(run_id)
  summary, notes = record.summary(run_id), record.notes(run_id)
  dataset = _folder(outputs, _DATASET)
  manifest = dataset / manifest_difference.FILE if dataset else None
  return RecordedRun(
    run_id,
    record.version(run_id),
    notes,
    tuple(record.steps(run_id)),
    summary,
    lineage.read_json(record.folder(run_id) / provenance.FILE)
    or summary.get('provenance')
    or _noted(notes),
    _file(dataset, 'dataset.json') or summary.get('dataset') or {},
    _file(_folder(outputs, _MODEL_RUN), 'training.json') or _summed_up(summary),
    _verdict(outputs) or judged(summary),
    manifest if manifest and manifest.exists() else None,
  )


def fingerprint(step: lineage.Step) -> str:
  """Returns the hash of the code behind an execution; empty where its component has none."""
  own = step.parameters.get('code_fingerprint')
  return str(own or _custom_config(step).get('code_fingerprint') or '')


def _trained_config(steps: Iterable[lineage.Step]) -> dict[str, Any]:
  for step in steps:
    text = _custom_config(step).get('config')
    if text:
      return json.loads(text)
  return {}


def _custom_config(step: lineage.Step) -> dict[str, Any]:
  """TFX's own components have one parameter for whatever else there is, in JSON."""
  return json.loads(step.parameters.get('custom_config') or 'null') or {}


def _folder(outputs: Iterable[lineage.Artifact], kind: str) -> pathlib.Path | None:
  found = [pathlib.Path(one.uri) for one in outputs if one.type == kind]
  return found[-1] if found else None


def _file(folder: pathlib.Path | None, name: str) -> dict[str, Any]:
  return lineage.read_json(folder / name) if folder else {}


def _verdict(outputs: Iterable[lineage.Artifact]) -> dict[str, Any]:
  """Returns verdict.json; what ProductionEvaluator writes is of the same type, and is none."""
  folders = [pathlib.Path(one.uri) for one in outputs if one.type == _EVALUATION]
  found = [lineage.read_json(folder / 'verdict.json') for folder in folders]
  return next((tree for tree in found if tree), {})


def judged(summary: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the verdict as the summary tells it, for a run whose artifacts are gone."""
  if not summary.get('metrics'):
    return {}
  return {
    'candidate': summary['metrics'],
    'blessed': summary.get('verdict') == 'blessed',
    'slices': summary.get('slices'),
    'leaks': summary.get('leaks'),
  }


def _summed_up(summary: Mapping[str, Any]) -> dict[str, Any]:
  model = summary.get('model') or {}
  return {name: model[name] for name in ('parameters', 'stages') if model.get(name)}


def _noted(notes: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the record of a run as far as the store keeps it."""
  found: dict[str, Any] = {}
  if 'git_sha' in notes:
    found['code'] = {'git_sha': notes['git_sha'], 'dirty': bool(notes.get('dirty'))}
  if 'lock_sha256' in notes:
    found['lock'] = {'sha256': notes['lock_sha256']}
  return found
