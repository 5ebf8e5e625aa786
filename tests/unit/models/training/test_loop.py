"""The loop: killed anywhere it goes on to the same weights, and it stops before harm is done."""

import csv
import types

import keras
import numpy as np
import pytest

from models.training import curves, step
from models.training.checkpoints import Checkpoints
from models.training.data import TrainingData
from models.training.loop import Loop, _Stage
from schemas.config import Config, StageConfig
from schemas.errors import TrainingError
from tests.unit.models.conftest import write_records
from tests.unit.models.training.conftest import small_network

PLAN = [
  StageConfig(name='head', epochs=1, learning_rate=1e-3, trainable='head'),
  StageConfig(name='all', epochs=2, learning_rate=1e-3, batch_norm='train', layer_decay=0.9),
]
# What depends on the clock.
TIMED = ('seconds', 'images_per_second', 'waiting_share')


def config(**train) -> Config:
  return Config.model_validate(
    {
      'name': 'colours',
      'image': {'height': 32, 'width': 32},
      'model': {'backbone': 'efficientnet_tiny', 'dropout': 0.2, 'drop_connect': 0.1},
      'train': {'batch_size': 16, 'seed': 3, 'checkpoint_seconds': 0, **train},
    }
  )


class Killed(BaseException):
  """As a kill: nobody catches it, nothing is written after it."""


def train(settings, data, folder, plan=PLAN):
  keras.utils.set_random_seed(settings.train.seed)
  model = small_network()
  kept = Checkpoints(folder / 'kept')
  loop = Loop(model, settings, data, kept, folder)
  position = loop.run(plan, {'precision': 'as before'}, kept.latest())
  return model, position


def rows_of(folder):
  rows = list(csv.DictReader(open(folder / 'curves.csv', encoding='utf-8')))
  return [{name: row[name] for name in curves.COLUMNS if name not in TIMED} for row in rows]


def kill_after(monkeypatch, batches):
  """Lets so many batches through from here on."""
  original = step.TrainStep.__call__
  left = [batches]

  def call(self, inputs, labels):
    left[0] -= 1
    if left[0] < 0:
      raise Killed
    return original(self, inputs, labels)

  monkeypatch.setattr(step.TrainStep, '__call__', call)


@pytest.mark.parametrize(
  'settings',
  [
    {},
    # Everything that has a state of its own.
    pytest.param(
      {'ema': 0.9, 'accumulate': 2, 'schedule': 'plateau', 'decay_epochs': 1, 'optimizer': 'sgd'},
      marks=pytest.mark.long,
    ),
  ],
  ids=['default', 'much state'],
)
def test_killed_anywhere_it_ends_with_the_same_weights_and_curve(
  settings, training_data, tmp_path, monkeypatch
):
  one, position = train(config(**settings), training_data, tmp_path / 'whole')
  # 3 batches an epoch, 9 in all: in the head's epoch, between two stages, in the middle of
  # the last epoch.
  for batches in (2, 1, 4):
    with monkeypatch.context() as patched:
      kill_after(patched, batches)
      with pytest.raises(Killed):
        train(config(**settings), training_data, tmp_path / 'killed')
  two, resumed = train(config(**settings), training_data, tmp_path / 'killed')
  for first, second in zip(one.variables, two.variables, strict=True):
    np.testing.assert_array_equal(np.array(first), np.array(second))
  assert rows_of(tmp_path / 'whole') == rows_of(tmp_path / 'killed')
  assert resumed.best_epoch == position.best_epoch
  assert [record['epochs_run'] for record in resumed.records] == [1, 2]


def test_killed_between_the_last_epoch_and_the_end_of_its_stage_it_goes_on(
  training_data, tmp_path, monkeypatch
):
  one, _ = train(config(), training_data, tmp_path / 'whole')

  def killed(self):
    raise Killed

  with monkeypatch.context() as patched:
    patched.setattr(Loop, 'restore_best', killed)
    with pytest.raises(Killed):
      train(config(), training_data, tmp_path / 'killed')
  kept = Checkpoints(tmp_path / 'killed/kept').latest()
  assert (kept.meta['position']['stage'], kept.meta['position']['epoch']) == (0, 1)
  two, position = train(config(), training_data, tmp_path / 'killed')
  for first, second in zip(one.get_weights(), two.get_weights(), strict=True):
    np.testing.assert_array_equal(first, second)
  assert [record['epochs_run'] for record in position.records] == [1, 2]


def test_classes_that_sampling_has_evened_out_are_not_weighed_again(
  images, training_data, tmp_path
):
  # 10 blue, 3 green and 3 red ones.
  few = [image for image in images['train'] if image[1] == 'blue'][:10]
  few += [image for image in images['train'][:9] if image[1] != 'blue'][:6]
  write_records(tmp_path / 'few.tfrecord', few)
  data = TrainingData(
    [str(tmp_path / 'few.tfrecord')], training_data.val.files, training_data.transform
  )

  def weights(**settings):
    kept = Checkpoints(tmp_path / 'kept')
    return Loop(small_network(), config(**settings), data, kept, tmp_path).loss.class_weights

  counts = [sum(label == name for _, label in few) for name in data.labels]
  assert sorted(counts) == [3, 3, 10]
  expected = [16 / (3 * count) for count in counts]
  np.testing.assert_allclose(weights(class_weights=True), expected)
  np.testing.assert_allclose(weights(class_weights=True, sampling='oversample'), [1, 1, 1])


def test_a_damaged_last_checkpoint_costs_a_step_and_changes_nothing(
  training_data, tmp_path, monkeypatch
):
  one, _ = train(config(), training_data, tmp_path / 'whole')
  with monkeypatch.context() as patched:
    kill_after(patched, 5)
    with pytest.raises(Killed):
      train(config(), training_data, tmp_path / 'killed')
  last = max((tmp_path / 'killed/kept').glob('step-*.npz'))
  last.write_bytes(last.read_bytes()[:1000])
  two, _ = train(config(), training_data, tmp_path / 'killed')
  for first, second in zip(one.get_weights(), two.get_weights(), strict=True):
    np.testing.assert_array_equal(first, second)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_weights_before_it(
  training_data, tmp_path, monkeypatch
):
  good = {}
  original = step.TrainStep.__call__

  def call(self, inputs, labels):
    calls = good['calls'] = good.get('calls', 0) + 1
    if calls == 5:
      good['weights'] = [np.array(one) for one in self._others + self._variables]
      inputs = inputs * np.float32('nan')
    return original(self, inputs, labels)

  monkeypatch.setattr(step.TrainStep, '__call__', call)
  with pytest.raises(TrainingError) as error:
    train(config(), training_data, tmp_path)
  text = str(error.value)
  assert 'stage all, epoch 1, batch 2 of 3' in text
  assert 'not finite' in text and 'train.learning_rate (now 0.001)' in text
  kept = Checkpoints(tmp_path / 'kept').latest()
  assert kept.meta['position']['batches_done'] == 4
  stored = {value.tobytes() for name, value in kept.arrays.items() if name.startswith('model')}
  assert {value.tobytes() for value in good['weights']} <= stored


def test_the_best_weights_come_back_and_a_stage_ends_without_gain(
  training_data, tmp_path, monkeypatch
):
  losses = iter([3.0, 1.0, 2.0, 2.5, 0.1])
  seen = []

  def evaluate(self, batches):
    seen.append(self)
    return next(losses), 0.5

  monkeypatch.setattr(step.EvaluationStep, '__call__', evaluate)
  weights = []
  original = Loop.end_epoch

  def end_epoch(self, row, val_loss):
    weights.append(self._model.get_weights())
    return original(self, row, val_loss)

  monkeypatch.setattr(Loop, 'end_epoch', end_epoch)
  plan = [StageConfig(name='all', epochs=5, learning_rate=1e-3, batch_norm='train')]
  model, position = train(config(early_stopping_patience=2), training_data, tmp_path, plan)
  assert len(seen) == 4  # two epochs without a better one
  assert (position.best_epoch, position.best_loss) == (1, 1.0)
  for one, two in zip(model.get_weights(), weights[1], strict=True):
    np.testing.assert_array_equal(one, two)
  assert any(not np.array_equal(one, two) for one, two in zip(weights[1], weights[3], strict=True))


def test_the_record_of_a_stage_says_what_it_cost_and_at_which_rates(training_data, tmp_path):
  plan = [PLAN[1].model_copy(update={'epochs': 1})]
  _, position = train(config(), training_data, tmp_path, plan)
  (record,) = position.records
  assert record['seconds'] > 0 and record['cpu_seconds'] > 0 and record['energy_wh'] > 0
  head, first, *_ = record['rates'].values()
  assert first == pytest.approx(0.9 * head, rel=1e-5)
  (row,) = position.rows
  assert 0 <= row['waiting_share'] <= 1


@pytest.mark.parametrize(
  ('first', 'steps', 'said'), [(1.0, 10, True), (1.3, 10, False), (1.0, 9, False)]
)
def test_a_loss_that_does_not_fall_in_the_first_epoch_is_said(first, steps, said):
  notes = []
  stage = types.SimpleNamespace(
    _loop=types.SimpleNamespace(position=types.SimpleNamespace(first_loss=first)),
    _steps=steps,
    _progress=types.SimpleNamespace(note=notes.append),
  )
  _Stage._look_at_first_epoch(stage, 1.2)
  assert bool(notes) is said
  assert not said or '1 at the first batch, 1.2 on average' in notes[0]
