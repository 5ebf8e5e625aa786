"""What the page is made from: everything that is recorded of one run, as far as it came."""

import csv
import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from pipeline import lineage, metadata_store, provenance, recorded_run

_ANALYSIS = 'Analysis'
_ANALYSIS_FILE = 'analysis.json'
_CHECKED = 'components.GateReport'
_CHECKED_FILE = 'report.json'
_VERDICT_FILE = 'verdict.json'


@dataclasses.dataclass(frozen=True)
class Material:
  """What is recorded of one run.

  Attributes:
    run_id: its name.
    folder: of the run, below the run root.
    recorded: what recorded_run reads.
    checked: report.json of DataGate; {} where it wrote none.
    curves: rows of curves.csv, as text by column.
    analysis: analysis.json; {} where there is none.
    pictures: the folder that its pictures are relative to; None where there is none.
    packages: version of each locked package.
  """

  run_id: str
  folder: pathlib.Path
  recorded: recorded_run.RecordedRun
  checked: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  curves: tuple[Mapping[str, str], ...] = ()
  analysis: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  pictures: pathlib.Path | None = None
  packages: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

  @property
  def summary(self) -> Mapping[str, Any]:
    return self.recorded.summary

  @property
  def verdict(self) -> Mapping[str, Any]:
    return self.recorded.verdict

  @property
  def config(self) -> Mapping[str, Any]:
    return self.recorded.config

  @property
  def gates(self) -> list[Mapping[str, Any]]:
    """Those of ServingValidator; [] where it did not run."""
    return list((self.summary.get('serving') or {}).get('gates') or [])


def read(root: pathlib.Path, run_id: str, record: lineage.Record | None = None) -> Material:
  """Gathers what the page is made from.

  Args:
    root: the run root.
    run_id: a run there, with an entry in the metadata store, or with a summary, or both.
    record: of the root, where it is open already.

  Raises:
    RunError: a file of the run that is no JSON.
  """
  folder = pathlib.Path(root) / run_id
  if record is None and metadata_store.exists(pathlib.Path(root)):
    record = lineage.Record(root)
  known = record is not None and record.knows(run_id)
  found = recorded_run.read(record, run_id) if record and known else _without_store(folder, run_id)
  evaluation = _path(found.summary, 'evaluation')
  if evaluation and not found.verdict.get('reasons'):
    verdict = lineage.read_json(evaluation / _VERDICT_FILE) or found.verdict
    found = dataclasses.replace(found, verdict=verdict)
  outputs = record.outputs(run_id) if record and known else []
  checked = [pathlib.Path(one.uri) for one in outputs if one.type == _CHECKED]
  pictures = _analysis(found, record if known else None)
  curves = _path(found.summary, 'curves')
  return Material(
    run_id,
    folder,
    found,
    lineage.read_json(checked[-1] / _CHECKED_FILE) if checked else {},
    _rows(curves) if curves else (),
    lineage.read_json(pictures / _ANALYSIS_FILE) if pictures else {},
    pictures,
    lineage.read_json(folder / provenance.FILE).get('packages') or {},
  )


def _without_store(folder: pathlib.Path, run_id: str) -> recorded_run.RecordedRun:
  """A run that stopped before its first component has no entry in the store."""
  summary = lineage.read_json(folder / lineage.SUMMARY)
  recorded = lineage.read_json(folder / provenance.FILE) or summary.get('provenance') or {}
  return recorded_run.RecordedRun(
    run_id,
    str((summary.get('published') or {}).get('version') or ''),
    {},
    (),
    summary,
    recorded,
    summary.get('dataset') or {},
    summary.get('model') or {},
    recorded_run.judged(summary),
    None,
  )


def _analysis(
  found: recorded_run.RecordedRun, record: lineage.Record | None
) -> pathlib.Path | None:
  """Returns the folder of Analysis: as the summary names it, or as the store knows it."""
  named = (found.summary.get('analysis') or {}).get('path')
  folders = [pathlib.Path(named)] if named else []
  if record is not None:
    written = {key for step in found.steps if step.component == _ANALYSIS for key in step.outputs}
    folders += [pathlib.Path(one.uri) for one in record.outputs(found.run_id) if one.id in written]
  return next((one for one in folders if (one / _ANALYSIS_FILE).is_file()), None)


def _path(summary: Mapping[str, Any], name: str) -> pathlib.Path | None:
  found = (summary.get('paths') or {}).get(name)
  return pathlib.Path(found) if found else None


def _rows(path: pathlib.Path) -> tuple[Mapping[str, str], ...]:
  try:
    with open(path, encoding='utf-8', newline='') as stream:
      return tuple(csv.DictReader(stream))
  except FileNotFoundError:
    return ()
