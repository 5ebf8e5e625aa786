"""The audit of one data set: looks at everything once and writes page, CSVs and JSON."""

import csv
import dataclasses
import json
import pathlib
import shutil
import time
from typing import Any

import numpy as np

from components.audit import coverage, findings, outliers, outputs, page, suspects, volume
from components.audit.dataset import Dataset, read
from components.image_example_gen import location, manifest, quarantine, spans
from schemas.config import AuditConfig, DataConfig
from schemas.errors import DataError


@dataclasses.dataclass(frozen=True)
class Audit:
  """Everything that was found.

  Attributes:
    dataset: what was looked at.
    classes: counts and shares.
    shortages: what there is too little of.
    tables: coverage of the slice columns.
    judged: suspect labels; None where none were looked for.
    names: of the classes, by the numbers in `judged`.
    rows: every finding, those of ingest first.
    kept: outliers, suspects and pairs that a reviewer keeps, by kind.
    skipped: why no labels were judged; '' where they were.
  """

  dataset: Dataset
  classes: list[volume.ClassRow]
  shortages: list[volume.Shortage]
  tables: list[coverage.Coverage]
  judged: suspects.Suspects | None
  names: list[str]
  rows: list[findings.Finding]
  kept: dict[str, int]
  skipped: str


def write(
  name: str,
  dataset: pathlib.Path,
  rejected: pathlib.Path,
  data: DataConfig,
  settings: AuditConfig,
  output: pathlib.Path,
) -> dict[str, Any]:
  """Audits a data set and writes audit.html, the same as CSVs, and audit.json.

  Args:
    name: of the data set, for the heading.
    dataset: folder of the Dataset artifact.
    rejected: folder of the Quarantine artifact.
    data: where the files lie, the slice columns and the dataset card.
    settings: section `audit` of the config.
    output: an existing folder.

  Returns:
    What audit.json holds.
  """
  began = time.monotonic()
  found = examine(read(dataset, rejected), data, settings)
  looked = time.monotonic()
  findings.write(output / outputs.FINDINGS, found.rows)
  _write_ranking(output / outputs.SUSPECTS, found)
  # The page shows the first few, and the artifact that has all is not beside it.
  shutil.copyfile(rejected / quarantine.FILE_NAME, output / outputs.QUARANTINE)
  html = page.render(name, found, data, settings, _locate(data, found.dataset.summary))
  (output / outputs.PAGE).write_text(html, encoding='utf-8', errors='backslashreplace')
  summary = _summary(name, found, data)
  summary['seconds'] = {
    'examine': round(looked - began, 2),
    'write': round(time.monotonic() - looked, 2),
  }
  text = json.dumps(summary, indent=2, ensure_ascii=False) + '\n'
  (output / outputs.SUMMARY).write_text(text, encoding='utf-8', errors='backslashreplace')
  return summary


def examine(dataset: Dataset, data: DataConfig, settings: AuditConfig) -> Audit:
  """Looks for everything; writes nothing."""
  dataset, kept_pairs = findings.open_pairs(dataset)
  images = dataset.images
  classes = volume.by_class(images)
  shortages = volume.shortages(images, classes)
  tables = coverage.tabulate(images, data.slice_columns or tuple(images.columns))
  numbers, names = suspects.numbered(images.label)
  judged, skipped = None, ''
  if not settings.suspects:
    skipped = 'Not looked for: audit.suspects is false.'
  elif images.thumbnails is None:
    skipped = 'Not looked for: the data set has no thumbnails.'
  else:
    clusters = suspects.cluster_numbers(images.cluster)
    judged = suspects.find(images.thumbnails, numbers, clusters, settings.seed)
  odd = outliers.find(images)
  kept = {
    'outliers': sum(images.kept(outlier.position) for outlier in odd),
    'suspects': 0,
    'pairs': kept_pairs,
  }
  rows = findings.from_ingest(dataset)
  if judged is not None:
    flagged = np.flatnonzero(judged.flagged)
    kept['suspects'] = sum(images.kept(int(position)) for position in flagged)
    rows += findings.from_suspects(dataset, judged, names)
  rows += findings.from_outliers(dataset, odd)
  rows += findings.from_volume(shortages) + findings.from_coverage(tables)
  return Audit(dataset, classes, shortages, tables, judged, names, rows, kept, skipped)


def _locate(data: DataConfig, summary: dict[str, Any]):
  """Returns the function that finds a file; one that finds none where the data are gone."""
  try:
    return manifest.open_manifest(spans.at(data, summary.get('span'))).locate
  except DataError as error:
    reason = str(error)

    def nowhere(filename: str) -> pathlib.Path:
      raise location.FileError(location.MISSING_FILE, f'{filename}: {reason}')

    return nowhere


def _write_ranking(path: pathlib.Path, found: Audit) -> None:
  with open(path, 'w', encoding='utf-8', errors='backslashreplace', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(('rank', 'filename', 'label', 'suggestion', 'score', 'flagged'))
    if found.judged is None:
      return
    images = found.dataset.images
    for rank, position in enumerate(found.judged.ranking(), start=1):
      writer.writerow(
        (
          rank,
          images.path[position],
          images.label[position],
          found.names[found.judged.suggestion[position]],
          f'{found.judged.score[position]:.4f}',
          'yes' if found.judged.flagged[position] else 'no',
        )
      )


def _summary(name: str, found: Audit, data: DataConfig) -> dict[str, Any]:
  judged = found.judged
  summary = found.dataset.summary
  return {
    'name': name,
    'page': outputs.PAGE,
    'dataset_sha256': summary.get('dataset_sha256', ''),
    'images': len(found.dataset.images),
    'classes': len(found.classes),
    'findings': findings.counts(found.rows),
    'kept': found.kept,
    'quarantined': len(found.dataset.quarantined),
    'would_stop': summary.get('would_stop', []),
    'warnings': [row.text for row in found.shortages],
    'suspects': {
      'judged': judged.judged if judged else 0,
      'flagged': int(judged.flagged.sum()) if judged else 0,
      'cheap_floor': round(judged.accuracy, 4) if judged and judged.judged else None,
      'not_judged': [found.names[number] for number in judged.unjudged] if judged else [],
      'skipped': found.skipped,
    },
    'coverage': {
      table.column: {
        'missing': len(table.missing),
        'nested': table.nested,
        'confounded': table.confounded,
      }
      for table in found.tables
    },
    'card': {'missing': data.card.missing()},
  }
