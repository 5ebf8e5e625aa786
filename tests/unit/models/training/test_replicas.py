"""Two devices of one machine train as one does; what each of them gets of a batch."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from models.training.replicas import Replicas, Share, join
from schemas.config import TrainConfig
from schemas.errors import TrainingError

ROOT = pathlib.Path(__file__).parents[4]

_TRAIN = """
import json, sys
import keras, numpy as np, tensorflow as tf
if sys.argv[1] == 'mirrored':
  cpu = tf.config.list_physical_devices('CPU')[0]
  tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from models.training import optimizers, replicas, schedules, step
from schemas.config import StageConfig, TrainConfig
from models.training.losses import build

train = TrainConfig(strategy=sys.argv[1], batch_size=6, accumulate=2, ema=0.9)
stage = StageConfig(name='all', epochs=1, learning_rate=1e-2, batch_norm='train')
team = replicas.join(train)
keras.utils.set_random_seed(0)
with team.scope():
  inputs = keras.Input((4,))
  x = keras.layers.Dense(5, activation='relu')(inputs)
  outputs = keras.layers.Dense(3, name='logits')(x)
  model = keras.Model(inputs, outputs)
  optimizer = optimizers.build(train, stage, schedules.build(train, stage, 4), model)
taken = step.TrainStep(
  lambda x: model(x, training=True), model, build(train, None), optimizer,
  tf.TensorSpec([None, 4]), 3, team, train.batch_size,
)
rng = np.random.default_rng(0)
figures = []
# The last batch has fewer rows than there are replicas.
for rows in (6, 6, 6, 1):
  x = rng.normal(size=(rows, 4)).astype('float32')
  y = np.eye(3, dtype='float32')[np.arange(rows) % 3]
  good = taken(tf.constant(x), tf.constant(y))
  figures.append([good, *taken.figures()])
nothing = tf.constant(np.full((6, 4), np.nan, 'float32'))
bad = taken(nothing, tf.constant(np.eye(3, dtype='float32')[[0] * 6]))
print('ANSWER' + json.dumps({
  'replicas': team.count,
  'figures': figures,
  'bad': bad,
  'images': float(taken.sums[2]),
  'weights': [variable.numpy().tolist() for variable in model.variables],
}))
"""


def trained(strategy: str) -> dict:
  done = subprocess.run(
    [sys.executable, '-c', _TRAIN, strategy],
    cwd=ROOT,
    env={**os.environ, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr[-3000:]
  return json.loads(done.stdout.split('ANSWER')[1])


@pytest.mark.slow
def test_two_devices_take_the_same_steps_as_one():
  one, two = trained('none'), trained('mirrored')
  assert (one['replicas'], two['replicas']) == (1, 2)
  np.testing.assert_allclose(two['figures'], one['figures'], rtol=1e-5)
  for first, second in zip(one['weights'], two['weights'], strict=True):
    np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-6)
  # Not a number changes nothing, whichever of them meets it.
  assert not two['bad']
  assert np.isfinite(np.concatenate([np.ravel(part) for part in two['weights']])).all()


@pytest.mark.parametrize('workers', [1, 2, 3, 5])
@pytest.mark.parametrize('rows', [1, 4, 7, 20])
def test_the_shares_of_a_batch_are_all_of_it_and_of_nearly_one_size(workers, rows):
  parts = [Share(number, workers).of_batch(rows) for number in range(workers)]
  covered = [row for first, end in parts for row in range(first, end)]
  assert covered == list(range(rows))
  sizes = [end - first for first, end in parts]
  assert max(sizes) - min(sizes) <= 1


def test_each_worker_takes_every_nth_batch_of_val():
  assert [Share(worker, 3).of_steps(7) for worker in range(3)] == [3, 2, 2]
  assert [Share(worker, 3).of_steps(1) for worker in range(3)] == [1, 0, 0]


def test_one_alone_needs_no_one():
  alone = join(TrainConfig())
  assert (alone.count, alone.is_chief, alone.strategy) == (1, True, None)
  assert alone.sum([1.0, 2.0]) == [1.0, 2.0]
  assert alone.from_chief(lambda: {'a': 1}) == {'a': 1}


def test_a_batch_smaller_than_the_replicas_is_refused(monkeypatch):
  class Many(Replicas):
    count = 4

  monkeypatch.setattr('models.training.replicas._mirrored', Many)
  with pytest.raises(TrainingError, match=r'train.batch_size.*4 replicas.*Received: 3'):
    join(TrainConfig(strategy='mirrored', batch_size=3))
