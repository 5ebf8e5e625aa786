"""The verdict in plain words: what was asked, what was found, and why it is so."""

import dataclasses
import json
import operator
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow_model_analysis as tfma

from components.evaluator import (
  calibration,
  comparison,
  floors,
  groups,
  metrics,
  overrides,
  slice_floors,
  sliced_metrics,
)
from components.evaluator.comparison import Comparison
from components.evaluator.images import Images
from components.evaluator.overrides import Override, Refusal
from models.decision import Decision
from schemas import features

FILE = 'verdict.json'
# Which field of the config asks for a figure.
_FIELDS = {'macro_f1': 'evaluate.min_macro_f1', 'macro_pr_auc': 'evaluate.min_pr_auc'}


@dataclasses.dataclass(frozen=True)
class Asked:
  """What is asked of a candidate beside TFMA's thresholds.

  Attributes:
    figures: what figures of metrics.measure must reach, by name; 0 asks for nothing.
    accepted_drop: of the accuracy, against the model in service.
    bless: verdicts of a comparison with the model in service that are good enough.
    slice_keys: columns whose values are slices.
    beat_floor: whether the best simple model has to be beaten.
    slice_floors: least accuracy of each slice of a key.
    groups: keys whose values are to be served equally well.
    max_group_gap: between two of them; None asks for nothing.
    overrides: gates that somebody sets aside.
  """

  figures: Mapping[str, float]
  accepted_drop: float
  bless: tuple[str, ...]
  slice_keys: tuple[str, ...]
  beat_floor: bool = False
  slice_floors: Mapping[str, float] = dataclasses.field(default_factory=dict)
  groups: tuple[str, ...] = ()
  max_group_gap: float | None = None
  overrides: tuple[Override, ...] = ()

  @classmethod
  def read(cls, text: str) -> 'Asked':
    """Reads it from JSON."""
    found = json.loads(text)
    return cls(
      found['figures'],
      found['accepted_drop'],
      tuple(found['bless']),
      tuple(found['slice_keys']),
      found['beat_floor'],
      found['slice_floors'],
      tuple(found['groups']),
      found['max_group_gap'],
      tuple(Override(**one) for one in found['overrides']),
    )


class InService(NamedTuple):
  """The model that a candidate is compared with.

  Attributes:
    model_id: in the metadata store; None where there is none yet.
    same: it holds the same weights and gives the same answers.
  """

  model_id: int | None
  same: bool


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
    comparison: of both, image by image: a comparison.Comparison; or None.
    floors: what simple models do on the same images: floors.measure; or None.
    slices: key, value, accuracy (value, n, interval), floor and status of each slice.
    groups: the gap between the groups of each declared column: groups.gaps.
    overrides: the gates that somebody set aside, with name, day, reason, and what they
      had said.
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
  comparison: dict | None
  floors: dict | None
  slices: list[dict]
  groups: list[dict]
  overrides: list[dict]
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
  in_service: InService,
  asked: Asked,
  images: Images,
  simple: floors.Answers | None,
  decision: Decision,
) -> Verdict:
  """Reads TFMA's results and the stored predictions.

  Args:
    evaluation: where TFMA wrote its results.
    predicted: predictions.parquet.
    labels: of the candidate, by id.
    in_service: the model to compare with.
    asked: what is asked beside TFMA's thresholds.
    images: what the manifest knows of them, in the order of predictions.parquet.
    simple: what simple models answer on them, where some were fitted.
    decision: of the candidate.
  """
  result = tfma.load_validation_result(str(evaluation))
  table = pq.read_table(predicted)
  truth = table['label_id'].to_numpy()
  probabilities = _matrix(table['candidate'])
  candidate = metrics.measure(truth, probabilities, labels)
  ours = probabilities.argmax(axis=1) == truth
  baseline = compared = None
  refused = [Refusal('accuracy', sentence) for sentence in _refusals(result)]
  refused += [Refusal('figures', one) for one in refused_figures(candidate, asked.figures)]
  if table['baseline_label'].null_count == 0:
    # By its own labels: it may know others than the candidate does.
    right = np.array(
      list(map(operator.eq, table['label'].to_pylist(), table['baseline_label'].to_pylist()))
    )
    baseline = {'accuracy': metrics.proportion(int(right.sum()), table.num_rows)}
    compared = comparison.compare(ours, right, images.clusters, asked.accepted_drop)
    against = refused_comparison(compared, asked)
    if compared.verdict == 'same':
      against += _refused_slices(ours, right, images)
    refused += [Refusal('comparison', sentence) for sentence in against]
  judged = slice_floors.judge(
    slices(evaluation, with_baseline=baseline is not None), asked.slice_floors
  )
  refused += [Refusal('slices', one) for one in slice_floors.refusals(judged, asked.slice_floors)]
  fair = groups.gaps(ours, {key: images.values[key] for key in asked.groups}, asked.max_group_gap)
  refused += [Refusal('groups', sentence) for sentence in groups.refusals(fair)]
  beside = floors.measure(simple, ours, images.clusters) if simple else None
  if beside and asked.beat_floor:
    refused += [Refusal('floor', one) for one in [floors.refusal(beside)] if one]
  reasons, set_aside = overrides.apply(refused, asked.overrides)
  blessed = not reasons and not result.missing_thresholds
  if blessed:
    reasons = [_praise(candidate, compared, in_service.same)]
  reasons += overrides.sentences(set_aside)
  reasons += unmeasured(result)
  return Verdict(
    blessed=blessed,
    reasons=reasons,
    same_as_baseline=in_service.same,
    candidate=candidate,
    baseline=baseline,
    baseline_model_id=in_service.model_id,
    comparison=dataclasses.asdict(compared) if compared else None,
    floors=beside,
    slices=judged,
    groups=fair,
    overrides=set_aside,
    leaks=leaks(table, candidate['accuracy']),
    calibration=calibration.measure(decision, truth, probabilities),
  )


def refused_comparison(compared: Comparison, asked: Asked) -> list[str]:
  """Returns a sentence where the comparison with the model in service is not good enough."""
  if compared.verdict in asked.bless:
    return []
  advice = {
    'worse': 'Keep the model in service, or accept more by evaluate.max_accuracy_drop.',
    'undecided': 'Enlarge the test split, or accept more by evaluate.max_accuracy_drop.',
    'same': 'Keep the model in service; evaluate.bless asks for more than the same.',
    'better': 'evaluate.bless does not name it.',
  }[compared.verdict]
  return [
    f'Against the model in service: {compared.verdict}, accuracy {compared.in_words()}. '
    f'evaluate.bless accepts {" and ".join(asked.bless)}; evaluate.max_accuracy_drop is '
    f'{asked.accepted_drop:.4f}. {advice}'
  ]


def _refused_slices(ours: np.ndarray, theirs: np.ndarray, images: Images) -> list[str]:
  worse = comparison.worse_slices(ours, theirs, images.clusters, images.slices)
  return [
    f'On the slice {name} (n {found.n}) it is worse than the model in service: accuracy '
    f'{found.difference:+.4f}, p {found.p:.2g} after correction for {len(images.slices)} slices. '
    'Give train more such images, or keep the model in service.'
    for name, found in worse.items()
  ]


def refused_figures(measured: Mapping, least: Mapping[str, float]) -> list[str]:
  """Returns a sentence for each figure that is below its floor, or cannot be measured.

  Args:
    measured: of metrics.measure.
    least: by the names there; 0 asks for nothing.
  """
  reasons = []
  for name, floor in least.items():
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


def _praise(candidate: dict, compared: Comparison | None, same_as_baseline: bool) -> str:
  if same_as_baseline:
    return 'The model in service holds the same weights; its verdict stands.'
  value = candidate['accuracy']['value']
  if compared is None:
    return f'Accuracy {value:.4f} meets the absolute bar; there is no model in service yet.'
  return (
    f'Accuracy {value:.4f} meets the absolute bar. Against the model in service: '
    f'{compared.verdict}, {compared.in_words()}.'
  )


def _refusals(result) -> list[str]:
  """Returns a sentence for each threshold that TFMA found missed: they are of all images."""
  sentences = []
  for slice_result in result.metric_validations_per_slice:
    for failure in slice_result.failures:
      metric = failure.metric_key.name.removeprefix('sparse_categorical_')
      value = failure.metric_value.double_value.value
      limit = failure.metric_threshold.value_threshold.lower_bound.value
      sentences.append(
        f'{metric} on all images is {value:.4f}; at least {limit:.4f} is asked for '
        '(evaluate.min_accuracy).'
      )
  return sentences


def unmeasured(result) -> list[str]:
  """Returns a sentence where TFMA did not find a metric that a threshold asks for.

  Args:
    result: TFMA's ValidationResult.
  """
  if result.missing_thresholds:
    return ['A metric was not measured, though a threshold asks for it.']
  return []


def slices(evaluation: pathlib.Path, with_baseline: bool) -> list[dict]:
  """Returns key, value and accuracy of each slice that TFMA measured, sorted."""
  loaded = tfma.load_eval_result(
    str(evaluation), model_name=sliced_metrics.CANDIDATE if with_baseline else ''
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
