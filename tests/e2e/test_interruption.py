"""A run that is interrupted or killed leaves nothing that the next one trusts."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.e2e.experiment import Experiment, write_csv, write_images

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope='module')
def experiment(tmp_path_factory) -> Experiment:
  made = Experiment(tmp_path_factory.mktemp('interrupted'))
  write_csv(made.data, write_images(made.data, count=60))
  return made


def stop_in(experiment: Experiment, component: str, with_signal: int) -> int:
  """Starts a run, sends a signal once the component is at work, and returns the exit code."""
  process = subprocess.Popen(
    [
      sys.executable,
      '-m',
      'pipeline',
      'run',
      str(experiment.config),
      '--no-ask',
      '--set',
      'train.epochs=2',
      '--set',
      'evaluate.min_accuracy=0',
      '--set',
      'evaluate.slice_floors=[]',
    ],
    cwd=experiment.folder,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  for line in process.stdout:
    if line.startswith(f'{component} ...'):
      break
  # Into the middle of it.
  time.sleep(1.5)
  process.send_signal(with_signal)
  process.stdout.read()
  return process.wait(60)


def test_an_interrupted_and_a_killed_run_are_not_trusted(experiment):
  assert stop_in(experiment, 'Transform', signal.SIGINT) == 130
  (summary,) = experiment.root.glob('*/summary.json')
  assert json.loads(summary.read_text())['outcome'] == 'interrupted'

  assert stop_in(experiment, 'Trainer', signal.SIGKILL) == -signal.SIGKILL
  assert not experiment.serving.exists()

  done = experiment.run('train.epochs=2', 'evaluate.min_accuracy=0', 'evaluate.slice_floors=[]')
  assert done.code == 0, done.output
  outcomes = done.outcomes()
  # What was complete comes from the cache; what was not is done again.
  assert outcomes['ImageExampleGen'] == 'cached'
  assert outcomes['Trainer'] == 'done'
  assert len(experiment.versions()) == 1
