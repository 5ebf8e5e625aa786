"""`sightline runs`: what ran, what it was made from, what changed, what came of it."""

import json
import pathlib
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pipeline import (
  library_output,
  lineage,
  recorded_run,
  run_difference,
  run_notes,
  run_tables,
)
from schemas.loader import load_config


def list_(config: pathlib.Path, overrides: Sequence[str]) -> None:
  """Prints the runs of an experiment, newest first."""
  with library_output.held_back():
    runs = lineage.record(load_config(config, overrides)).runs()
  Console().print(run_tables.render_runs(runs))


def show(config: pathlib.Path, wanted: str, overrides: Sequence[str]) -> None:
  """Prints what a run, or a published version, was made from."""
  with library_output.held_back():
    found = lineage.record(load_config(config, overrides)).lineage(wanted)
  Console().print(run_tables.render_lineage(found))


def diff(
  config: pathlib.Path, first: str, second: str, overrides: Sequence[str], as_json: bool
) -> None:
  """Prints what changed from the first run to the second."""
  with library_output.held_back():
    record = lineage.record(load_config(config, overrides))
    a, b = (recorded_run.read(record, name) for name in (first, second))
    found = run_difference.compare(a, b)
  if as_json:
    Console(soft_wrap=True, highlight=False).print(Text(json.dumps(found.as_json(), indent=2)))
  else:
    Console().print(run_tables.render_difference(found))


def conclude(config: pathlib.Path, wanted: str, text: str, overrides: Sequence[str]) -> None:
  """Writes down what came of a run: in the metadata store, and in its summary if it has one."""
  from pipeline import summary

  with library_output.held_back():
    loaded = load_config(config, overrides)
    record = lineage.record(loaded)
    run_id = record.run_id(wanted)
    found = run_notes.conclude(lineage.run_root(loaded) / lineage.DATABASE, run_id, text)
    recorded = bool(record.summary(run_id))
    if recorded:
      summary.conclude(record.folder(run_id), found)
  out = Console(soft_wrap=True, highlight=False)
  out.print(Text(f'run {run_id}: {found[-1]["text"]}'))
  if len(found) > 1:
    out.print(f'{len(found) - 1} earlier kept; all of them: sightline runs show CONFIG {run_id}')
  if not recorded:
    out.print('it has no summary; this stands in the metadata store alone')
