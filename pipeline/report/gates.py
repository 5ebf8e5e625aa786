"""Every gate that a run came to, as rows of one table: value, limit, outcome, next step."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.report.material import Material
from schemas import features

MET = 'met'
NOT_MET = 'not met'
SHOWN = 'only shown'
UNJUDGED = 'not judged'
OVERRIDDEN = 'overridden'
# What the Evaluator writes of a slice, where it judged it itself.
_STATUS = {
  'holds': MET,
  'under its floor': NOT_MET,
  'over its limit': NOT_MET,
  'too small to judge': UNJUDGED,
  'shown': SHOWN,
}
# The keys of the gates that an override names.
_OVERRIDES = {
  'accuracy': ('evaluate.min_accuracy',),
  'figures': ('evaluate.min_macro_f1', 'evaluate.min_pr_auc'),
  'slices': ('evaluate.slice_floors',),
  'groups': ('evaluate.max_group_gap',),
  'comparison': ('evaluate.bless',),
  'floor': ('floors.gates',),
}
_FIGURES = (
  ('macro_f1', 'min_macro_f1', 'mean F1 over the classes'),
  ('macro_pr_auc', 'min_pr_auc', 'mean area under precision and recall'),
)
# Asked of the data by their components, in the order in which these run.
_OF_DATA = (
  ('ImageExampleGen', 'ingest', 'Mend the data as the error says.'),
  ('DataGate', 'data gate', 'Mend the data or extend the schema, as the error says.'),
)


class Gate(NamedTuple):
  """One row.

  Attributes:
    key: the field of the config that asks for it, or the name of the gate.
    name: in words.
    value, limit, interval: as text; empty where there is none.
    outcome: one of the words above, or the verdict of a comparison.
    kind: good, bad, warn or '' for the colour.
    next_step: what to do; empty where nothing is to be done.
  """

  key: str
  name: str
  value: str
  limit: str
  interval: str
  outcome: str
  kind: str
  next_step: str = ''


def rows(material: Material) -> list[Gate]:
  """Returns the gates that were come to, in the order of the pipeline."""
  found = [
    *_data(material),
    *_accuracy(material),
    *_figures(material),
    *_slices(material),
    *_groups(material.verdict),
    *_comparison(material),
    *_floor(material),
    *_serving(material.gates),
  ]
  return [_overridden(gate, material.verdict.get('overrides') or []) for gate in found]


def share(value: float | None, signed: bool = False) -> str:
  """Returns a proportion, 0..1, or a difference of two."""
  if value is None:
    return 'not measured'
  return f'{value:+.4f}' if signed else f'{value:.4f}'


def between(interval: Sequence[float] | None, signed: bool = False) -> str:
  """Returns an interval; empty where there is none."""
  if not interval:
    return ''
  return f'{share(interval[0], signed)} to {share(interval[1], signed)}'


def _gate(
  key: str, name: str, value: str, limit: str, interval: str, outcome: str, next_step: str
) -> Gate:
  kind = {MET: 'good', NOT_MET: 'bad', UNJUDGED: 'warn'}.get(outcome, '')
  return Gate(
    key, name, value, limit, interval, outcome, kind, next_step if kind in ('bad', 'warn') else ''
  )


def _data(material: Material) -> Iterator[Gate]:
  ran = material.summary.get('components') or {}
  bad = material.recorded.dataset.get('bad') or {}
  if 'fraction' in bad:
    ok = bad['fraction'] <= bad['limit']
    yield _gate(
      'data.max_bad_fraction',
      'rows that cannot be used',
      f'{bad["fraction"]:.2%} ({bad["count"]})',
      f'at most {bad["limit"]:.2%}',
      '',
      MET if ok else NOT_MET,
      'Mend the files that quarantine.csv names.',
    )
  for component, name, next_step in _OF_DATA:
    if (ran.get(component) or {}).get('outcome') == 'failed':
      yield _gate(component, name, 'stopped', '', '', NOT_MET, next_step)
  if material.checked:
    changed = len(material.checked.get('drift') or []) + len(material.checked.get('skew') or [])
    yield _gate(
      'DataGate',
      'data gate: schema, drift, skew',
      f'{changed} changes let in' if changed else 'nothing found',
      '',
      '',
      MET if material.checked.get('passed') else NOT_MET,
      'Mend the data or extend the schema.',
    )


def _accuracy(material: Material) -> Iterator[Gate]:
  accuracy = (material.verdict.get('candidate') or {}).get('accuracy')
  least = (material.config.get('evaluate') or {}).get('min_accuracy')
  if not accuracy or least is None:
    return
  value = accuracy['value']
  yield _gate(
    'evaluate.min_accuracy',
    f'accuracy on {accuracy["n"]} test images',
    share(value),
    f'at least {share(least)}',
    between(accuracy.get('interval')),
    MET if value is not None and value >= least else NOT_MET,
    'Look at the confused pairs and the curves below; train more, or on more images.',
  )


def _figures(material: Material) -> Iterator[Gate]:
  asked, measured = material.config.get('evaluate') or {}, material.verdict.get('candidate') or {}
  for name, field, words in _FIGURES:
    least, value = asked.get(field), measured.get(name)
    if least and measured:
      yield _gate(
        f'evaluate.{field}',
        words,
        share(value),
        f'at least {share(least)}',
        '',
        MET if value is not None and value >= least else NOT_MET,
        'Give the weakest classes below more images.',
      )


def _slices(material: Material) -> Iterator[Gate]:
  """Yields a row for each slice that does not hold its floor, and the lowest that does."""
  floors = (material.config.get('evaluate') or {}).get('slice_floors') or ()
  measured = material.verdict.get('slices') or []
  for floor in floors:
    keys = slice_keys(floor)
    judged = [(row, slice_outcome(row, floor)) for row in measured if row['key'] in keys]
    held = [row for row, outcome in judged if outcome == MET]
    shown = [(row, outcome) for row, outcome in judged if outcome != MET]
    if held:
      lowest = min(held, key=lambda row: row['accuracy']['value'])
      shown.append((lowest, MET))
    for row, outcome in shown:
      more = f' (lowest of {len(held)} that hold)' if outcome == MET and len(held) > 1 else ''
      yield _gate(
        'evaluate.slice_floors',
        f'{row["key"]} = {row["value"]}, n {row["accuracy"]["n"]}{more}',
        share(row['accuracy']['value']),
        f'at least {share(row.get("floor") or floor["min_accuracy"])}',
        between(row['accuracy'].get('interval')),
        outcome,
        'Give train more such images.'
        if outcome == NOT_MET
        else 'Put more such images into the test split.',
      )


def slice_keys(floor: Mapping[str, Any]) -> tuple[str, str]:
  """Returns the keys that a verdict may have for the slice that a floor names."""
  return floor['slice'], features.column(floor['slice'])


def slice_outcome(row: Mapping[str, Any], floor: Mapping[str, Any] | None) -> str:
  """Returns what became of a slice: the Evaluator's own word where it wrote one."""
  if row.get('status') in _STATUS:
    return _STATUS[row['status']]
  if floor is None:
    return str(row.get('status') or '')
  value = row['accuracy']['value']
  return MET if value is not None and value >= floor['min_accuracy'] else NOT_MET


def _groups(verdict: Mapping[str, Any]) -> Iterator[Gate]:
  for row in verdict.get('groups') or []:
    if row.get('limit') is None:
      continue
    worst = row['worst']['value'] if row['worst'] else ''
    yield _gate(
      'evaluate.max_group_gap',
      f'gap in accuracy between the values of {row["column"]}',
      share(row['gap']),
      f'at most {share(row["limit"])}',
      between(row['interval']),
      _STATUS[row['status']],
      f'Give train more images of {row["column"]} = {worst}.'
      if row['status'] != 'too small to judge'
      else 'Put more images of each value into the test split.',
    )


def _comparison(material: Material) -> Iterator[Gate]:
  compared = material.verdict.get('comparison')
  if not compared:
    return
  asked = material.config.get('evaluate') or {}
  accepted = compared['verdict'] in (asked.get('bless') or ())
  yield Gate(
    'evaluate.bless',
    'against the model in service',
    share(compared['difference'], signed=True),
    f'{" or ".join(asked.get("bless") or ["not recorded"])}; a drop of at most '
    f'{share(asked.get("max_accuracy_drop", 0.0))}',
    between(compared['interval'], signed=True),
    compared['verdict'],
    'good' if accepted else 'bad',
    ''
    if accepted
    else 'Keep the model in service, enlarge the test split, or accept more by '
    'evaluate.max_accuracy_drop.',
  )


def _floor(material: Material) -> Iterator[Gate]:
  found = best_floor(material.verdict)
  if not found:
    return
  compared, asked = found['comparison'], material.config.get('floors') or {}
  better = compared['verdict'] == 'better'
  gates = bool(asked.get('gates', True))
  bad = gates and not better
  yield Gate(
    'floors.gates',
    f'against the best simple model, {found["name"]}',
    share(compared['difference'], signed=True),
    'better beyond chance' if gates else 'none',
    between(compared['interval'], signed=True),
    compared['verdict'] if gates else f'{compared["verdict"]}, {SHOWN}',
    'bad' if bad else 'good' if better else '',
    'Serve the simple model, train a better network, or give a reason in floors.reason.'
    if bad
    else '',
  )


def best_floor(verdict: Mapping[str, Any]) -> Mapping[str, Any] | None:
  """Returns the best simple model of a verdict."""
  measured = verdict.get('floors') or {}
  rows = measured.get('floors') or []
  return next((row for row in rows if row['name'] == measured.get('best')), None)


def _serving(gates: Sequence[Mapping[str, Any]]) -> Iterator[Gate]:
  for gate in gates:
    value = gate['value']
    yield _gate(
      f'serving_validator.{gate["gate"]}',
      f'serving: {gate["gate"].replace("_", " ")}',
      'not measured' if value is None else f'{value:.4g} {gate["unit"]}',
      f'at most {gate["limit"]:.4g}',
      '',
      MET if gate['ok'] else NOT_MET,
      gate['next_step'],
    )
  if gates:
    met = sum(gate['ok'] for gate in gates)
    yield _gate(
      'infra',
      'infra blessing',
      f'{met} of {len(gates)} serving gates',
      'all of them',
      '',
      MET if met == len(gates) else NOT_MET,
      'Mend what failed above.',
    )


def _overridden(gate: Gate, overrides: Sequence[Mapping[str, Any]]) -> Gate:
  keys = {key for one in overrides for key in _OVERRIDES.get(one['gate'], ())}
  if gate.kind != 'bad' or gate.key not in keys:
    return gate
  return gate._replace(outcome=f'{gate.outcome}, {OVERRIDDEN}', kind='warn')
