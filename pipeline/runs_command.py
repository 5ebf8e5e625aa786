"""`sightline runs`: what ran, what it was made from, what changed, what came of it."""

import json
import pathlib
import webbrowser
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
from schemas.errors import ConfigError
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


def report(
  runs: pathlib.Path, wanted: str | None, output: pathlib.Path | None, show_it: bool
) -> None:
  """Writes the page about a run and prints where it lies.

  Args:
    runs: the folder of run roots, or a run root.
    wanted: a run id or a version; None: the latest run.
    output: the file; by default report.html in the run's own folder.
    show_it: whether the browser opens it.

  Raises:
    RunError: there is no such run.
    ConfigError: the file cannot be written.
  """
  from pipeline.report import material, page, search

  with library_output.held_back():
    place = search.find(runs.expanduser().resolve(), wanted)
    found = material.read(place.root, place.run_id)
    path = (output or found.folder / page.FILE).expanduser().resolve()
    try:
      page.write(found, path)
    except OSError as error:
      raise ConfigError(
        f'--output: expected a file that can be written. Received: {path} '
        f'({error.strerror or error}). Name another one.'
      ) from error
  name, outcome = found.summary.get('name') or place.root.name, found.recorded.head()['outcome']
  out = Console(soft_wrap=True, highlight=False)
  out.print(Text(f'{name}, run {place.run_id}: {outcome}'))
  out.print(Text(f'report     {path}'))
  if show_it:
    webbrowser.open(path.as_uri())


def conclude(config: pathlib.Path, wanted: str, text: str, overrides: Sequence[str]) -> None:
  """Writes down what came of a run: in the metadata store, and in its summary if it has one."""
  from pipeline import summary

  with library_output.held_back():
    loaded = load_config(config, overrides)
    record = lineage.record(loaded)
    run_id = record.run_id(wanted)
    found = run_notes.conclude(lineage.run_root(loaded), run_id, text)
    recorded = bool(record.summary(run_id))
    if recorded:
      summary.conclude(record.folder(run_id), found)
  out = Console(soft_wrap=True, highlight=False)
  out.print(Text(f'run {run_id}: {found[-1]["text"]}'))
  if len(found) > 1:
    out.print(f'{len(found) - 1} earlier kept; all of them: sightline runs show CONFIG {run_id}')
  if not recorded:
    out.print('it has no summary; this stands in the metadata store alone')
