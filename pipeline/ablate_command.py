"""`sightline model ablate`: what each component of a training is worth, over seeds."""

import csv
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline import (
  ablation,
  datasets,
  display,
  library_output,
  own_code,
  provenance,
  runner,
  summary,
  weights,
)
from schemas.config import Config
from schemas.errors import ConfigError, RunError
from schemas.loader import load_config

FILE = 'ablation.json'
TABLE_FILE = 'ablation.csv'
# The last component whose artifacts are wanted.
_LAST = 'Transform'


def run(
  config_path: pathlib.Path, off: Sequence[str], seeds: int, overrides: Sequence[str] = ()
) -> int:
  """Trains with and without each component, and prints a table.

  The data come from the cache of an earlier run, where there is one. Accuracy is that on
  val: what is chosen by it has not seen test.

  Returns:
    0.

  Raises:
    ConfigError: the config or a component cannot be used.
    SightlineError: the data stopped the run, or a training cannot go on.
  """
  if seeds < 1:
    raise ConfigError(f'--seeds: expected at least 1. Received: {seeds}.')
  config = load_config(config_path, overrides)
  made = ablation.variants(config, off)
  own_code.make_importable(config, config_path)
  assert config.data.root is not None  # the loader fills it in
  if config.data.bundled:
    datasets.write(config.data.bundled, config.data.root)
  console = library_output.console()
  with runner.open_run(config) as this_run:
    this_run.goal = f'ablation of {", ".join(off)}'
    this_run.provenance = provenance.collect(config, sys.argv)
    provenance.write(this_run.provenance, this_run.folder)
    console.print(f'{config.name}: data of run {this_run.run_id}; library logs: {this_run.log}')
    with display.Display(console) as shown, library_output.to_log(this_run.log):
      runner.execute(lambda: runner.compile_pipeline(config, _LAST), this_run, shown)
    train = _Trainings(config, this_run, console, len(made) * seeds)
    found: dict[str, list[float]] = {}
    for seed in range(config.train.seed, config.train.seed + seeds):
      for name, accuracies in ablation.measure(made, [seed], train).items():
        found.setdefault(name, []).extend(accuracies)
      rows = ablation.rows(found)
      # After each seed: what was trained until an early end has its table.
      _write(rows, this_run.folder)
  console.print()
  console.print(render(rows, seeds))
  console.print(f'table      {this_run.folder / TABLE_FILE}')
  return 0


class _Trainings:
  """Trains a config on the run's artifacts and returns its best accuracy on val."""

  def __init__(self, config: Config, this_run: runner.Run, console: Console, count: int):
    self._run = this_run
    self._console = console
    self._count = count
    self._done = 0
    uris = summary.uris(config, this_run)
    try:
      self._examples = pathlib.Path(uris['ImageExampleGen', 'examples'])
      self._transform = pathlib.Path(uris[_LAST, 'transform_graph'])
    except KeyError as error:
      raise RunError(
        f'{this_run.folder}: expected the artifact {error.args[0]} of this run. Received: none; '
        f'the reason is in {this_run.log}.'
      ) from error
    self._data: Any = None

  def __call__(self, config: Config, name: str) -> float:
    with library_output.to_log(self._run.log):
      accuracy = self._train(config, name)
    self._done += 1
    self._console.print(f'{self._done}/{self._count} {name}: val accuracy {accuracy:.4f}')
    return accuracy

  def _train(self, config: Config, name: str) -> float:
    from models.training import checkpoints
    from models.training import run as training

    if self._data is None:
      self._data = self._read()
    folder = self._run.folder / 'ablation' / name.replace(', ', '-').replace(' ', '-')
    kept = checkpoints.Checkpoints(folder / training.CHECKPOINTS)
    trained = training.train(config, self._data, weights.resolve(config), folder, kept)
    # Nobody goes on from here: two checkpoints with their optimizer, for each variant and seed.
    kept.remove()
    return trained.record['best_val_accuracy']

  def _read(self):
    import tensorflow_transform as tft

    from models import records
    from models.training.data import TrainingData
    from schemas import features

    def files(split: str) -> list[str]:
      return records.record_files([str(self._examples / f'Split-{split}' / '*')])

    return TrainingData(
      files(features.TRAIN), files(features.VAL), tft.TFTransformOutput(str(self._transform))
    )


def render(rows: Sequence[ablation.Row], seeds: int) -> Table:
  """Returns the figures as a table of less than 80 columns."""
  table = Table(
    title=f'accuracy on val, {seeds} seed{"s" if seeds != 1 else ""}, 95 % intervals (Student)',
    title_justify='left',
    box=None,
    padding=(0, 1),
    pad_edge=False,
  )
  for heading in ('without', 'accuracy', 'interval', 'difference', 'interval'):
    table.add_column(heading, no_wrap=True)
  for row in rows:
    table.add_row(
      'nothing' if row.name == ablation.FULL else row.name,
      f'{row.mean:.4f}',
      _between(row.interval),
      '' if row.difference is None else f'{row.difference:+.4f}',
      '' if row.difference_interval is None else _between(row.difference_interval, sign='+'),
    )
  return table


def _between(interval: tuple[float, float], sign: str = '') -> str:
  if interval[0] != interval[0]:
    return 'one seed: none'
  return f'{interval[0]:{sign}.4f} to {interval[1]:{sign}.4f}'


def _write(rows: Sequence[ablation.Row], folder: pathlib.Path) -> None:
  draft = folder / f'.{FILE}'
  draft.write_text(
    json.dumps([dataclasses.asdict(row) for row in rows], indent=2) + '\n', encoding='utf-8'
  )
  os.replace(draft, folder / FILE)
  draft = folder / f'.{TABLE_FILE}'
  with open(draft, 'w', newline='', encoding='utf-8') as stream:
    writer = csv.writer(stream)
    writer.writerow(['without', 'accuracy', 'low', 'high', 'difference', 'low', 'high'])
    for row in rows:
      change = row.difference_interval or ('', '')
      shown = '' if row.difference is None else row.difference
      writer.writerow([row.name, row.mean, *row.interval, shown, *change])
  os.replace(draft, folder / TABLE_FILE)
