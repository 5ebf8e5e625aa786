"""The loss against NumPy and against Keras' own cross-entropy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.training import losses
from schemas.config import TrainConfig
from schemas.errors import TrainingError

CLASSES = 5
WEIGHTS = np.array([0.2, 3.0, 1.0, 0.7, 1.9], np.float32)
RNG = np.random.default_rng(11)
LOGITS = RNG.normal(0, 3, (9, CLASSES)).astype(np.float32)
ONE_HOT = np.eye(CLASSES, dtype=np.float32)[RNG.integers(0, CLASSES, 9)]
MIXED = (0.7 * ONE_HOT + 0.3 * np.roll(ONE_HOT, 2, axis=0)).astype(np.float32)


def made(class_weights=None, **train) -> keras.losses.Loss:
  return losses.build(TrainConfig(**train), class_weights)


def by_numpy(labels, logits, smoothing=0.0, gamma=0.0, weights=None) -> np.ndarray:
  labels, logits = labels.astype(np.float64), logits.astype(np.float64)
  p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  smoothed = (1 - smoothing) * labels + smoothing / CLASSES
  result = -(smoothed * (1 - p) ** gamma * np.log(p)).sum(axis=1)
  return result if weights is None else result * (labels @ weights.astype(np.float64))


@pytest.mark.parametrize('labels', [ONE_HOT, MIXED], ids=['one-hot', 'mixed'])
@pytest.mark.parametrize('weights', [None, WEIGHTS], ids=['equal', 'weighted'])
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('gamma', [None, 0.5, 2.0])
def test_the_loss_is_the_formulas(labels, weights, smoothing, gamma):
  focal = {} if gamma is None else {'loss': 'focal', 'focal_gamma': gamma}
  loss = made(weights, label_smoothing=smoothing, **focal)
  wanted = by_numpy(labels, LOGITS, smoothing, gamma or 0.0, weights)
  np.testing.assert_allclose(loss.call(labels, tf.constant(LOGITS)), wanted, rtol=2e-5)
  assert float(loss(labels, LOGITS)) == pytest.approx(wanted.mean(), rel=2e-5)


def test_two_images_by_hand():
  # Logits of 0 and ln 3: probabilities 1/4 and 3/4.
  logits = np.log(np.array([[1, 3], [3, 1]], np.float32))
  labels = np.array([[0, 1], [0, 1]], np.float32)
  plain = [np.log(4 / 3), np.log(4)]
  assert float(made(label_smoothing=0)(labels, logits)) == pytest.approx(np.mean(plain))
  focal = made(label_smoothing=0, loss='focal', focal_gamma=2)
  assert float(focal(labels, logits)) == pytest.approx((plain[0] / 16 + plain[1] * 9 / 16) / 2)


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('weights', [None, WEIGHTS], ids=['equal', 'weighted'])
def test_focal_with_gamma_0_is_cross_entropy_bit_for_bit(smoothing, weights):
  plain = made(weights, label_smoothing=smoothing)
  focal = made(weights, label_smoothing=smoothing, loss='focal', focal_gamma=0.0)
  np.testing.assert_array_equal(plain.call(MIXED, LOGITS), focal.call(MIXED, LOGITS))


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_cross_entropy_is_keras_own(smoothing):
  reference = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
  ours = made(label_smoothing=smoothing)
  assert float(ours(MIXED, LOGITS)) == pytest.approx(float(reference(MIXED, LOGITS)), rel=1e-5)


def test_weights_act_as_keras_class_weight_does():
  """The mean is over the images, not over their weights."""
  model = keras.Sequential([keras.Input((CLASSES,)), keras.layers.Identity()])
  model.compile(loss=keras.losses.CategoricalCrossentropy(from_logits=True))
  per_image = ONE_HOT @ WEIGHTS
  reference = model.evaluate(LOGITS, ONE_HOT, sample_weight=per_image, batch_size=9, verbose=0)
  assert float(made(WEIGHTS, label_smoothing=0)(ONE_HOT, LOGITS)) == pytest.approx(
    reference, rel=1e-5
  )


def test_weights_see_the_labels_before_smoothing():
  only_first = np.array([1, 0, 0, 0, 0], np.float32)
  other = np.eye(CLASSES, dtype=np.float32)[[3]]
  assert float(made(only_first, label_smoothing=0.5)(other, LOGITS[:1])) == 0.0


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
def test_certain_answers_have_finite_gradients(gamma):
  logits = tf.constant([[200.0, 0, 0, 0, 0], [0, 200.0, 0, 0, 0]])
  labels = np.eye(CLASSES, dtype=np.float32)[[0, 0]]  # right, and wrong
  loss = made(loss='focal', focal_gamma=gamma, label_smoothing=0.1)
  with tf.GradientTape() as tape:
    tape.watch(logits)
    value = loss(labels, logits)
  assert np.isfinite(float(value))
  assert np.isfinite(tape.gradient(value, logits)).all()


def test_a_loss_survives_its_config():
  loss = made(WEIGHTS, loss='focal', focal_gamma=1.5, label_smoothing=0.2)
  again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
  assert float(again(MIXED, LOGITS)) == float(loss(MIXED, LOGITS))


@pytest.mark.parametrize('bad', [[1.0, np.nan], [1.0, -0.5], [1.0, np.inf], [[1.0], [2.0]]])
def test_weights_that_no_loss_can_use_are_refused(bad):
  with pytest.raises(TrainingError, match='class weights: expected one finite number'):
    made(np.array(bad))
