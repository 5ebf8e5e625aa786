"""Two processes on loopback train as one does; where one is killed, the other says what to do."""

import csv
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from models.training import call

ROOT = pathlib.Path(__file__).parents[4]
# Adding up in another order changes the last bits, and Adam divides by small numbers.
TOLERANCE = 2e-4
UNCHANGED = {'shift': 0.0, 'rotation': 0.0, 'zoom': 0.0}


def settings(strategy: str, **train) -> dict:
  return {
    'name': 'colours',
    'image': {'height': 32, 'width': 32},
    'augment': UNCHANGED,
    'model': {'build_fn': 'tests.unit.models.training.plain_network.build', 'dropout': 0.0},
    'train': {
      'strategy': strategy,
      # 48 images: the last batch has 8, and 3 batches of val are for two workers.
      'batch_size': 20,
      'epochs': 3,
      'learning_rate': 1e-3,
      'checks': False,
      'checkpoint_seconds': 0,
      'precision': 'float32',
      **train,
    },
  }


class Training:
  """A training on one process or several, begun as often as need be."""

  def __init__(self, data, transform, folder: pathlib.Path, config: dict):
    self.folder = folder
    self._wanted = call.TrainingCall(
      [str(data.train.files[0])],
      [str(data.val.files[0])],
      str(pathlib.Path(transform.transform_savedmodel_dir).parent),
      str(folder / 'export'),
      str(folder / 'run'),
      None,
      {'config': json.dumps(config), 'weights': 'none', 'state_dir': str(folder / 'state')},
    )

  def start(self, workers: int) -> list[subprocess.Popen]:
    path = self.folder / 'state' / call.FILE
    self._wanted.write(path)
    ports = [_free_port() for _ in range(workers)]
    cluster = {'worker': [f'localhost:{port}' for port in ports]}
    started = []
    for index in range(workers):
      task = {'cluster': cluster, 'task': {'type': 'worker', 'index': index}}
      environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'TF_CPP_MIN_LOG_LEVEL': '2'}
      if workers > 1:
        environment['TF_CONFIG'] = json.dumps(task)
      answer = self.folder / f'answer{index}.json'
      answer.unlink(missing_ok=True)
      with open(self.folder / f'log{index}.txt', 'wb') as log:
        command = [sys.executable, '-m', 'models.training.process', str(path), str(answer)]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
    return started

  def finish(self, workers: int) -> dict:
    started = self.start(workers)
    try:
      for index, worker in enumerate(started):
        assert worker.wait(timeout=300) == 0, self.log(index)
    finally:
      for worker in started:
        worker.kill()
    return json.loads((self.folder / 'run/training.json').read_text(encoding='utf-8'))

  def log(self, index: int) -> str:
    return (self.folder / f'log{index}.txt').read_text(encoding='utf-8')[-4000:]

  def answer(self, index: int) -> str:
    path = self.folder / f'answer{index}.json'
    return json.loads(path.read_text(encoding='utf-8')) if path.exists() else ''

  def steps(self) -> int:
    names = sorted(path.stem for path in self.folder.glob('state/checkpoints/*/step-*.npz'))
    return int(names[-1].removeprefix('step-')) if names else 0

  def curve(self, *columns: str) -> np.ndarray:
    with open(self.folder / 'run/curves.csv', encoding='utf-8', newline='') as stream:
      return np.array([[float(row[name]) for name in columns] for row in csv.DictReader(stream)])


def _free_port() -> int:
  with socket.socket() as listening:
    listening.bind(('127.0.0.1', 0))
    return listening.getsockname()[1]


@pytest.fixture
def make(training_data, transform_output, tmp_path):
  def made(name: str, config: dict) -> Training:
    folder = tmp_path / name
    folder.mkdir()
    return Training(training_data, transform_output, folder, config)

  return made


FIGURES = ('loss', 'accuracy', 'val_loss', 'val_accuracy', 'gradient_norm', 'learning_rate')


@pytest.mark.slow
@pytest.mark.long
def test_two_workers_train_as_one_does_and_killed_go_on_at_the_last_checkpoint(make):
  one = make('one', settings('none'))
  assert 'strategy' not in one.finish(1)

  two = make('two', settings('multi_worker'))
  record = two.finish(2)
  assert record['strategy'] == {'name': 'multi_worker', 'replicas': 2, 'workers': 2}
  np.testing.assert_allclose(two.curve(*FIGURES), one.curve(*FIGURES), atol=TOLERANCE)
  # The chief alone wrote, and threw its checkpoints away at the end.
  assert (two.folder / 'export/saved_model.pb').exists()
  assert not list((two.folder / 'state').rglob('step-*'))

  killed = make('killed', settings('multi_worker', epochs=40))
  chief, other = killed.start(2)
  while killed.steps() < 5 and chief.poll() is None:
    time.sleep(0.01)
  other.kill()
  other.wait()
  assert chief.wait(timeout=120) != 0
  said = killed.answer(0)
  assert 'another worker of this training is gone' in said, killed.log(0)
  assert 'Start all of them again' in said
  before = killed.steps()
  assert before >= 5
  record = killed.finish(2)
  assert record['resumed_from'] in (f'step-{before:09d}.npz', f'step-{before - 1:09d}.npz')
  assert len(killed.curve('loss')) == record['stages'][0]['epochs_run']
