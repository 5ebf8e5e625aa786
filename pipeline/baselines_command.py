"""`sightline model baselines`: the network beside a small one and frozen features, a run each."""

import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import (
  baselines,
  datasets,
  display,
  library_output,
  own_code,
  provenance,
  runner,
  summary,
)
from schemas.errors import RunError
from schemas.loader import load_config

FILE = 'baselines.json'
# The last component that a row needs: nobody looks at test.
_LAST = 'Trainer'


def run(config_path: pathlib.Path, overrides: Sequence[str] = ()) -> int:
  """Trains every row in a run of its own, on the same split, and prints a table.

  What an earlier run has trained comes from the cache. Accuracy is that on val.

  Returns:
    0.

  Raises:
    ConfigError: the config cannot be used.
    SightlineError: the data stopped a run, or a training cannot go on.
  """
  config = load_config(config_path, overrides)
  rows, missing = baselines.of(config)
  own_code.make_importable(config, config_path)
  assert config.data.root is not None  # the loader fills it in
  if config.data.bundled:
    datasets.write(config.data.bundled, config.data.root)
  console = library_output.console()
  found = []
  for row in rows:
    with runner.open_run(row.config) as this_run:
      this_run.goal = row.goal
      this_run.provenance = provenance.collect(row.config, sys.argv)
      console.print(f'{config.name} run {this_run.run_id}: {row.name}; logs: {this_run.log}')
      found.append({'name': row.name, **_trained(row, this_run, console)})
      _write(found, this_run.folder)
  console.print()
  console.print(render(found))
  if found[-1]['name'] == baselines.FROZEN and found[-1]['weights'] == 'none':
    console.print(f'{baselines.FROZEN}: no weights could be had here, so its features are random')
  for sentence in missing:
    console.print(f'not trained: {sentence}')
  console.print(f'table      {this_run.folder / FILE}')
  return 0


def _trained(row: baselines.Baseline, this_run: runner.Run, console: Console) -> dict[str, Any]:
  """Runs the pipeline up to the Trainer; returns the figures of the row."""
  with display.Display(console) as shown, library_output.to_log(this_run.log):
    runner.execute(lambda: runner.compile_pipeline(row.config, _LAST), this_run, shown)
    whole = summary.collect(row.config, this_run) | {'outcome': summary.TRAINED}
  summary.write(whole, this_run.folder)
  provenance.write(
    provenance.complete(this_run.provenance, whole['dataset'] or {}), this_run.folder
  )
  return figures(whole)


def figures(whole: Mapping[str, Any]) -> dict[str, Any]:
  """Takes from a summary what the table shows.

  Raises:
    RunError: the run has no training on record.
  """
  model, dataset = whole['model'], whole['dataset'] or {}
  if not model or model.get('best_val_accuracy') is None:
    raise RunError(
      f'run {whole["run_id"]}: expected a training on record. Received: none; the reason is in '
      f'{whole["paths"]["log"]}.'
    )
  return {
    'run_id': whole['run_id'],
    'dataset_sha256': dataset.get('dataset_sha256'),
    'val_accuracy': model['best_val_accuracy'],
    'parameters': model['parameters'],
    'weights': model['weights']['source'],
    'seconds': sum(stage['seconds'] for stage in model['stages']),
  }


def render(rows: Sequence[Mapping[str, Any]]) -> Table:
  """Returns the figures as a table of less than 80 columns."""
  table = Table(title='accuracy on val', title_justify='left', box=None, pad_edge=False)
  for heading in ('network', 'run', 'split', 'accuracy', 'params', 'weights', 's'):
    table.add_column(heading, no_wrap=True)
  for row in rows:
    table.add_row(
      row['name'],
      row['run_id'],
      str(row['dataset_sha256'])[:8],
      f'{row["val_accuracy"]:.4f}',
      f'{row["parameters"]:,}',
      row['weights'],
      f'{row["seconds"]:.0f}',
    )
  return table


def _write(rows: Sequence[Mapping[str, Any]], folder: pathlib.Path) -> None:
  draft = folder / f'.{FILE}'
  draft.write_text(json.dumps(list(rows), indent=2) + '\n', encoding='utf-8')
  os.replace(draft, folder / FILE)
