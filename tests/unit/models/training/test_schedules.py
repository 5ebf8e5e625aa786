"""Each schedule against its formula, written out in NumPy, and what a checkpoint keeps."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.training import schedules
from schemas.config import StageConfig, TrainConfig
from schemas.errors import TrainingError

PEAK = 0.02
STEPS_PER_EPOCH = 7
EPOCHS = 12
STEPS = STEPS_PER_EPOCH * EPOCHS  # 84
WARMUP = 21  # of a quarter
ALL = ['cosine', 'one_cycle', 'step', 'plateau', 'constant']


def made(schedule: str, **train) -> schedules.Schedule:
  values = {'warmup_fraction': 0.25, 'decay_epochs': 3, 'decay_factor': 0.5, **train}
  return schedules.build(
    TrainConfig(schedule=schedule, **values),
    StageConfig(name='all', epochs=EPOCHS, learning_rate=PEAK),
    STEPS_PER_EPOCH,
  )


def half_cosine(step: int) -> float:
  return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def expected(schedule: str, step: int) -> float:
  """Returns the rate that the formula gives; of a plateau, before the first one."""
  if schedule == 'one_cycle':
    if step < WARMUP:
      return PEAK / 25 + (PEAK - PEAK / 25) * step / WARMUP
    return PEAK / 1e4 + (PEAK - PEAK / 1e4) * half_cosine(step)
  if step < WARMUP:
    return PEAK * (step + 1) / WARMUP
  if schedule == 'cosine':
    return PEAK * half_cosine(step)
  if schedule == 'step':
    return PEAK * 0.5 ** (step // (3 * STEPS_PER_EPOCH))
  return PEAK


@pytest.mark.parametrize('name', ALL)
def test_the_rate_is_the_formulas_at_every_step(name):
  schedule = made(name)
  rates = [float(schedule(step)) for step in range(STEPS + 1)]
  wanted = [expected(name, step) for step in range(STEPS + 1)]
  np.testing.assert_allclose(rates, wanted, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize('name', ALL)
def test_an_optimizer_reads_the_same_rate_inside_a_graph(name):
  schedule = made(name)
  traced = tf.function(lambda step: schedule(step))
  for step in (0, WARMUP - 1, WARMUP, 40, STEPS - 1):
    assert float(traced(tf.constant(step, tf.int64))) == pytest.approx(
      expected(name, step), rel=1e-5, abs=1e-7 * PEAK
    )


def test_the_ends_of_each_schedule():
  assert float(made('cosine')(STEPS)) == pytest.approx(0, abs=1e-9)
  assert float(made('cosine')(STEPS + 50)) == pytest.approx(0, abs=1e-9)  # and does not rise again
  assert float(made('one_cycle')(0)) == pytest.approx(PEAK / 25)
  assert float(made('one_cycle')(WARMUP)) == pytest.approx(PEAK)
  assert float(made('one_cycle')(STEPS)) == pytest.approx(PEAK / 10_000)
  # 12 epochs, halved after each 3: the last three run at an eighth.
  assert float(made('step')(STEPS - 1)) == pytest.approx(PEAK / 8)


@pytest.mark.parametrize('name', ALL)
def test_without_a_warm_up_the_first_step_is_at_the_peak(name):
  assert float(made(name, warmup_fraction=0.0)(0)) == pytest.approx(PEAK)


def test_a_step_falls_at_the_epoch_and_not_one_step_beside_it():
  schedule = made('step', warmup_fraction=0.0)
  edge = 3 * STEPS_PER_EPOCH
  rates = [float(schedule(step)) for step in (edge - 1, edge, 2 * edge - 1, 2 * edge)]
  np.testing.assert_allclose(rates, [PEAK, PEAK / 2, PEAK / 2, PEAK / 4], rtol=1e-6)


def test_a_plateau_falls_after_epochs_without_a_better_loss():
  schedule = made('plateau', warmup_fraction=0.0)
  rates = []
  #         best      -    -    -  fall   best  equal is no gain: fall   -
  for loss in [1.0, 1.5, 1.2, 1.0, 0.9, 0.9, 0.9, math.nan, 0.95]:
    schedule.observe(loss)
    rates.append(float(schedule(50)) / PEAK)
  np.testing.assert_allclose(rates, [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25], rtol=1e-6)


def test_a_graph_that_was_traced_before_sees_the_plateau():
  schedule = made('plateau')
  optimizer = keras.optimizers.SGD(schedule)
  traced = tf.function(lambda: tf.convert_to_tensor(optimizer.learning_rate))
  before = float(traced())
  for loss in [1.0, 2.0, 2.0, 2.0]:
    schedule.observe(loss)
  assert float(traced()) == pytest.approx(before / 2)
  assert traced.experimental_get_tracing_count() == 1


@pytest.mark.parametrize('name', ALL)
@pytest.mark.parametrize('stop', [0, 1, 3, 5, 8])
def test_one_restored_half_way_goes_on_identically(name, stop):
  losses = list(np.random.default_rng(3).uniform(0.5, 1.5, 12))
  whole = made(name)
  rates = []
  for epoch, loss in enumerate(losses):
    whole.observe(loss)
    rates.append(float(whole((epoch + 1) * STEPS_PER_EPOCH)))

  first = made(name)
  for loss in losses[:stop]:
    first.observe(loss)
  second = made(name)
  second.restore(json.loads(json.dumps(first.state())))
  for epoch, loss in enumerate(losses[stop:], start=stop):
    second.observe(loss)
    assert float(second((epoch + 1) * STEPS_PER_EPOCH)) == rates[epoch]
  assert second.state() == whole.state()


def test_the_losses_of_that_test_do_reach_a_plateau():
  schedule = made('plateau')
  for loss in np.random.default_rng(3).uniform(0.5, 1.5, 12):
    schedule.observe(loss)
  assert schedule.state()['falls'] >= 2


def test_the_state_of_another_schedule_is_refused():
  with pytest.raises(TrainingError, match='expected best, falls, waited. Received: nothing'):
    made('plateau').restore({})
  with pytest.raises(TrainingError, match='WarmupCosine: expected nothing. Received: best'):
    made('cosine').restore(made('plateau').state())


@pytest.mark.parametrize('name', ALL)
def test_a_schedule_survives_its_config(name):
  schedule = made(name)
  again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
  assert type(again) is type(schedule)
  assert [float(again(step)) for step in (0, 30, 70)] == [
    float(schedule(step)) for step in (0, 30, 70)
  ]


def test_a_stage_without_an_update_is_an_error():
  stage = StageConfig(name='all', epochs=3, learning_rate=1e-3)
  with pytest.raises(TrainingError, match='at least one step of the optimizer. Received: 0.25'):
    schedules.build(TrainConfig(), stage, 1 / 4)
  schedules.build(TrainConfig(), stage, 1 / 3)


@pytest.mark.parametrize(('batches', 'accumulate', 'epochs'), [(5, 4, 8), (7, 3, 9), (10, 3, 7)])
def test_epochs_with_a_fraction_of_an_update_end_on_the_last_update(batches, accumulate, epochs):
  updates = batches * epochs // accumulate
  stage = StageConfig(name='all', epochs=epochs, learning_rate=PEAK)
  train = TrainConfig(warmup_fraction=0.0)
  schedule = schedules.build(train, stage, batches / accumulate)
  assert schedule.steps == updates
  assert float(schedule(updates - 1)) > 0
  assert float(schedule(updates)) == pytest.approx(0, abs=1e-9)


def test_a_step_falls_at_the_first_update_after_a_fractional_epoch():
  stage = StageConfig(name='all', epochs=8, learning_rate=PEAK)
  train = TrainConfig(schedule='step', warmup_fraction=0.0, decay_epochs=2, decay_factor=0.5)
  # 5 batches an epoch, 4 an update: two epochs end after update 2.5.
  rates = [float(schedules.build(train, stage, 5 / 4)(step)) for step in range(6)]
  np.testing.assert_allclose(rates, [PEAK] * 3 + [PEAK / 2] * 2 + [PEAK / 4], rtol=1e-6)
