"""Everything that a reviewer should look at, as rows of one CSV.

Each row offers the line that records what the reviewer decided.
"""

import csv
import dataclasses
import io
import pathlib
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from components.audit import outliers, suspects
from components.audit.coverage import Coverage
from components.audit.dataset import Dataset
from components.audit.volume import Shortage
from components.image_example_gen import quarantine
from components.image_example_gen.decisions import DROP, KEEP, RELABEL
from components.image_example_gen.findings import (
  EXACT_COPY,
  LABEL_CONFLICT,
  LEAK,
  NEAR_COPY,
)
from schemas import features

SUSPECT_LABEL = 'suspect_label'
MISSING_CELL = 'missing_cell'
CONFOUNDED_COLUMN = 'confounded_column'
# Codes that stand for personal data which was found in a file and left out.
PERSONAL = ('gps', 'serial_number', 'owner_name')
# From the split that judges most to the one that judges nothing, as ingest has it.
_JUDGES = (features.TEST, features.PRODUCTION, features.VAL, features.TRAIN)


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


def open_pairs(dataset: Dataset) -> tuple[Dataset, int]:
  """Takes out the near-copies and conflicts of which a reviewer keeps both files.

  Returns:
    The data set with the other findings, and how many were taken out.
  """
  images = dataset.images
  kept = {path for path, position in images.position.items() if images.kept(position)}
  still_open = [
    row
    for row in dataset.findings
    if row['code'] not in (NEAR_COPY, LABEL_CONFLICT)
    or not {row['filename'], row.get('other') or ''} <= kept
  ]
  count = len(dataset.findings) - len(still_open)
  return dataclasses.replace(dataset, findings=still_open), count


def from_ingest(dataset: Dataset) -> list[Finding]:
  """Returns what ingest found: copies, conflicts, leaks, personal data."""
  settle = _Settle(dataset)
  settled = {}
  # Leaks first: what is dropped for one settles the near-copy that it is, too.
  for number in sorted(
    range(len(dataset.findings)), key=lambda number: dataset.findings[number]['code'] != LEAK
  ):
    settled[number] = settle(dataset.findings[number])
  return [
    Finding(
      row['code'],
      row['filename'],
      row.get('other') or '',
      row.get('label') or '',
      (row.get('other_label') or '') if row['code'] == LABEL_CONFLICT else '',
      '',
      '; '.join(filter(None, (row.get('detail'), settled[number].advice))),
      settled[number].line,
    )
    for number, row in enumerate(dataset.findings)
  ]


class _Settled(NamedTuple):
  """A line for the decisions file, or advice where only the manifest can be mended."""

  line: str = ''
  advice: str = ''


class _Settle:
  """Suggests how to settle each pair, so that whoever follows all of it loses no picture.

  One file of a pair is dropped or relabelled, and a pair of which that was
  already suggested has no line of its own.
  """

  def __init__(self, dataset: Dataset):
    self._images = dataset.images
    self._gone: set[str] = set()
    self._labels: dict[str, str] = {}
    self._duplicates: dict[str, list[str]] = {}
    for row in dataset.quarantined:
      if row['reason'] == quarantine.DUPLICATE:
        self._duplicates.setdefault(row['filename'], []).append(row['row'])

  def __call__(self, row: dict[str, str]) -> _Settled:
    """Returns what settles a row of ingest's findings; called once a row."""
    code, first, other = row['code'], row['filename'], row.get('other') or ''
    if code == LABEL_CONFLICT:
      return self._relabel(first, other, row.get('other_label') or '')
    if code not in (EXACT_COPY, NEAR_COPY, LEAK) or not other:
      return _Settled()
    if first == other:
      # A decision is about a file: it would take out both rows of it.
      return self._remove(first, code, row)
    if {first, other} & self._gone:
      return _Settled()
    # Of two equal files ingest does not use the first already.
    loser = first if code == EXACT_COPY else self._judges_less(row)
    self._gone.add(loser)
    return _Settled(decision(loser, DROP, note=code))

  def _judges_less(self, row: dict[str, str]) -> str:
    first, other = (_rank(row.get(key) or '') for key in ('split', 'split_other'))
    return row['filename'] if first > other else row['other']

  def _relabel(self, first: str, other: str, other_label: str) -> _Settled:
    if first in self._labels or first in self._gone or other in self._gone:
      return _Settled()
    # Both files of a pair end with one label, also where each is listed.
    label = self._labels.setdefault(other, other_label)
    self._labels[first] = label
    return _Settled(decision(first, RELABEL, label, LABEL_CONFLICT))

  def _remove(self, filename: str, code: str, row: dict[str, str]) -> _Settled:
    if code == EXACT_COPY:
      rows = self._duplicates.get(filename, [])
      return _Settled(advice=f'remove row {rows.pop(0)}' if rows else 'remove one of its rows')
    loses = max(row.get('split') or '', row.get('split_other') or '', key=_rank)
    number = self._images.row_of(filename, loses)
    return _Settled(
      advice=f'remove row {number}' if number else f'remove its row of {loses or "one split"}'
    )


def _rank(split: str) -> int:
  return _JUDGES.index(split) if split in _JUDGES else len(_JUDGES)


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
  if finding.code == LABEL_CONFLICT and finding.filename != finding.other:
    dropped = (finding.filename, finding.other)
    return [finding.decision, *(decision(name, DROP, note=finding.code) for name in dropped)]
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
