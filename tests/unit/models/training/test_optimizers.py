"""The optimizers against their formulas in NumPy, alone and wrapped in loss scaling."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.training import optimizers, schedules, stages
from schemas.config import StageConfig, TrainConfig

BOTH = ['adamw', 'sgd']
PEAK = 0.1
DECAY = 0.04
NUMBERS = {'logits': 0, 'block2a_dense': 1, 'block1a_dense': 2, 'start': 3}
WRAPPED = pytest.mark.parametrize('wrapped', [False, True], ids=['bare', 'loss-scaled'])


def network(seed: int = 0) -> keras.Model:
  """Blocks head, block2a, block1a and stem; no BatchNorm."""
  dense = keras.layers.Dense
  body = keras.Sequential(
    [
      keras.Input((4,)),
      dense(5, name='start'),
      dense(5, activation='tanh', name='block1a_dense'),
      dense(5, activation='tanh', name='block2a_dense'),
    ],
    name='backbone',
  )
  inputs = keras.Input((4,))
  model = keras.Model(inputs, dense(3, name='logits')(body(inputs)))
  rng = np.random.default_rng(seed)
  model.set_weights([rng.normal(0, 1, w.shape) for w in model.get_weights()])
  return model


def made(model, name='adamw', layer_decay=1.0, steps_per_epoch=5, wrapped=False, **train):
  values = {
    'optimizer': name,
    'weight_decay': DECAY,
    'clip_norm': 1e6,
    'schedule': 'cosine',
    'warmup_fraction': 0.2,
    **train,
  }
  config = TrainConfig(**values)
  stage = StageConfig(name='all', epochs=4, learning_rate=PEAK, layer_decay=layer_decay)
  schedule = schedules.build(config, stage, steps_per_epoch)
  optimizer = optimizers.build(config, stage, schedule, model)
  if not wrapped:
    return optimizer
  outer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1024.0)
  outer.build(model.trainable_variables)
  return outer


def apply(optimizer, model, gradients) -> None:
  scale = getattr(optimizer, 'dynamic_scale', None)
  factor = 1.0 if scale is None else float(scale)
  optimizer.apply(
    [tf.constant(g * factor, tf.float32) for g in gradients], model.trainable_variables
  )


def some_gradients(model, count: int, seed: int = 1) -> list[list[np.ndarray]]:
  rng = np.random.default_rng(seed)
  return [
    [rng.normal(0, 1, v.shape).astype(np.float32) for v in model.trainable_variables]
    for _ in range(count)
  ]


def values(model) -> list[np.ndarray]:
  return [np.array(v, np.float64) for v in model.trainable_variables]


def number_of(variable) -> int:
  return NUMBERS[variable.path.split('/')[-2]]


def cosine_rate(step: int, steps: int = 20, warmup: int = 4) -> float:
  if step < warmup:
    return PEAK * (step + 1) / warmup
  return PEAK * 0.5 * (1 + np.cos(np.pi * (step - warmup) / (steps - warmup)))


class ByNumpy:
  """AdamW of Loshchilov & Hutter (2019), or SGD with Nesterov momentum, in float64."""

  def __init__(self, model, name, layer_decay=1.0, clip_norm=1e6, momentum=0.9):
    self.name, self.clip_norm, self.momentum = name, clip_norm, momentum
    self.weights = values(model)
    self.factors = [layer_decay ** number_of(v) for v in model.trainable_variables]
    self.decays = [DECAY if v.name == 'kernel' else 0.0 for v in model.trainable_variables]
    self.first = [np.zeros_like(w) for w in self.weights]
    self.second = [np.zeros_like(w) for w in self.weights]
    self.step = 0

  def apply(self, gradients) -> None:
    norm = np.sqrt(sum((np.asarray(g, np.float64) ** 2).sum() for g in gradients))
    clip = min(1.0, self.clip_norm / norm)
    for i, gradient in enumerate(gradients):
      rate = cosine_rate(self.step) * self.factors[i]
      self.weights[i] = self.weights[i] * (1 - rate * self.decays[i])
      move = self._sgd if self.name == 'sgd' else self._adam
      self.weights[i] = self.weights[i] - move(i, gradient.astype(np.float64) * clip, rate)
    self.step += 1

  def _sgd(self, i, g, rate):
    self.first[i] = self.momentum * self.first[i] + rate * g
    return self.momentum * self.first[i] + rate * g if self.momentum else self.first[i]

  def _adam(self, i, g, rate):
    t = self.step + 1
    self.first[i] = 0.9 * self.first[i] + 0.1 * g
    self.second[i] = 0.999 * self.second[i] + 0.001 * g**2
    # Keras' epsilon is the paper's epsilon hat: added before the correction.
    corrected = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return corrected * self.first[i] / (np.sqrt(self.second[i]) + 1e-7)


def assert_close(model, expected, **tolerance) -> None:
  tolerance = tolerance or {'rtol': 2e-4, 'atol': 2e-5}
  for variable, value in zip(model.trainable_variables, expected, strict=True):
    np.testing.assert_allclose(np.array(variable), value, err_msg=variable.path, **tolerance)


@WRAPPED
@pytest.mark.parametrize('layer_decay', [1.0, 0.5])
@pytest.mark.parametrize('clip_norm', [1e6, 0.7])
@pytest.mark.parametrize('name', BOTH)
def test_the_weights_move_as_the_formula_says(name, clip_norm, layer_decay, wrapped):
  model = network()
  reference = ByNumpy(model, name, layer_decay, clip_norm)
  optimizer = made(model, name, layer_decay, clip_norm=clip_norm, wrapped=wrapped)
  for gradients in some_gradients(model, 6):
    apply(optimizer, model, gradients)
    reference.apply(gradients)
  assert_close(model, reference.weights)


@pytest.mark.parametrize('momentum', [0.0, 0.5])
def test_sgd_takes_its_momentum_from_the_config(momentum):
  model = network()
  reference = ByNumpy(model, 'sgd', momentum=momentum)
  optimizer = made(model, 'sgd', momentum=momentum)
  for gradients in some_gradients(model, 4):
    apply(optimizer, model, gradients)
    reference.apply(gradients)
  assert_close(model, reference.weights)


@WRAPPED
@pytest.mark.parametrize('name', BOTH)
def test_weight_decay_skips_biases_and_normalisations(name, wrapped):
  layers = keras.layers
  model = keras.Sequential(
    [
      keras.Input((4,)),
      layers.Dense(3, name='alpha_beta'),  # a name that holds another's
      layers.BatchNormalization(),
      layers.LayerNormalization(),
      layers.Dense(2, name='gamma_bias'),
    ]
  )
  rng = np.random.default_rng(0)
  model.set_weights([rng.uniform(1, 2, w.shape) for w in model.get_weights()])
  before = values(model)
  optimizer = made(model, name, wrapped=wrapped)
  apply(optimizer, model, [np.zeros(v.shape, np.float32) for v in model.trainable_variables])
  rate = cosine_rate(0)
  for variable, old in zip(model.trainable_variables, before, strict=True):
    shrunk = 1 - rate * DECAY if variable.name == 'kernel' else 1.0
    np.testing.assert_allclose(np.array(variable), old * shrunk, rtol=1e-6, err_msg=variable.path)
  assert {v.name for v in model.trainable_variables} == {'kernel', 'bias', 'gamma', 'beta'}


@WRAPPED
@pytest.mark.parametrize('name', BOTH)
def test_without_a_gradient_the_decay_follows_the_block(name, wrapped):
  model = network()
  before = values(model)
  optimizer = made(model, name, layer_decay=0.5, wrapped=wrapped)
  apply(optimizer, model, [np.zeros(v.shape, np.float32) for v in model.trainable_variables])
  shrunk = {}
  for variable, old in zip(model.trainable_variables, before, strict=True):
    if variable.name == 'kernel':
      shrunk[number_of(variable)] = float(np.mean((old - np.array(variable)) / old))
  expected = {number: PEAK / 4 * DECAY * 0.5**number for number in range(4)}
  assert shrunk == pytest.approx(expected, rel=1e-2)  # of float32 weights near 1


@WRAPPED
def test_recorded_rates_follow_the_decay(wrapped):
  optimizer = made(network(), layer_decay=0.5, wrapped=wrapped)
  for step in (0, 3, 4, 12, 19):
    rate = cosine_rate(step)
    assert optimizers.rates(optimizer, step) == pytest.approx(
      {'head': rate, 'block2a': rate / 2, 'block1a': rate / 4, 'stem': rate / 8}, rel=1e-4
    )


def test_only_what_learns_has_a_rate():
  model = network()
  stages.apply(
    model, StageConfig(name='a', epochs=1, learning_rate=1.0, trainable='blocks', blocks=1)
  )
  optimizer = made(model, layer_decay=0.5)
  assert list(optimizers.rates(optimizer, 0)) == ['head', 'block2a']
  apply(optimizer, model, some_gradients(model, 1)[0])  # four variables, not eight


def trained(model, optimizer, batches) -> None:
  """Takes steps in a traced graph, as the training loop does."""
  loss = keras.losses.CategoricalCrossentropy(from_logits=True)
  scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)

  @tf.function(reduce_retracing=True)
  def step(inputs, labels):
    with tf.GradientTape() as tape:
      value = loss(labels, model(inputs, training=True))
      target = optimizer.scale_loss(value) if scaled else value
    gradients = tape.gradient(target, [v.value for v in model.trainable_variables])
    tf.cond(
      tf.math.is_finite(value),
      lambda: [optimizer.apply(gradients, model.trainable_variables), True][1],
      lambda: False,
    )

  for inputs, labels in batches:
    step(tf.constant(inputs), tf.constant(labels))


def data(updates: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
  rng = np.random.default_rng(7)
  count = 32 * updates
  inputs = rng.normal(0, 1, (count, 4)).astype(np.float32)
  labels = np.eye(3, dtype=np.float32)[rng.integers(0, 3, count)]
  return [(inputs[i : i + size], labels[i : i + size]) for i in range(0, count, size)]


@pytest.mark.parametrize(('wrapped', 'clip_norm'), [(False, 0.05), (True, 1e6)])
@pytest.mark.parametrize('name', BOTH)
def test_four_batches_of_8_make_the_step_of_one_of_32(name, clip_norm, wrapped):
  options = {'layer_decay': 0.5, 'clip_norm': clip_norm, 'ema': 0.5, 'wrapped': wrapped}
  whole, parts = network(), network()
  one = made(whole, name, **options)
  four = made(parts, name, accumulate=4, **options)
  trained(whole, one, data(updates=6, size=32))
  trained(parts, four, data(updates=6, size=8))
  assert int(one.iterations) == int(four.iterations) == 6
  assert_close(parts, values(whole), rtol=1e-4, atol=1e-5)
  # The averages of the weights agree, too.
  optimizers.swap_in_average(one, whole)
  optimizers.swap_in_average(four, parts)
  assert_close(parts, values(whole), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', BOTH)
def test_nothing_moves_before_the_last_batch_of_a_step(name):
  model = network()
  optimizer = made(model, name, accumulate=3)
  before = values(model)
  first, second, third = some_gradients(model, 3)
  apply(optimizer, model, first)
  apply(optimizer, model, second)
  assert_close(model, before, rtol=0)
  assert float(optimizer.learning_rate) == pytest.approx(cosine_rate(0))
  apply(optimizer, model, third)
  reference = ByNumpy(network(), name)
  reference.apply([(a + b + c) / 3 for a, b, c in zip(first, second, third, strict=True)])
  assert_close(model, reference.weights)
  assert float(optimizer.learning_rate) == pytest.approx(cosine_rate(1))


@pytest.mark.parametrize('name', BOTH)
def test_loss_scaling_skips_an_overflow_and_accumulation_waits_for_one_more(name):
  model = network()
  optimizer = made(model, name, accumulate=2, wrapped=True, ema=0.5)
  before = values(model)
  first, second, overflow = some_gradients(model, 3)
  overflow[2][...] = np.inf
  apply(optimizer, model, first)
  apply(optimizer, model, overflow)
  assert_close(model, before, rtol=0)
  assert float(optimizer.dynamic_scale) == 512.0
  apply(optimizer, model, second)
  reference = ByNumpy(network(), name)
  reference.apply([(a + b) / 2 for a, b in zip(first, second, strict=True)])
  assert_close(model, reference.weights)


@WRAPPED
@pytest.mark.parametrize('accumulate', [1, 3])
@pytest.mark.parametrize('name', BOTH)
def test_the_average_is_the_formulas_and_the_raw_weights_come_back(name, accumulate, wrapped):
  model = network()
  optimizer = made(model, name, ema=0.8, accumulate=accumulate, wrapped=wrapped)
  average = None
  for index, gradients in enumerate(some_gradients(model, 5 * accumulate)):
    apply(optimizer, model, gradients)
    if (index + 1) % accumulate:
      continue
    now = values(model)
    average = (
      now if average is None else [0.8 * a + 0.2 * w for a, w in zip(average, now, strict=True)]
    )
  raw = [np.array(v) for v in model.trainable_variables]
  optimizers.swap_in_average(optimizer, model)
  assert_close(model, average, rtol=1e-5, atol=1e-6)
  assert not np.allclose(np.array(model.trainable_variables[0]), raw[0])
  optimizers.swap_back(optimizer, model)
  for variable, value in zip(model.trainable_variables, raw, strict=True):
    np.testing.assert_array_equal(np.array(variable), value)


def test_there_is_nothing_to_swap_without_an_average_or_before_the_first_update():
  for ema, batches in [(0.0, 2), (0.9, 0), (0.9, 1)]:
    model = network()
    optimizer = made(model, ema=ema, accumulate=2)
    for gradients in some_gradients(model, batches):
      apply(optimizer, model, gradients)
    before = values(model)
    optimizers.swap_in_average(optimizer, model)
    assert_close(model, before, rtol=0)
    optimizers.swap_back(optimizer, model)
    assert_close(model, before, rtol=0)


def test_swapping_in_twice_would_lose_the_raw_weights_and_is_refused():
  model = network()
  optimizer = made(model, ema=0.9)
  apply(optimizer, model, some_gradients(model, 1)[0])
  optimizers.swap_in_average(optimizer, model)
  with pytest.raises(RuntimeError, match='swap_back first'):
    optimizers.swap_in_average(optimizer, model)


@WRAPPED
@pytest.mark.parametrize('name', BOTH)
def test_variables_put_back_in_the_middle_of_a_step_go_on_identically(name, wrapped):
  options = {'accumulate': 3, 'ema': 0.9, 'layer_decay': 0.7, 'wrapped': wrapped}
  whole = network()
  optimizer = made(whole, name, **options)
  gradients = some_gradients(whole, 11)
  kept: list = []
  for index, one in enumerate(gradients):
    if index == 5:  # two batches into the second step
      kept = [np.array(v) for v in optimizer.variables], whole.get_weights()
    apply(optimizer, whole, one)

  resumed = network(seed=9)
  again = made(resumed, name, **options)
  for variable, value in zip(again.variables, kept[0], strict=True):
    variable.assign(value)
  resumed.set_weights(kept[1])
  for one in gradients[5:]:
    apply(again, resumed, one)
  for a, b in zip(optimizer.variables, again.variables, strict=True):
    np.testing.assert_array_equal(np.array(a), np.array(b))
  assert_close(resumed, values(whole), rtol=0)


def test_the_plateau_reaches_a_step_that_was_traced_before_it():
  model = network()
  optimizer = made(
    model, 'sgd', schedule='plateau', warmup_fraction=0.0, decay_epochs=1, momentum=0.0,
    weight_decay=0.0, early_stopping_patience=5,
  )  # fmt: skip
  ones = [tf.ones(v.shape) for v in model.trainable_variables]
  step = tf.function(lambda: optimizer.apply(ones, model.trainable_variables))
  kernel = model.trainable_variables[0]
  moved = []
  for loss in [1.0, 2.0, 2.0]:
    before = np.array(kernel)
    step()
    moved.append(float((before - np.array(kernel)).mean()))
    optimizer._learning_rate.observe(loss)
  assert moved == pytest.approx([PEAK, PEAK, PEAK / 10], rel=1e-4)
  assert step.experimental_get_tracing_count() == 1


def test_float16_weights_stay_float32_and_learn_wrapped():
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy('mixed_float16')
  try:
    model = network()
    optimizer = made(model, accumulate=2, layer_decay=0.5, wrapped=True)
    before = values(model)
    trained(model, optimizer, data(updates=2, size=16))
  finally:
    keras.config.set_dtype_policy(previous)
  assert {v.dtype for v in model.trainable_variables} == {'float32'}
  assert int(optimizer.iterations) == 2
  for old, new in zip(before, values(model), strict=True):
    assert np.isfinite(new).all()
    assert not np.array_equal(old, new)
