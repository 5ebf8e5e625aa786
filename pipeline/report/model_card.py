"""The model card, after Mitchell et al., Model Cards for Model Reporting (2019).

What people know comes from the config; what was measured from the artifacts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from components.serving_validator.gate import Gate as ServingGate
from pipeline import summary as summaries
from pipeline.report import gates
from pipeline.report.material import Material

# Fields of `problem`, before and after what was measured.
_INTENDED = (
  ('task', 'Task'),
  ('input', 'Input'),
  ('output', 'Output'),
  ('users', 'Users'),
  ('out_of_scope', 'Out of scope'),
  ('success', 'Success'),
)
_CARED_FOR = (('harms', 'Harm and misuse'), ('privacy', 'Privacy'))
_DATASET_CARD = ('source', 'owner', 'licence', 'access', 'freshness')


class Entry(NamedTuple):
  """One part of the card.

  Attributes:
    title: of the part.
    lines: what it says; of an open field, the key of the config.
    draft: nobody filled it in.
  """

  title: str
  lines: list[str]
  draft: bool = False


def entries(material: Material) -> list[Entry]:
  """Returns the card; a measured part without data is left out."""
  problem = material.config.get('problem') or {}
  card = (material.config.get('data') or {}).get('card') or {}
  measured = [
    Entry('Training data', list(_training_data(material))),
    Entry('Metrics', list(_metrics(material))),
    Entry('Limits and failure modes', failures(material)),
  ]
  last = [
    Entry('Energy', list(_energy(material.summary.get('energy')))),
    Entry('Licence of the weights', list(_weights_licence(material, card))),
  ]
  return [
    *(_field(problem, f'problem.{name}', name, title) for name, title in _INTENDED),
    *(_field(card, f'data.card.{name}', name, f'Data: {name}') for name in _DATASET_CARD),
    *(entry for entry in measured if entry.lines),
    *(_field(problem, f'problem.{name}', name, title) for name, title in _CARED_FOR),
    *(entry for entry in last if entry.lines),
  ]


def failures(material: Material) -> list[str]:
  """Returns where it fails most, as far as that was measured."""
  return [
    *_worst_slice(material.verdict),
    *_confusion(material),
    *_weakest(material.analysis.get('robustness') or []),
    *(
      f'Serving gate {ServingGate(**gate).sentence()}' for gate in material.gates if not gate['ok']
    ),
  ]


def proportion(found: Mapping[str, Any], images: str) -> str:
  """Returns value, n and interval of a proportion."""
  return summaries.accuracy_text(dict(found), images)


def confused(material: Material) -> list[Mapping[str, Any]]:
  """Returns pairs of label and prediction with their counts, the most frequent first."""
  analysed = material.analysis.get('confused')
  if analysed is not None:
    return list(analysed)
  candidate = material.verdict.get('candidate') or {}
  labels, matrix = candidate.get('labels') or [], candidate.get('confusion_matrix') or []
  pairs = [
    {'label': labels[i], 'predicted': labels[j], 'count': count, 'of': sum(row)}
    for i, row in enumerate(matrix)
    for j, count in enumerate(row)
    if i != j and count
  ]
  return sorted(pairs, key=lambda pair: -pair['count'])


def _field(tree: Mapping[str, Any], key: str, name: str, title: str) -> Entry:
  text = str(tree.get(name) or '').strip()
  return Entry(title, [text]) if text else Entry(title, [key], draft=True)


def _training_data(material: Material) -> Iterator[str]:
  dataset = material.recorded.dataset
  splits = dataset.get('splits') or {}
  if splits:
    counts = ', '.join(f'{count:,} {name}' for name, count in splits.items())
    yield f'{dataset.get("images", sum(splits.values())):,} images of {_classes(dataset)}: {counts}'
  if dataset.get('dataset_sha256'):
    yield f'dataset {dataset["dataset_sha256"][:16]}'
  decided = {kind: n for kind, n in (dataset.get('decisions') or {}).items() if n}
  if decided:
    yield 'decided by reviewers: ' + ', '.join(f'{n} {kind}' for kind, n in decided.items())


def _classes(dataset: Mapping[str, Any]) -> str:
  classes = dataset.get('classes') or []
  return f'{len(classes)} {"class" if len(classes) == 1 else "classes"}'


def _metrics(material: Material) -> Iterator[str]:
  candidate = material.verdict.get('candidate') or {}
  if candidate.get('accuracy'):
    yield f'accuracy {proportion(candidate["accuracy"], "test images")}'
  for name, words in (('macro_f1', 'mean F1'), ('macro_pr_auc', 'mean area under the PR curve')):
    if candidate.get(name) is not None:
      yield f'{words} over the classes {gates.share(candidate[name])}'
  calibration = material.verdict.get('calibration') or material.summary.get('calibration') or {}
  if calibration.get('ece_after') is not None:
    yield f'calibration error {calibration["ece_after"]:.3f}'


def _worst_slice(verdict: Mapping[str, Any]) -> Iterator[str]:
  worst = summaries.worst_slice({'slices': verdict.get('slices') or []})
  if worst:
    yield (
      f'Worst slice: {worst["key"]} = {worst["value"]}, accuracy '
      f'{proportion(worst["accuracy"], "test images")}.'
    )


def _confusion(material: Material) -> Iterator[str]:
  for pair in confused(material)[:1]:
    yield (
      f'Most frequent confusion: {pair["label"]} taken for {pair["predicted"]}, '
      f'{pair["count"]} of {pair["of"]} test images of {pair["label"]}.'
    )


def _weakest(robustness: Sequence[Mapping[str, Any]]) -> Iterator[str]:
  measured = [row for row in robustness if row['accuracy']['value'] is not None]
  if measured:
    row = min(measured, key=lambda row: row['accuracy']['value'])
    yield (
      f'Weakest under {row["change"]} ({row["amount"]}): accuracy '
      f'{proportion(row["accuracy"], "test images")}.'
    )


def _energy(energy: Mapping[str, Any] | None) -> Iterator[str]:
  if energy:
    how = 'estimated' if energy['source'] == 'estimate' else 'measured'
    yield (
      f'{energy["wh"]:.2g} Wh of the processor for this run, {how}; '
      f'{energy["cpu_seconds"]:.0f} CPU-seconds'
    )


def _weights_licence(material: Material, card: Mapping[str, Any]) -> Iterator[str]:
  weights = (material.summary.get('model') or {}).get('weights') or material.recorded.training.get(
    'weights'
  )
  if not weights:
    return
  licence = weights.get('licence')
  yield f'began with: {weights.get("reason") or weights.get("source")}' + (
    f'; licence of those weights: {licence}' if licence else ''
  )
  if str(card.get('licence') or '').strip():
    yield f'fitted to images under {card["licence"]}'
