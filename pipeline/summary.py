"""The summary of a run: one JSON file that scripts read, and the same in words.

Everything in it comes from the artifacts of the run; what a run that ended early
never made is null.
"""

import json
import os
import pathlib
from typing import Any

from components.analysis import outputs as analysis_outputs
from components.audit import outputs
from components.image_example_gen import quarantine, spans
from components.serving_validator.gate import Gate
from models.training import energy as meter
from pipeline import (
  floors_text,
  looks_at_test,
  metadata_store,
  provenance,
  runner,
  training_summary,
)
from schemas.config import Config
from schemas.errors import DataError

FILE = 'summary.json'
TEXT_FILE = 'summary.txt'

# What became of the run; the command line's exit code hangs on it.
PUBLISHED = 'published'
UNCHANGED = 'unchanged'
NOT_BLESSED = 'not blessed'
NOT_SERVABLE = 'not servable'
STOPPED = 'stopped'
INTERRUPTED = 'interrupted'
# As far as it was to go, which is not as far as a verdict.
TRAINED = 'trained'
IN_SERVICE = (PUBLISHED, UNCHANGED)
# Head of the line about a published model that did not answer.
NO_ANSWER = 'NO ANSWER'


def collect(config: Config, run: runner.Run) -> dict[str, Any]:
  """Gathers the summary of a run that has ended, well or not."""
  artifacts = _artifacts(config, run)
  verdict = _json(artifacts, 'Evaluator', 'evaluation', 'verdict.json') or {}
  production = _json(artifacts, 'ProductionEvaluator', 'evaluation', 'production.json')
  checked = _json(artifacts, 'DataGate', 'report', 'report.json') or {}
  gates = _json(artifacts, 'ServingValidator', 'blessing', 'gates.json') or {}
  training = _json(artifacts, 'Trainer', 'model_run', 'training.json') or {}
  dataset = _json(artifacts, 'ImageExampleGen', 'dataset', 'dataset.json') or {}
  audit = _json(artifacts, 'Audit', 'audit', outputs.SUMMARY)
  pushed = _artifact(artifacts, 'Publisher', 'pushed_model')
  model = _artifact(artifacts, 'Trainer', 'model')
  published = _published(pushed, run)
  root = config.run.root
  assert root is not None
  candidate = verdict.get('candidate') or {}
  assert config.publish.directory is not None
  return {
    'name': config.name,
    'run_id': run.run_id,
    'goal': run.goal or None,
    'conclusions': [],
    'started': run.started.isoformat(timespec='seconds'),
    'seconds': round(run.seconds, 1),
    'outcome': _outcome(run, verdict, gates, published),
    'error': run.error,
    'draft': config.run.draft,
    'open_questions': _open_questions(config, dataset),
    'accuracy': candidate.get('accuracy'),
    'production': production,
    'leaks': verdict.get('leaks'),
    'calibration': verdict.get('calibration'),
    'drift': checked.get('drift', []),
    'skew': checked.get('skew', []),
    'metrics': candidate or None,
    'verdict': _verdict_word(verdict),
    'reasons': verdict.get('reasons', []),
    'baseline': verdict.get('baseline'),
    'baseline_model_id': verdict.get('baseline_model_id'),
    'comparison': verdict.get('comparison'),
    'floors': verdict.get('floors'),
    'same_as_baseline': verdict.get('same_as_baseline'),
    'slices': verdict.get('slices', []),
    'groups': verdict.get('groups', []),
    'overrides': verdict.get('overrides', []),
    'looks': _looks(config, artifacts),
    'serving': gates or None,
    'published': published,
    'model': _model(model, training, gates),
    'backbone_weights': _backbone_weights(artifacts),
    'dataset': dataset or None,
    'audit': audit,
    'analysis': _analysis_summary(artifacts),
    'failures': run.failures,
    'card': config.data.card.model_dump(exclude={'required'}),
    'components': {
      name: {
        'outcome': part.outcome,
        'seconds': round(part.seconds, 1),
        'cpu_seconds': round(part.cpu_seconds, 1),
      }
      for name, part in run.components.items()
    },
    'energy': {
      'cpu_seconds': round(run.cpu_seconds, 1),
      'wh': round(run.energy_wh, 4),
      'source': run.energy_source,
    },
    'provenance': _provenance(run, dataset),
    'answer': None,
    'answer_error': None,
    'paths': {
      'run_root': str(root),
      'log': str(run.log),
      'metadata': metadata_store.place(root),
      'serving': str(config.publish.directory / config.model_name),
      'evaluation': _uri(artifacts, 'Evaluator', 'evaluation'),
      'manifest': _file(artifacts, 'ImageExampleGen', 'dataset', 'manifest.parquet'),
      'images': str(_images(config, _artifact(artifacts, 'ImageExampleGen', 'examples'))),
      'quarantine': _uri(artifacts, 'ImageExampleGen', 'quarantine'),
      'audit': _file(artifacts, 'Audit', 'audit', outputs.PAGE),
      'report': None,
      'curves': _file(artifacts, 'Trainer', 'model_run', 'curves.csv'),
      'curves_png': _file(artifacts, 'Trainer', 'model_run', 'curves.png'),
      'augmentation': _file(artifacts, 'Trainer', 'model_run', 'augmentation.png'),
      'tensorboard': _file(artifacts, 'Trainer', 'model_run', 'tensorboard'),
    },
  }


def uris(config: Config, run: runner.Run) -> dict[tuple[str, str], str]:
  """Returns where the artifacts of a run lie, by component and key."""
  return {name: artifact.uri for name, artifact in _artifacts(config, run).items()}


def exit_code(summary: dict[str, Any]) -> int:
  """Returns what a script needs to know of a run.

  0: a model is in service, and it answered where it was asked. 1: the run stopped, or
  the model is in service and did not answer; `outcome` and `answer_error` tell which.
  3: a gate refused the model. 130, as shells have it: a person interrupted the run.
  """
  if summary['outcome'] in IN_SERVICE:
    return 1 if summary['answer_error'] else 0
  return {NOT_BLESSED: 3, NOT_SERVABLE: 3, INTERRUPTED: 130}.get(summary['outcome'], 1)


def write(summary: dict[str, Any], folder: pathlib.Path) -> None:
  """Writes summary.json and summary.txt, each whole or not at all."""
  _replace(folder / FILE, json.dumps(summary, indent=2) + '\n')
  _replace(folder / TEXT_FILE, '\n'.join(in_words(summary)) + '\n')


def conclude(folder: pathlib.Path, conclusions: list[dict[str, str]]) -> None:
  """Writes the conclusions of a run into the summary that it has, and the latest into its text.

  The rest stays as it is: an older version of Sightline may have written it.
  """
  found = json.loads((folder / FILE).read_text(encoding='utf-8'))
  _replace(folder / FILE, json.dumps({**found, 'conclusions': conclusions}, indent=2) + '\n')
  text = folder / TEXT_FILE
  before = text.read_text(encoding='utf-8') if text.exists() else ''
  latest = conclusions[-1]
  _replace(text, f'{before}conclusion {latest["text"]} ({latest["time"]})\n')


def _replace(path: pathlib.Path, text: str) -> None:
  draft = path.with_name(f'.{path.name}')
  draft.write_text(text, encoding='utf-8')
  os.replace(draft, path)


def in_words(summary: dict[str, Any]) -> list[str]:
  """Returns the summary as lines of plain text."""
  lines = [
    f'{summary["name"]}, run {summary["run_id"]}: {summary["outcome"]} '
    f'after {summary["seconds"]:.0f} s'
  ]
  if summary.get('goal'):
    lines.append(f'goal       {summary["goal"]}')
  if summary['error']:
    lines.append(summary['error'])
  if summary['accuracy']:
    lines.append(f'accuracy   {accuracy_text(summary["accuracy"], "test images")}')
  lines += _production(summary['production'])
  lines += _leaks(summary['leaks'])
  lines += _calibration(summary.get('calibration'))
  if summary['verdict']:
    lines.append(f'verdict    {summary["verdict"]}')
  lines += [f'           {reason}' for reason in summary['reasons']]
  lines += _looks_lines(summary.get('looks'))
  lines += [f'           {line}' for gate in failed_gates(summary) for line in gate.splitlines()]
  lines += floors_text.in_words(summary)
  worst = worst_slice(summary)
  if worst:
    low, high = worst['accuracy']['interval']
    lines.append(
      f'worst slice {worst["key"]}={worst["value"]}: {worst["accuracy"]["value"]:.4f} '
      f'(n {worst["accuracy"]["n"]}, {low:.2f} to {high:.2f})'
    )
  model = summary['model']
  if model and model['weights']:
    lines.append(
      f'model      {model["parameters"]:,} parameters, {model["precision"]["policy"]} '
      f'({model["precision"]["reason"]}); {model["weights"]["reason"]}'
    )
  lines += training_summary.in_words(model, summary['paths'])
  published = summary['published']
  if published:
    lines.append(f'version    {published["version"]} in {published["directory"]}')
    if published.get('bucket'):
      lines.append(f'           and in {published["bucket"]}')
  dataset = summary['dataset']
  if dataset:
    lines.append(f'dataset    {dataset.get("dataset_sha256", "")[:16]}')
    lines += [f'           {warning}' for warning in dataset.get('warnings', [])]
    lines += [f'           {change}' for change in (*summary['drift'], *summary['skew'])]
    lines += _quarantined(summary)
  if summary['audit']:
    lines.append(
      f'audit      {outputs.in_words(summary["audit"])}; the page: {summary["paths"]["audit"]}'
    )
  lines += _analysis(summary)
  lines += _energy(summary.get('energy'))
  if summary['paths'].get('report'):
    lines.append(f'report     {summary["paths"]["report"]}')
  if summary['answer_error']:
    lines.append(f'{NO_ANSWER}  {summary["answer_error"]}')
  lines += [f'DRAFT      {question}' for question in summary['open_questions']]
  return lines


def accuracy_text(accuracy: dict, images: str) -> str:
  """Returns value, n and interval of an accuracy; `images` says of which."""
  if accuracy['value'] is None:
    return f'not measured: 0 {images}'
  low, high = accuracy['interval']
  return (
    f'{accuracy["value"]:.4f} on {accuracy["n"]} {images} (95 % interval {low:.4f} to {high:.4f})'
  )


def _production(production: dict | None) -> list[str]:
  if not production:
    return []
  lines = [f'production {accuracy_text(production["accuracy"], "production images")}']
  unknown = production['unknown_labels']
  if unknown:
    listed = ', '.join(f'{label!r} {count}' for label, count in list(unknown.items())[:5])
    more = f' and {len(unknown) - 5} more labels' if len(unknown) > 5 else ''
    lines.append(
      f'           {sum(unknown.values())} of them have a label that no training image has, and '
      f'count as wrong: {listed}{more}'
    )
  return lines


def _leaks(leaks: dict | None) -> list[str]:
  if not leaks or not leaks['affected']:
    return []
  return [
    f'leaks      {leaks["affected"]} test images have a copy in another split; without them '
    f'accuracy {accuracy_text(leaks["accuracy_without"], "test images")}'
  ]


def _calibration(found: dict | None) -> list[str]:
  if not found or found['ece_after'] is None:
    return []
  flagged, accepted = found['flagged'], found['accepted_accuracy']
  rest = f'; the rest {accuracy_text(accepted, "of them")}' if accepted['n'] else ''
  return [
    f'calibrated calibration error {found["ece_after"]:.3f}, {found["ece_before"]:.3f} without '
    f'the temperature of {found["temperature"]:.2f}',
    f'review     {flagged["value"]:.1%} of the test images are flagged low_confidence{rest}',
  ]


def _analysis(summary: dict[str, Any]) -> list[str]:
  lines = [
    f'{name} failed, and gates nothing: {why}' for name, why in summary.get('failures', {}).items()
  ]
  found = summary.get('analysis')
  if found:
    first, *more = found['words']
    lines += [f'robust     {first}', *(f'           {line}' for line in more)]
    lines.append(f'analysis   {found["path"]}')
  return lines


def _energy(energy: dict | None) -> list[str]:
  if not energy:
    return []
  how = 'measured in' if energy['source'] == meter.RAPL else 'estimated from'
  return [
    f"energy     {energy['wh']:.2g} Wh (the processor's alone), {how} "
    f'{energy["cpu_seconds"]:.0f} CPU-seconds'
  ]


def failed_gates(summary: dict[str, Any]) -> list[str]:
  """Returns what each serving gate that was not met says."""
  gates = (summary['serving'] or {}).get('gates', [])
  return [Gate(**gate).sentence() for gate in gates if not gate['ok']]


def _looks_lines(looks: dict | None) -> list[str]:
  if not looks or not looks['correction']:
    return []
  return [f'looks      {looks["correction"]}']


def worst_slice(summary: dict[str, Any]) -> dict | None:
  """Returns the slice with the lowest accuracy, the larger one of equals."""
  slices = [row for row in summary['slices'] if row['accuracy']['value'] is not None]
  return min(
    slices, key=lambda row: (row['accuracy']['value'], -row['accuracy']['n']), default=None
  )


def _quarantined(summary: dict[str, Any]) -> list[str]:
  reasons = summary['dataset'].get('quarantined') or {}
  if not reasons:
    return []
  counts = ', '.join(f'{count} {reason}' for reason, count in reasons.items())
  listed = summary['paths']['quarantine']
  where = pathlib.Path(listed, quarantine.FILE_NAME) if listed else 'not recorded'
  return [f'quarantine rows not used: {sum(reasons.values())} ({counts}); the list: {where}']


def _outcome(run: runner.Run, verdict: dict, gates: dict, published: dict | None) -> str:
  if run.interrupted:
    return INTERRUPTED
  if run.error:
    return STOPPED
  if not verdict.get('blessed'):
    return NOT_BLESSED
  if not gates.get('blessed'):
    return NOT_SERVABLE
  return PUBLISHED if published and published['new'] else UNCHANGED


def _images(config: Config, examples) -> pathlib.Path:
  """Returns the folder that the filenames of the run are relative to."""
  root = config.data.root
  assert root is not None  # the loader fills it in
  try:
    root = spans.at(config.data, examples.span if examples else None).root or root
  except DataError:
    pass  # the span is gone since; the run's own error says so
  return root / 'images' if (root / 'images').is_dir() else root


def _verdict_word(verdict: dict) -> str | None:
  if not verdict:
    return None
  return 'blessed' if verdict['blessed'] else 'not blessed'


def _open_questions(config: Config, dataset: dict) -> list[str]:
  questions = [f'data.card.{name} is not filled in' for name in config.data.card.missing()]
  unsaid = config.problem.missing()
  if unsaid:
    questions.append(f'problem: {", ".join(unsaid)}: not filled in (the model card of the report)')
  if config.run.draft:
    questions.append(
      f'evaluate.min_accuracy is {config.evaluate.min_accuracy:g} because nobody chose it'
    )
  return questions


def _provenance(run: runner.Run, dataset: dict) -> dict | None:
  if not run.provenance:
    return None
  return provenance.compact(provenance.complete(run.provenance, dataset))


def _published(pushed, run: runner.Run) -> dict | None:
  if pushed is None or pushed.get_int_custom_property('pushed') != 1:
    return None
  return {
    'version': pushed.get_string_custom_property('pushed_version'),
    'directory': pushed.get_string_custom_property('pushed_destination'),
    'bucket': pushed.get_string_custom_property('pushed_to_bucket') or None,
    # From the cache, the artifact still says what was true when it was made.
    'new': run.components['Publisher'].outcome == runner.DONE
    and pushed.get_int_custom_property('new') == 1,
  }


def _model(model, training: dict, gates: dict) -> dict | None:
  if model is None:
    return None
  export = pathlib.Path(model.uri) / 'Format-Serving'
  identity = export / 'assets.extra' / 'sightline.json'
  known = json.loads(identity.read_text(encoding='utf-8')) if identity.exists() else {}
  return {
    'id': model.id,
    'export': str(export),
    'weights_sha256': known.get('weights_sha256'),
    'labels': known.get('labels'),
    'parameters': training.get('parameters'),
    'regularisation': training.get('regularisation'),
    'precision': training.get('precision'),
    'compute_dtype': training.get('compute_dtype'),
    'weights': training.get('weights'),
    'stages': training.get('stages'),
    'best_val_accuracy': training.get('best_val_accuracy'),
    'diagnosis': training.get('diagnosis'),
  }


def _analysis_summary(artifacts: dict) -> dict | None:
  found = _json(artifacts, 'Analysis', 'analysis', analysis_outputs.FILE)
  if found is None:
    return None
  return {
    'path': _file(artifacts, 'Analysis', 'analysis', analysis_outputs.FILE),
    'images': found['images'],
    'words': analysis_outputs.in_words(found),
    'directional': found['directional'],
  }


def _backbone_weights(artifacts: dict) -> str | None:
  return _file(artifacts, 'Trainer', 'model_run', 'backbone.weights.h5')


def _looks(config: Config, artifacts: dict) -> dict[str, Any] | None:
  predictions = _artifact(artifacts, 'Evaluator', 'predictions')
  if predictions is None:
    return None
  test = predictions.get_string_custom_property('test_sha256')
  from_record = bool(predictions.get_int_custom_property('from_record'))
  assert config.run.root is not None
  return looks_at_test.count(config.run.root, test, from_record).as_dict()


def _artifacts(config: Config, run: runner.Run) -> dict[tuple[str, str], Any]:
  """Returns the output artifacts of the run's executions by (component, key)."""
  ids = {
    part.execution_id: name
    for name, part in run.components.items()
    if part.execution_id is not None
  }
  if not ids:
    return {}
  from ml_metadata.proto import metadata_store_pb2 as mlmd
  from tfx.orchestration import metadata
  from tfx.types import artifact_utils

  root = config.run.root
  assert root is not None
  found = {}
  with metadata.Metadata(metadata_store.of_root(root)) as handle:
    events = [
      event
      for event in handle.store.get_events_by_execution_ids(list(ids))
      if event.type == mlmd.Event.OUTPUT
    ]
    rows = {
      row.id: row
      for row in handle.store.get_artifacts_by_id([event.artifact_id for event in events])
    }
    types = {kind.id: kind for kind in handle.store.get_artifact_types()}
    for event in events:
      row = rows[event.artifact_id]
      found[ids[event.execution_id], event.path.steps[0].key] = artifact_utils.deserialize_artifact(
        types[row.type_id], row
      )
  return found


def _artifact(artifacts: dict, component: str, key: str):
  return artifacts.get((component, key))


def _uri(artifacts: dict, component: str, key: str) -> str | None:
  artifact = _artifact(artifacts, component, key)
  return artifact.uri if artifact else None


def _file(artifacts: dict, component: str, key: str, name: str) -> str | None:
  uri = _uri(artifacts, component, key)
  path = pathlib.Path(uri, name) if uri else None
  return str(path) if path and path.exists() else None


def _json(artifacts: dict, component: str, key: str, name: str) -> dict | None:
  path = _file(artifacts, component, key, name)
  return json.loads(pathlib.Path(path).read_text(encoding='utf-8')) if path else None
