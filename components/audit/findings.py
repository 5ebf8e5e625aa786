"""Everything that a reviewer should look at, as rows of one CSV.

Each row offers the line that records what the reviewer decided.
"""

import csv
import io
import pathlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from components.audit import outliers, suspects
from components.audit.coverage import Coverage
from components.audit.dataset import Dataset
from components.audit.volume import Shortage
from components.image_example_gen.decisions import DROP, KEEP, RELABEL
from components.image_example_gen.findings import (
  EXACT_COPY,
  LABEL_CONFLICT,
  LEAK,
  NEAR_COPY,
)

SUSPECT_LABEL = 'suspect_label'
MISSING_CELL = 'missing_cell'
CONFOUNDED_COLUMN = 'confounded_column'
# Codes that stand for personal data which was found in a file and left out.
PERSONAL = ('gps', 'serial_number', 'owner_name')


class Finding(NamedTuple):
  """One finding.

  Attributes:
    code: what it is.
    filename: the file; '' where it is about a class.
    other: the second file of a pair; '' without one.
    label: of the file, or the class.
    suggestion: another label, where there is one to suggest.
    value: what was measured, for a program; '' for nothing.
    detail: in words.
    decision: a line for the decisions file that settles it; '' where none can.
  """

  code: str
  filename: str
  other: str
  label: str
  suggestion: str
  value: str
  detail: str
  decision: str


def from_ingest(dataset: Dataset) -> list[Finding]:
  """Returns what ingest found: copies, conflicts, leaks, personal data."""
  return [
    Finding(
      row['code'],
      row['filename'],
      row.get('other') or '',
      row.get('label') or '',
      (row.get('other_label') or '') if row['code'] == LABEL_CONFLICT else '',
      '',
      row.get('detail') or '',
      _settled(row),
    )
    for row in dataset.findings
  ]


def _settled(row: dict[str, str]) -> str:
  if row['code'] == EXACT_COPY:
    # The first of the two is not used already; so it is not looked at again.
    return decision(row['filename'], DROP, note=EXACT_COPY)
  if row['code'] == NEAR_COPY:
    return decision(row.get('other') or row['filename'], DROP, note=row['code'])
  if row['code'] == LABEL_CONFLICT:
    return decision(row['filename'], RELABEL, row.get('other_label') or '', row['code'])
  if row['code'] == LEAK and row.get('other'):
    # What is measured by stays; the copy that was trained on goes.
    train = row['filename'] if row.get('split') == 'train' else row.get('other')
    return decision(train or row['filename'], DROP, note=LEAK)
  return ''


def from_suspects(dataset: Dataset, found: suspects.Suspects, names: list[str]) -> list[Finding]:
  """Returns the flagged labels that no reviewer has settled, the most suspicious first."""
  images = dataset.images
  result = []
  for position in found.ranking():
    if not found.flagged[position] or images.kept(position):
      continue
    suggestion = names[found.suggestion[position]]
    score = float(found.score[position])
    result.append(
      Finding(
        SUSPECT_LABEL,
        images.path[position],
        '',
        images.label[position],
        suggestion,
        f'{score:.4f}',
        f'the cheap model gives this label {100 * score:.0f} %',
        decision(images.path[position], RELABEL, suggestion, SUSPECT_LABEL),
      )
    )
  return result


def from_outliers(dataset: Dataset, found: Iterable[outliers.Outlier]) -> list[Finding]:
  """Returns the outliers that no reviewer has kept."""
  images = dataset.images
  return [
    Finding(
      outlier.code,
      images.path[outlier.position],
      '',
      images.label[outlier.position],
      '',
      f'{outlier.value:.6g}',
      outlier.detail,
      decision(images.path[outlier.position], KEEP, note=outlier.code),
    )
    for outlier in found
    if not images.kept(outlier.position)
  ]


def from_volume(shortages: Iterable[Shortage]) -> list[Finding]:
  return [
    Finding(row.code, '', '', row.label, '', str(row.images), row.text, '') for row in shortages
  ]


def from_coverage(tables: Iterable[Coverage]) -> list[Finding]:
  """Returns the combinations without an image, and the columns that give the class away."""
  result = []
  for table in tables:
    if table.confounded:
      detail = (
        f'each value of {table.column} is in one class only: a model can tell the class from '
        'whatever goes with the value, and no figure would show it'
      )
      result.append(Finding(CONFOUNDED_COLUMN, '', '', '', '', table.column, detail, ''))
    result += [
      Finding(MISSING_CELL, '', '', label, '', '0', f'no image with {table.column}={value}', '')
      for label, value in table.missing
    ]
  return result


def decision(filename: str, word: str, value: str = '', note: str = '') -> str:
  """Returns a line for the decisions file, by its columns."""
  text = io.StringIO()
  csv.writer(text, lineterminator='').writerow((filename, word, value, note))
  return text.getvalue()


def choices(finding: Finding) -> list[str]:
  """Returns the lines that a reviewer can choose from, the suggested one first."""
  if not finding.decision:
    return []
  if finding.code == SUSPECT_LABEL or finding.code in outliers.CODES:
    further = KEEP if finding.code == SUSPECT_LABEL else DROP
    return [finding.decision, decision(finding.filename, further, note=finding.code)]
  return [finding.decision]


def counts(found: Iterable[Finding]) -> dict[str, int]:
  """Returns how often each code was found, by code."""
  return dict(sorted(Counter(finding.code for finding in found).items()))


def write(path: pathlib.Path, found: Iterable[Finding]) -> None:
  """Writes findings.csv, with its header even where nothing was found."""
  with open(path, 'w', encoding='utf-8', errors='backslashreplace', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(Finding._fields)
    writer.writerows(found)
