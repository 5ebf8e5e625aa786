"""One step: its figures, its precision, and what a value that is not finite may not touch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.training import losses, step
from schemas.config import TrainConfig

CLASSES = 3
INPUTS = tf.TensorSpec([None, 4], tf.float32)


def network(dtype='float32') -> keras.Model:
  keras.utils.set_random_seed(1)
  inputs = keras.Input((4,))
  x = keras.layers.Dense(8, dtype=dtype, activation='tanh')(inputs)
  x = keras.layers.BatchNormalization(dtype=dtype)(x)
  x = keras.layers.Dropout(0.2, dtype=dtype)(x)
  return keras.Model(inputs, keras.layers.Dense(CLASSES, dtype='float32')(x))


def batch(count=6):
  rng = np.random.default_rng(0)
  labels = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, count)]
  return rng.normal(size=(count, 4)).astype(np.float32), labels


def train_step(model, optimizer, loss=None):
  optimizer.build(model.trainable_variables)
  loss = loss or losses.build(TrainConfig(label_smoothing=0.0), None)
  return step.TrainStep(
    lambda inputs: model(inputs, training=True), model, loss, optimizer, INPUTS, CLASSES
  )


def everything(model, optimizer):
  return [np.array(one) for one in (*model.variables, *optimizer.variables)]


def test_figures_are_means_weighted_by_images():
  model = network()
  # A rate of 0 leaves the weights as they are, and no dropout is drawn.
  model.layers[3].rate = 0.0
  taken = train_step(model, keras.optimizers.SGD(0.0))
  inputs, labels = batch(6)
  per_image = []
  hits = 0
  for part in (slice(0, 4), slice(4, 6)):
    logits = np.asarray(model(inputs[part], training=True), np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    per_image += list(-(labels[part] * log_p).sum(axis=1))
    hits += (logits.argmax(axis=1) == labels[part].argmax(axis=1)).sum()
    assert taken(inputs[part], labels[part])
  figures = taken.figures()
  assert figures.loss == pytest.approx(np.mean(per_image), abs=1e-5)
  assert figures.accuracy == pytest.approx(hits / 6)
  taken.reset()
  assert np.isnan(taken.figures().loss)


def test_the_gradient_norm_is_that_of_all_gradients_before_clipping():
  model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(CLASSES, use_bias=False)])
  model.set_weights([np.zeros((4, CLASSES))])
  inputs, labels = batch()
  taken = train_step(model, keras.optimizers.SGD(1.0, global_clipnorm=0.01))
  assert taken(inputs, labels)
  # At zero weights p = 1/K: the gradient is x^T (p - y) / N.
  gradient = inputs.T @ (np.full_like(labels, 1 / CLASSES) - labels) / len(labels)
  norm = np.linalg.norm(gradient)
  assert taken.figures().gradient_norm == pytest.approx(norm, rel=1e-5)
  # What moved the weights was clipped.
  assert np.linalg.norm(model.get_weights()[0]) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize('poison', [np.nan, np.inf])
def test_a_loss_that_is_not_finite_changes_nothing_at_all(poison):
  model = network()
  optimizer = keras.optimizers.AdamW(1e-2)
  taken = train_step(model, optimizer)
  inputs, labels = batch()
  assert taken(inputs, labels)
  before = everything(model, optimizer)
  bad = inputs.copy()
  bad[2, 1] = poison
  assert not taken(bad, labels)
  for one, other in zip(before, everything(model, optimizer), strict=True):
    np.testing.assert_array_equal(one, other)
  assert taken(inputs, labels)
  assert any(
    not np.array_equal(one, other)
    for one, other in zip(before, everything(model, optimizer), strict=True)
  )


def test_float16_scales_the_loss_skips_an_overflow_and_tells_the_unscaled_norm():
  plain, half = network(), network('mixed_float16')
  half.set_weights(plain.get_weights())
  for model in (plain, half):
    model.layers[3].rate = 0.0
  inner = keras.optimizers.SGD(0.0)
  scaling = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**40)
  reference = train_step(plain, keras.optimizers.SGD(0.0))
  taken = train_step(half, scaling)
  inputs, labels = batch()
  assert reference(inputs, labels)
  # 2**40 overflows in float16: skipped without an error, and the scale is halved.
  assert taken(inputs, labels)
  assert float(scaling.dynamic_scale) == 2.0**39
  assert int(inner.iterations) == 0
  while int(inner.iterations) == 0:
    assert taken(inputs, labels)
  assert float(scaling.dynamic_scale) < 2.0**24
  assert taken.figures().gradient_norm == pytest.approx(reference.figures().gradient_norm, rel=2e-2)
  assert half(inputs).dtype == 'float32'


def test_under_float16_a_gradient_that_is_not_finite_at_any_scale_is_no_overflow():
  base = losses.build(TrainConfig(), None)

  def rough(labels, logits):
    # Finite, and with a slope of infinity times 0.
    return base(labels, logits) + tf.sqrt(tf.reduce_sum(logits * 0.0))

  inner = keras.optimizers.SGD(0.1)
  scaling = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
  model = network('mixed_float16')
  taken = train_step(model, scaling, rough)
  before = [np.array(one) for one in model.trainable_variables]
  # Skipped at a scale of 4 and of 2; at 1 there is nothing left to lower.
  assert [taken(*batch()) for _ in range(3)] == [True, True, False]
  for one, other in zip(before, model.trainable_variables, strict=True):
    np.testing.assert_array_equal(one, np.array(other))


def test_two_validations_of_the_same_batches_are_equal_to_the_bit():
  model = network()
  evaluate = step.EvaluationStep(
    lambda inputs: model(inputs, training=False),
    losses.build(TrainConfig(), None),
    INPUTS,
    CLASSES,
  )
  inputs, labels = batch(10)
  batches = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4)
  first, second = evaluate(batches), evaluate(batches)
  assert first == second
  predicted = np.asarray(model(inputs)).argmax(axis=1)
  assert first[1] == pytest.approx((predicted == labels.argmax(axis=1)).mean())
