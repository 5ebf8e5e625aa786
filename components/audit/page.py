"""Draws the audit as one HTML file."""

import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import jinja2
import numpy as np

from components.audit import findings, histogram, outliers, samples, thumbnails, volume
from components.audit.dataset import Images
from components.image_example_gen import decisions
from components.image_example_gen.findings import DROPPED_BY_LEAK
from schemas.config import AuditConfig, CardConfig, DataConfig

if TYPE_CHECKING:
  from components.audit.report import Audit

_TEMPLATE = 'page.html.jinja'
# Findings that a section shows; the CSV holds all of them.
_SHOWN = 50
_SHOWN_PAIRS = 30
_CARD = ('source', 'owner', 'licence', 'access', 'freshness')
_COPIES = (findings.EXACT_COPY, findings.NEAR_COPY)
_WORDS = {
  'gps': 'GPS position',
  'exact_copy': 'same picture',
  'near_copy': 'near-copy',
  'label_conflict': 'label conflict',
}


class Gallery(NamedTuple):
  """What a section shows.

  Attributes:
    rows: the first few.
    total: how many there are.
  """

  rows: list[Any]
  total: int


class Pair(NamedTuple):
  """Two files that show the same; `lines` are the decisions that settle it."""

  filename: str
  other: str
  label: str
  other_label: str
  split: str
  other_split: str
  how: str
  lines: list[str]


class Card(NamedTuple):
  """One file; `lines` are the decisions that a reviewer can choose from."""

  filename: str
  code: str
  label: str
  suggestion: str
  value: str
  detail: str
  lines: list[str]


class Section(NamedTuple):
  """An entry of the contents; `kind` colours what was found where that is above 0."""

  id: str
  title: str
  tile: str
  found: int | None
  kind: str


@dataclasses.dataclass(frozen=True)
class Verdict:
  """What a run would say; `kind` is good, warn or bad."""

  kind: str
  head: str
  lines: list[str]


def render(
  name: str,
  found: 'Audit',
  data: DataConfig,
  settings: AuditConfig,
  locate: thumbnails.Locate,
) -> str:
  """Returns the page.

  Args:
    name: of the data set.
    found: what is shown.
    data: the dataset card, and where decisions are written.
    settings: seed and number of the samples.
    locate: finds a file by its name in the manifest.
  """
  context = _context(name, found, data, settings)
  shown = list(_pictures(context))
  context['thumbnails'] = thumbnails.make(
    found.dataset.images, shown, locate, thumbnails.side_for(len(shown))
  )
  return _environment().get_template(_TEMPLATE).render(context)


def _environment() -> jinja2.Environment:
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    # Names of files and labels are anybody's text.
    autoescape=True,
    trim_blocks=True,
    undefined=jinja2.StrictUndefined,
  )
  environment.filters['words'] = lambda code: _WORDS.get(code, code.replace('_', ' '))
  return environment


def _context(name: str, found: 'Audit', data: DataConfig, settings: AuditConfig) -> dict[str, Any]:
  images = found.dataset.images
  summary = found.dataset.summary
  by_code: dict[str, list[findings.Finding]] = {}
  for row in found.rows:
    by_code.setdefault(row.code, []).append(row)
  context = {
    'name': name,
    'dataset_sha256': summary.get('dataset_sha256', ''),
    'rows': summary.get('rows', len(images)),
    'images': len(images),
    'classes': images.classes,
    'splits': [(split, Counter(images.split)[split]) for split in images.splits],
    'class_rows': found.classes,
    'class_sizes': {row.label: row.total for row in found.classes},
    'shortages': Gallery(found.shortages[:_SHOWN], len(found.shortages)),
    'other_warnings': _other_warnings(summary.get('warnings', [])),
    'few_images': volume.FEW_IMAGES_IN_ALL,
    'few_in_class': volume.FEW_IMAGES_A_CLASS,
    'seed': settings.seed,
    'samples': _samples(images, settings),
    'histograms': _histograms(images),
    'copies': _pairs(found, _COPIES),
    'conflicts': _pairs(found, (findings.LABEL_CONFLICT,)),
    'leaks': _pairs(found, (findings.LEAK, DROPPED_BY_LEAK)),
    'suspects': _suspects(found, by_code.get(findings.SUSPECT_LABEL, [])),
    'outliers': _cards([row for code in outliers.CODES for row in by_code.get(code, [])]),
    'kept_outliers': found.kept['outliers'],
    'kept': sum(found.kept.values()),
    'personal': _cards([row for code in findings.PERSONAL for row in by_code.get(code, [])]),
    'coverage': found.tables,
    'quarantine': Gallery(found.dataset.quarantined[:_SHOWN], len(found.dataset.quarantined)),
    'card': [(field, getattr(data.card, field).strip()) for field in _CARD],
    'decisions_file': data.decisions,
    'decisions_header': ','.join(decisions.COLUMNS),
  }
  context['verdict'] = _verdict(summary.get('would_stop', []), len(by_code.get(findings.LEAK, [])))
  context['sections'] = _sections(context, data.card)
  context['example_lines'] = _example_lines(context)
  return context


def _verdict(would_stop: list[str], leaks: int) -> Verdict:
  if would_stop:
    return Verdict('bad', 'This data would stop a run:', would_stop)
  if leaks:
    text = f'{leaks} {"pair" if leaks == 1 else "pairs"} of images in two splits; see Leaks.'
    return Verdict('warn', 'Nothing here would stop a run, but there are leaks:', [text])
  return Verdict('good', 'Nothing here would stop a run.', [])


def _other_warnings(warnings: Iterable[str]) -> list[str]:
  """Returns ingest's warnings, without those about volume, which are shown class by class."""
  return [text for text in warnings if 'fewer than' not in text and 'figures on val' not in text]


def _samples(images: Images, settings: AuditConfig) -> list[tuple[str, list[str]]]:
  drawn = samples.draw(images, settings.samples_per_class, settings.seed)
  return [
    (label, [images.path[position] for position in positions]) for label, positions in drawn.items()
  ]


def _histograms(images: Images):
  labels = np.array(images.label, object)
  longer = np.maximum(images.width, images.height)
  ends = (float(longer.min()), float(longer.max())) if len(images) else (1.0, 1.0)
  return [
    (
      label,
      histogram.size(label, longer[labels == label], ends),
      histogram.brightness(label, images.brightness[labels == label]),
    )
    for label in images.classes
  ]


def _pairs(found: 'Audit', codes: tuple[str, ...]) -> Gallery:
  rows = [
    (row, finding)
    for row, finding in zip(found.dataset.findings, found.rows, strict=False)
    if row['code'] in codes
  ]
  return Gallery(
    [
      Pair(
        row['filename'],
        row.get('other') or '',
        row.get('label') or '',
        row.get('other_label') or '',
        row.get('split') or '',
        row.get('split_other') or '',
        finding.detail or _WORDS.get(row['code'], row['code']),
        findings.choices(finding),
      )
      for row, finding in rows[:_SHOWN_PAIRS]
    ],
    len(rows),
  )


def _suspects(found: 'Audit', rows: list[findings.Finding]) -> dict[str, Any]:
  judged = found.judged
  skipped = found.skipped
  if judged is not None and not judged.judged:
    skipped = 'Not judged: two classes or more with enough images are needed.'
  return {
    'skipped': skipped,
    'accuracy': judged.accuracy if judged else 0.0,
    'judged': judged.judged if judged else 0,
    'unjudged': [found.names[number] for number in judged.unjudged] if judged else [],
    'gallery': _cards(rows),
  }


def _cards(rows: list[findings.Finding]) -> Gallery:
  return Gallery(
    [
      Card(
        row.filename,
        row.code,
        row.label,
        row.suggestion,
        row.value,
        row.detail,
        findings.choices(row),
      )
      for row in rows[:_SHOWN]
    ],
    len(rows),
  )


def _sections(context: dict[str, Any], card: CardConfig) -> list[Section]:
  missing = sum(len(table.missing) for table in context['coverage'])
  return [
    Section('classes', 'Classes and splits', '', None, ''),
    Section(
      'volume',
      'Volume warnings',
      'volume warnings',
      context['shortages'].total + len(context['other_warnings']),
      'hot',
    ),
    Section('samples', 'Samples', '', None, ''),
    Section('measures', 'Size and brightness', '', None, ''),
    Section('copies', 'Copies', 'copies and near-copies', context['copies'].total, 'hot'),
    Section('conflicts', 'Conflicts', 'label conflicts', context['conflicts'].total, 'bad'),
    Section('leaks', 'Leaks', 'leaks between splits', context['leaks'].total, 'bad'),
    Section(
      'suspects', 'Suspect labels', 'suspect labels', context['suspects']['gallery'].total, 'hot'
    ),
    Section('outliers', 'Outliers', 'outliers', context['outliers'].total, 'hot'),
    Section('personal', 'Personal data', 'with personal data', context['personal'].total, 'hot'),
    Section('coverage', 'Coverage', 'combinations missing', missing, 'hot'),
    Section('quarantine', 'Rows not used', 'rows not used', context['quarantine'].total, 'hot'),
    Section('card', 'Dataset card', 'card fields missing', len(card.missing()), 'hot'),
    Section('next', 'What to do next', '', None, ''),
  ]


def _example_lines(context: dict[str, Any]) -> list[str]:
  """Returns lines from the findings of this very page, or made up ones without any."""
  shown = [
    context['suspects']['gallery'].rows[:1],
    context['outliers'].rows[:1],
    context['copies'].rows[:1],
  ]
  lines = [row.lines[0] for rows in shown for row in rows if row.lines]
  return lines or [findings.decision('photo.jpg', decisions.KEEP, note='rare but real')]


def _pictures(context: dict[str, Any]) -> Iterable[str]:
  """Yields the files of which the page holds a picture, as often as it does."""
  for _, paths in context['samples']:
    yield from paths
  for key in ('copies', 'conflicts', 'leaks'):
    for pair in context[key].rows:
      yield from (pair.filename, pair.other)
  for gallery in (context['suspects']['gallery'], context['outliers']):
    yield from (row.filename for row in gallery.rows)
