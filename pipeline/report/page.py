"""Draws the page about a run as one HTML file."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jinja2

from components import audit
from pipeline import floors_text
from pipeline import summary as summaries
from pipeline.report import chain, charts, decisions, gates, latency, model_card, pictures
from pipeline.report.material import Material

FILE = 'report.html'
_TEMPLATE = 'report.html.jinja'
# Classes of the confusion matrix, and further rows, that the page has room for.
_CLASSES = 30
_SHOWN = 24
_GOOD = (summaries.PUBLISHED, summaries.UNCHANGED)
_UNDECIDED = (summaries.TRAINED, summaries.INTERRUPTED)
_HEADS = {
  summaries.PUBLISHED: 'Published: it met every gate.',
  summaries.UNCHANGED: 'The model in service stays: it holds the same weights.',
  summaries.NOT_BLESSED: 'Not blessed: the evaluation refused this model.',
  summaries.NOT_SERVABLE: 'Not published: the serving gates refused this model.',
  summaries.STOPPED: 'Stopped before a verdict.',
  summaries.INTERRUPTED: 'Interrupted before a verdict.',
  summaries.TRAINED: 'Trained; no verdict was asked for.',
}


class Section(NamedTuple):
  """One part of the page."""

  id: str
  title: str


class Matrix(NamedTuple):
  """The confusion matrix; `rows` are label, total and (count, share) of each cell."""

  labels: list[str]
  rows: list[tuple[str, int, list[tuple[int, float]]]]
  left_out: int


def write(material: Material, path: pathlib.Path) -> None:
  """Writes the page, whole or not at all.

  Raises:
    OSError: the file cannot be written.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  draft = path.with_name(f'.{path.name}')
  draft.write_text(render(material), encoding='utf-8')
  os.replace(draft, path)


def render(material: Material) -> str:
  """Returns the page."""
  return _environment().get_template(_TEMPLATE).render(_context(material))


def _environment() -> jinja2.Environment:
  own = pathlib.Path(__file__).parent
  environment = jinja2.Environment(
    # Both pages of a run share one style; what the audit has none of is in ours.
    loader=jinja2.FileSystemLoader([own, pathlib.Path(audit.__file__).parent]),
    # Labels, names of files, goals and reasons are anybody's text.
    autoescape=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  environment.filters['share'] = gates.share
  environment.filters['between'] = gates.between
  return environment


def _context(material: Material) -> dict[str, Any]:
  verdict, summary = material.verdict, material.summary
  candidate = verdict.get('candidate') or {}
  calibration = verdict.get('calibration') or summary.get('calibration') or {}
  analysis = material.analysis
  context: dict[str, Any] = {
    'run_id': material.run_id,
    'name': summary.get('name') or material.config.get('name') or material.folder.parent.name,
    'goal': material.recorded.head()['goal'],
    'started': summary.get('started'),
    'seconds': summary.get('seconds'),
    'banner': _banner(material),
    'tiles': _tiles(material),
    'gates': gates.rows(material),
    'comparison': _comparison(verdict),
    'latency': latency.rows(summary.get('serving') or {}),
    'latency_lead': latency.lead(summary.get('serving') or {}),
    'latency_remarks': latency.remarks(summary.get('serving') or {}),
    'vault': _vault(summary),
    'decisions': decisions.log(material),
    'curves': charts.curves(material.curves),
    'diagnosis': [found['text'] for found in (summary.get('model') or {}).get('diagnosis') or []],
    'matrix': _matrix(candidate),
    'per_class': candidate.get('per_class') or {},
    'confused': model_card.confused(material)[:_SHOWN],
    'slices': _slices(material),
    'groups': verdict.get('groups') or [],
    'leaks': _affected(verdict.get('leaks')),
    'production': summary.get('production'),
    'calibration': calibration if calibration.get('ece_after') is not None else {},
    'reliability': charts.reliability(calibration.get('reliability') or []),
    'chart': charts,
    'floors': (verdict.get('floors') or {}).get('floors') or [],
    'best_floor': (verdict.get('floors') or {}).get('best'),
    'price': floors_text.price(summary),
    'analysis': {'robustness': [], 'harmless': [], 'directional': [], **analysis},
    'errors': _errors(material),
    'error_count': len(analysis.get('errors') or []),
    'chain': chain.links(material),
    'packages': material.packages,
    'components': summary.get('components') or {},
    'card': model_card.entries(material),
  }
  context['next_steps'] = any(gate.next_step for gate in context['gates'])
  context['judged_slices'] = any(row['status'] for row in context['slices'])
  context['sections'] = _sections(context)
  return context


def _banner(material: Material) -> dict[str, Any]:
  outcome = material.recorded.head()['outcome']
  kind = 'good' if outcome in _GOOD else 'warn' if outcome in _UNDECIDED else 'bad'
  reasons = list(material.verdict.get('reasons') or material.summary.get('reasons') or [])
  if outcome not in _HEADS:
    # Without a summary the store's word is all there is.
    kind = 'warn'
  error = material.summary.get('error')
  failed = summaries.failed_gates({'serving': material.summary.get('serving') or {}})
  overridden = [one for one in material.verdict.get('overrides') or [] if one['overruled']]
  head = _HEADS.get(outcome, f'State of the run: {outcome}.')
  if outcome == summaries.PUBLISHED and overridden:
    head = 'Published, with a gate overridden by a person.'
  return {
    'kind': 'warn' if kind == 'good' and overridden else kind,
    'outcome': outcome,
    'head': head,
    'version': material.recorded.version,
    'lines': ([error] if error else []) + reasons + failed,
  }


def _tiles(material: Material) -> list[tuple[str, str]]:
  """Returns the figures at a glance: value, and what it is."""
  accuracy = (material.verdict.get('candidate') or {}).get('accuracy') or {}
  measured = {gate['gate']: gate['value'] for gate in material.gates}
  floor = gates.best_floor(material.verdict)
  tiles = []
  if accuracy.get('value') is not None:
    tiles.append(
      (
        gates.share(accuracy['value']),
        f'accuracy on {accuracy["n"]} test images, {gates.between(accuracy["interval"])}',
      )
    )
  if floor and floor['accuracy']['value'] is not None:
    tiles.append(
      (gates.share(floor['accuracy']['value']), f'the best simple model, {floor["name"]}')
    )
  if measured.get('p95_ms') is not None:
    tiles.append((f'{measured["p95_ms"]:.0f} ms', 'an image, 95th percentile'))
  if measured.get('disk_mb') is not None:
    tiles.append((f'{measured["disk_mb"]:.1f} MB', 'on disk'))
  energy = material.summary.get('energy')
  if energy:
    tiles.append((f'{energy["wh"]:.2g} Wh', f'of the processor, {energy["source"]}'))
  return tiles


def _comparison(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
  """Returns the comparison with the model in service, by what each figure is."""
  found = verdict.get('comparison')
  if not found:
    return []
  baseline = (verdict.get('baseline') or {}).get('accuracy')
  detectable = found['detectable']
  rows = [
    ('verdict', found['verdict']),
    (
      'difference in accuracy',
      f'{gates.share(found["difference"], signed=True)} '
      f'(95 % interval {gates.between(found["interval"], signed=True)})',
    ),
    ('p', f'{found["p"]:.2g}, {found["test"]}'),
    (
      'detectable',
      'none: the test set is too small'
      if detectable is None
      else f'a difference of {gates.share(detectable)}, four times of five',
    ),
    ('only this one is right', f'{found["only_first"]} of {found["n"]} images'),
    ('only the one in service is', f'{found["only_second"]} of {found["n"]} images'),
  ]
  if found['groups'] != found['n']:
    rows.append(('independent', f'{found["groups"]} clusters of images'))
  if baseline and baseline['value'] is not None:
    words = summaries.accuracy_text(baseline, 'test images')
    rows.append(('accuracy of the one in service', words))
  return rows


def _vault(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
  vault = summary.get('looks') or {}
  names = {
    'test_sha256': 'test set',
    'looks': 'looks at it so far',
    'candidates': 'candidates judged on it',
    'correction': 'correction',
  }
  return [(words, str(vault[name])) for name, words in names.items() if vault.get(name) is not None]


def _matrix(candidate: Mapping[str, Any]) -> Matrix | None:
  labels, counts = candidate.get('labels') or [], candidate.get('confusion_matrix') or []
  if not counts:
    return None
  wrong = {
    at: sum(row) + sum(line[at] for line in counts) - 2 * row[at] for at, row in enumerate(counts)
  }
  # By name, as people look for them; of many, those with the most errors.
  chosen = sorted(wrong, key=lambda at: -wrong[at])[:_CLASSES]
  chosen.sort(key=lambda at: labels[at])
  rows = []
  for at in chosen:
    total = sum(counts[at])
    cells = [(counts[at][to], counts[at][to] / total if total else 0.0) for to in chosen]
    rows.append((labels[at], total, cells))
  return Matrix([labels[at] for at in chosen], rows, len(labels) - len(chosen))


def _slices(material: Material) -> list[dict[str, Any]]:
  """Returns the slices with a status each: the Evaluator's, or the one that follows."""
  floors = {
    key: floor
    for floor in (material.config.get('evaluate') or {}).get('slice_floors') or ()
    for key in gates.slice_keys(floor)
  }
  rows = []
  for row in material.verdict.get('slices') or []:
    floor = floors.get(row['key'])
    outcome = gates.slice_outcome(row, floor) if floor or row.get('status') else ''
    rows.append(
      {
        **row,
        'floor': row.get('floor', (floor or {}).get('min_accuracy')),
        'status': row.get('status') or outcome,
        'kind': {gates.MET: 'good', gates.NOT_MET: 'bad', gates.UNJUDGED: 'warn'}.get(outcome, ''),
      }
    )
  return rows


def _affected(leaks: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
  return leaks if leaks and leaks.get('affected') else None


def _errors(material: Material) -> list[dict[str, Any]]:
  """Returns the errors that are shown, with their pictures inside."""
  return [
    {
      **row,
      'picture': pictures.embed(material.pictures, row.get('picture')),
      'overlay': pictures.embed(material.pictures, row.get('overlay')),
      'nearest': [
        {**near, 'picture': pictures.embed(material.pictures, near.get('picture'))}
        for near in row.get('nearest') or []
      ],
    }
    for row in (material.analysis.get('errors') or [])[:_SHOWN]
  ]


def _sections(context: Mapping[str, Any]) -> list[Section]:
  """Returns the contents: a part without data is none."""
  analysis = context['analysis']
  parts: Sequence[tuple[str, str, Any]] = (
    ('gates', 'Gates', context['gates']),
    ('comparison', 'Against the model in service', context['comparison']),
    ('latency', 'Time, memory and size', context['latency']),
    ('vault', 'Test set', context['vault']),
    ('decisions', 'Decision log', context['decisions']),
    ('curves', 'Training curves', context['curves']),
    ('confusion', 'Confusion matrix', context['matrix']),
    ('confused', 'Confused pairs', context['confused']),
    ('classes', 'Classes', context['per_class']),
    ('slices', 'Slices', context['slices'] or context['leaks'] or context['production']),
    ('groups', 'Gaps between groups', context['groups']),
    ('calibration', 'Calibration', context['calibration']),
    ('floors', 'Simple models', context['floors']),
    ('robustness', 'Robustness', analysis.get('robustness') or analysis.get('harmless')),
    ('directional', 'Expected behaviour', analysis.get('directional')),
    ('errors', 'Errors', context['errors']),
    ('lineage', 'Lineage', context['chain']),
    ('steps', 'Steps', context['components']),
    ('card', 'Model card', context['card']),
  )
  return [Section(name, title) for name, title, data in parts if data]
