"""The verdict in plain words: what was asked, what was found, and why it is so."""

import dataclasses
import json
import operator
import pathlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow_model_analysis as tfma

from components.evaluator import calibration, metrics
from models.decision import Decision
from schemas import features

FILE = 'verdict.json'
# Which field of the config asks for a figure.
_FIELDS = {'macro_f1': 'evaluate.min_macro_f1', 'macro_pr_auc': 'evaluate.min_pr_auc'}


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What the Evaluator decided.

  Attributes:
    blessed: whether the model may be published.
    reasons: sentences; for a refusal, each names slice, value and limit.
    same_as_baseline: candidate and model in service hold the same weights.
    candidate: figures of metrics.measure.
    baseline: accuracy of the model in service, on the same images; or None.
    baseline_model_id: of the model in service in the metadata store; or None.
    slices: key, value, n, accuracy and interval of each slice.
    leaks: test images of which another split holds a copy (`affected`), and the
      accuracy with and without them.
    calibration: what the export says of itself, measured: calibration.measure.
  """

  blessed: bool
  reasons: list[str]
  same_as_baseline: bool
  candidate: dict
  baseline: dict | None
  baseline_model_id: int | None
  slices: list[dict]
  leaks: dict
  calibration: dict

  def write(self, folder: pathlib.Path) -> None:
    (folder / FILE).write_text(
      json.dumps(dataclasses.asdict(self), indent=2) + '\n', encoding='utf-8'
    )


def judge(
  evaluation: pathlib.Path,
  predicted: pathlib.Path,
  labels: list[str],
  same_as_baseline: bool,
  baseline_model_id: int | None,
  floors: Mapping[str, float],
  decision: Decision,
) -> Verdict:
  """Reads TFMA's results and the stored predictions.

  Args:
    evaluation: where TFMA wrote its results.
    predicted: predictions.parquet.
    labels: of the candidate, by id.
    same_as_baseline: whether the model in service holds the same weights.
    baseline_model_id: of the model in service, where there is one.
    floors: what figures of metrics.measure must reach, by name: those that TFMA's
      thresholds do not judge.
    decision: of the candidate.
  """
  result = tfma.load_validation_result(str(evaluation))
  table = pq.read_table(predicted)
  truth = table['label_id'].to_numpy()
  probabilities = _matrix(table['candidate'])
  candidate = metrics.measure(truth, probabilities, labels)
  baseline = None
  if table['baseline_label'].null_count == 0:
    # By its own labels: it may know others than the candidate does.
    correct = sum(map(operator.eq, table['label'].to_pylist(), table['baseline_label'].to_pylist()))
    baseline = {'accuracy': metrics.proportion(correct, table.num_rows)}
  below = refused_figures(candidate, floors)
  blessed = result.validation_ok and not below
  reasons = [_praise(candidate, baseline, same_as_baseline)] if blessed else []
  reasons += [
    reason
    for slice_result in result.metric_validations_per_slice
    for reason in _refusals(slice_result)
  ]
  reasons += below
  reasons += unmeasured(result)
  return Verdict(
    blessed,
    reasons,
    same_as_baseline,
    candidate,
    baseline,
    baseline_model_id,
    slices(evaluation, with_baseline=baseline is not None),
    leaks(table, candidate['accuracy']),
    calibration.measure(decision, truth, probabilities),
  )


def refused_figures(measured: Mapping, floors: Mapping[str, float]) -> list[str]:
  """Returns a sentence for each figure that is below its floor, or cannot be measured.

  Args:
    measured: of metrics.measure.
    floors: by the names there; 0 asks for nothing.
  """
  reasons = []
  for name, floor in floors.items():
    if not floor:
      continue
    value, field = measured[name], _FIELDS[name]
    if value is None:
      reasons.append(f'{name} is not defined on this test set, and {field} asks for {floor:.4f}.')
    elif value < floor:
      reasons.append(
        f'{name} on all images is {value:.4f}; at least {floor:.4f} is asked for ({field}).'
      )
  return reasons


def leaks(table: pa.Table, accuracy: dict) -> dict:
  """Returns how many images another split knows, and the accuracy without them.

  Args:
    table: predictions.parquet.
    accuracy: of the candidate on all images.
  """
  apart = table.filter(pc.fill_null(pc.not_equal(table['leak'], features.LEAK_VALUES[0]), True))
  correct = 0
  if apart.num_rows:
    correct = int(
      (_matrix(apart['candidate']).argmax(axis=1) == apart['label_id'].to_numpy()).sum()
    )
  return {
    'affected': table.num_rows - apart.num_rows,
    'accuracy_with': accuracy,
    'accuracy_without': metrics.proportion(correct, apart.num_rows),
  }


def _matrix(column) -> np.ndarray:
  return np.array(column.to_pylist(), np.float32)


def _praise(candidate: dict, baseline: dict | None, same_as_baseline: bool) -> str:
  if same_as_baseline:
    return 'The model in service holds the same weights; its verdict stands.'
  value = candidate['accuracy']['value']
  if baseline is None:
    return f'Accuracy {value:.4f} meets the absolute bar; there is no model in service yet.'
  change = value - baseline['accuracy']['value']
  return (
    f'Accuracy {value:.4f} meets the absolute bar and is {change:+.4f} against the model in '
    'service.'
  )


def _refusals(slice_result):
  name = slice_name(slice_result.slice_key)
  for failure in slice_result.failures:
    metric = failure.metric_key.name.removeprefix('sparse_categorical_')
    value = failure.metric_value.double_value.value
    threshold = failure.metric_threshold
    if failure.metric_key.is_diff:
      limit = threshold.change_threshold.absolute.value
      yield (
        f'{metric} on {name} changed by {value:+.4f} against the model in service; at least '
        f'{limit:+.4f} is asked for (evaluate.max_accuracy_drop).'
      )
    else:
      limit = threshold.value_threshold.lower_bound.value
      key = 'evaluate.min_accuracy' if name == 'all images' else 'evaluate.slice_floors'
      yield f'{metric} on {name} is {value:.4f}; at least {limit:.4f} is asked for ({key}).'


def unmeasured(result) -> list[str]:
  """Returns a sentence for each slice, and one for metrics, that TFMA did not find.

  Args:
    result: TFMA's ValidationResult; of metrics it says only whether one is missing.
  """
  reasons = [
    f'No test image is in the slice {_slice_of_spec(spec)}, so its floor cannot be judged '
    '(evaluate.slice_floors).'
    for spec in result.missing_slices
  ]
  if result.missing_thresholds:
    reasons.append('A metric was not measured, though a threshold asks for it.')
  return reasons


def slice_name(slice_key) -> str:
  """Returns `all images`, or `key=value` of a TFMA slice key proto."""
  pairs = [f'{single.column}={_slice_value(single)}' for single in slice_key.single_slice_keys]
  return ', '.join(pairs) or 'all images'


def _slice_of_spec(spec) -> str:
  return ', '.join([*spec.feature_keys, *(f'{k}={v}' for k, v in spec.feature_values.items())])


def _slice_value(single) -> str:
  kind = single.WhichOneof('kind')
  value = getattr(single, kind) if kind else ''
  return value.decode() if isinstance(value, bytes) else str(value)


def slices(evaluation: pathlib.Path, with_baseline: bool) -> list[dict]:
  """Returns key, value and accuracy of each slice that TFMA measured, sorted."""
  loaded = tfma.load_eval_result(
    str(evaluation), model_name=tfma.CANDIDATE_KEY if with_baseline else ''
  )
  rows = []
  for slice_key, outputs in loaded.slicing_metrics:
    if not slice_key:
      continue
    ((column, value),) = slice_key
    figures = outputs['']['']
    total = int(figures['example_count']['doubleValue'])
    accuracy = figures['sparse_categorical_accuracy']['doubleValue']
    rows.append(
      {
        'key': column,
        'value': str(value),
        'accuracy': metrics.proportion(round(accuracy * total), total),
      }
    )
  return sorted(rows, key=lambda row: (row['key'], row['value']))
