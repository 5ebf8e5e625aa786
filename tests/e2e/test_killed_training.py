"""kill -9 at random moments of a training, then the same command: the same model comes out."""

import csv
import json
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from models.training import curves
from tests.e2e.experiment import Experiment, write_csv, write_images

TIMED = ('seconds', 'images_per_second', 'waiting_share')
OVERRIDES = (
  'train.epochs=8',
  'train.checkpoint_seconds=0.5',
  'model.drop_connect=0.1',
  'evaluate.min_accuracy=0',
  'evaluate.slice_floors=[]',
)


def kill_in_training(experiment: Experiment, seconds: float) -> bool:
  """Starts the run and kills it so long after the Trainer began; False if it ended before."""
  process = subprocess.Popen(
    [sys.executable, '-m', 'pipeline', 'run', str(experiment.config), '--no-ask']
    + [word for override in OVERRIDES for word in ('--set', override)],
    cwd=experiment.folder,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  for line in process.stdout:
    if line.startswith('Trainer ...'):
      break
  time.sleep(seconds)
  process.send_signal(signal.SIGKILL)
  process.stdout.read()
  return process.wait(60) == -signal.SIGKILL


def model_and_curve(summary: dict) -> tuple[str, list[dict]]:
  rows = list(csv.DictReader(open(summary['paths']['curves'], encoding='utf-8')))
  kept = [{name: row[name] for name in curves.COLUMNS if name not in TIMED} for row in rows]
  return summary['model']['weights_sha256'], kept


def checkpoints(experiment: Experiment) -> list[pathlib.Path]:
  return list((experiment.root / 'state/checkpoints').glob('*/step-*.npz'))


def compare(experiment: Experiment, kills: int, seed: int) -> None:
  draw = random.Random(seed)
  whole = experiment.run(*OVERRIDES, f'run.root={experiment.folder / f"whole{seed}"}')
  # experiment.run reads summaries of the usual root alone.
  (path,) = (experiment.folder / f'whole{seed}').glob('*/summary.json')
  expected = model_and_curve(json.loads(path.read_text(encoding='utf-8')))
  assert whole.code == 0
  # From the first second of the Trainer to about its end on two cores.
  killed = [kill_in_training(experiment, draw.uniform(1, 20)) for _ in range(kills)]
  assert any(killed)
  last = experiment.run(*OVERRIDES)
  assert last.code == 0, last.output
  assert model_and_curve(last.summary) == expected
  record = pathlib.Path(last.summary['paths']['curves']).with_name('training.json')
  assert json.loads(record.read_text(encoding='utf-8'))['resumed_from']
  # The model is exported: nothing is left to go on from.
  assert checkpoints(experiment) == []


@pytest.mark.long
def test_ten_kills_at_random_moments_give_the_same_model(tmp_path_factory):
  made = Experiment(tmp_path_factory.mktemp('killed10'))
  write_csv(made.data, write_images(made.data, count=180))
  compare(made, kills=10, seed=10)
