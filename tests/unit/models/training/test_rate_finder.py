"""The range test of the learning rate."""

import csv
import math

import keras
import numpy as np
import pytest
from PIL import Image

from models.training import rate_finder
from models.training.rate_finder import RateCurve
from schemas.errors import TrainingError

CROSS_ENTROPY = keras.losses.CategoricalCrossentropy(from_logits=True)


def quadratic() -> tuple[keras.Model, np.ndarray, np.ndarray]:
  """A linear model, and inputs and targets for which its squared error is a bowl."""
  rng = np.random.default_rng(0)
  inputs = (rng.normal(size=(32, 2)) * (1.0, 3.0)).astype(np.float32)
  targets = inputs @ np.array([[2.0], [-1.0]], np.float32)
  model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
  model.layers[-1].set_weights([np.array([[5.0], [5.0]], np.float32)])
  return model, inputs, targets


def small_network() -> keras.Model:
  return keras.Sequential(
    [
      keras.Input((6, 6, 3)),
      keras.layers.Rescaling(1 / 255),
      keras.layers.Conv2D(4, 3),
      keras.layers.BatchNormalization(),
      keras.layers.Dropout(0.5),
      keras.layers.Flatten(),
      keras.layers.Dense(3),
    ]
  )


def image_batches(sizes=(8, 8, 5)) -> list[tuple[np.ndarray, np.ndarray]]:
  rng = np.random.default_rng(0)
  return [
    (
      rng.uniform(0, 255, (size, 6, 6, 3)).astype(np.float32),
      np.eye(3, dtype=np.float32)[rng.integers(0, 3, size)],
    )
    for size in sizes
  ]


def sgd() -> keras.optimizers.Optimizer:
  return keras.optimizers.SGD(1.0)


def test_on_a_quadratic_the_losses_are_gradient_descent_s_and_the_suggestion_converges():
  model, inputs, targets = quadratic()
  # The mean squared error has the Hessian 2 X'X / N; beyond 2 / its largest eigenvalue
  # gradient descent diverges.
  curvature = np.linalg.eigvalsh(2 * inputs.T @ inputs / len(inputs)).max()
  limit = 2 / curvature
  curve = rate_finder.find(
    model,
    keras.losses.MeanSquaredError(),
    sgd,
    [(inputs, targets)],
    lowest=limit * 1e-5,
    highest=limit * 1e3,
  )
  weights = np.array([[5.0], [5.0]])
  expected = []
  for rate in limit * 1e-5 * 1e8 ** (np.arange(100) / 99):
    residual = inputs @ weights - targets
    expected.append(np.mean(residual**2))
    weights = weights - rate * 2 * inputs.T @ residual / len(inputs)
  # From the lowest point on it diverges, and the rounding of float32 with it.
  lowest = int(np.argmin(expected))
  np.testing.assert_allclose(curve.losses[:lowest], expected[:lowest], rtol=1e-3)
  assert curve.suggestion is not None
  assert limit * 1e-3 < curve.suggestion < limit


def test_the_test_ends_where_the_smoothed_loss_is_four_times_its_best():
  model, inputs, targets = quadratic()
  curve = rate_finder.find(
    model, keras.losses.MeanSquaredError(), sgd, [(inputs, targets)], lowest=1e-4, highest=1e3
  )
  assert len(curve.rates) == len(curve.losses) == len(curve.smoothed) < 100
  assert curve.smoothed[-1] > 4 * min(curve.smoothed)
  assert all(
    value <= 4 * min(curve.smoothed[: i + 1]) for i, value in enumerate(curve.smoothed[:-1])
  )


def test_rates_rise_exponentially_and_the_smoothed_loss_is_the_corrected_average():
  curve = rate_finder.find(
    small_network(), CROSS_ENTROPY, sgd, image_batches(), lowest=1e-6, highest=1e-4, steps=21
  )
  np.testing.assert_allclose(curve.rates, [1e-6 * 10 ** (i / 10) for i in range(21)], rtol=1e-6)
  for count in (1, 2, 5, 21):
    # Weights 0.9 ** age, normalised to sum to 1.
    weights = 0.9 ** np.arange(count)[::-1]
    assert curve.smoothed[count - 1] == pytest.approx(
      np.average(curve.losses[:count], weights=weights), rel=1e-6
    )


@pytest.mark.parametrize(
  'optimizer_of',
  [
    sgd,
    lambda: keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(1.0, 10)),
    lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1.0), initial_scale=8.0),
  ],
  ids=['rate', 'schedule', 'loss scale'],
)
def test_every_variable_is_afterwards_what_it_was(optimizer_of):
  model = small_network()
  model.layers[1].trainable = False
  before = [variable.numpy() for variable in model.variables]
  # Weights, BatchNorm's statistics and the seed of dropout.
  assert len(before) == 2 + 4 + 1 + 2
  curve = rate_finder.find(model, CROSS_ENTROPY, optimizer_of, image_batches(), highest=1e-1)
  # It did train: the same batch comes back every third step, and its loss has changed.
  assert abs(curve.losses[-1] - curve.losses[(len(curve.losses) - 1) % 3]) > 1e-2
  for variable, value in zip(model.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)
  assert not model.layers[1].trainable
  assert model.layers[2].trainable


def test_a_loss_that_is_not_finite_ends_the_test_and_suggests_a_rate_from_before():
  model, inputs, targets = quadratic()

  class Overflowing(keras.losses.Loss):
    def call(self, labels, outputs):
      error = keras.ops.mean(keras.ops.square(labels - outputs), axis=-1)
      return keras.ops.where(error > 1e4, float('inf'), error)

  curve = rate_finder.find(model, Overflowing(), sgd, [(inputs, targets)], 1e-4, 1e6)
  assert math.isinf(curve.losses[-1])
  assert all(math.isfinite(value) for value in curve.losses[:-1])
  assert curve.suggestion is not None
  assert curve.suggestion in curve.rates[:-1]


def test_the_suggestion_lies_where_the_curve_is_steepest():
  rates = list(np.geomspace(1e-6, 1, 61))
  # A logistic fall over log10 of the rate: steepest in its middle, at 1e-3.
  losses = [2 - 1 / (1 + math.exp(-3 * (math.log10(rate) + 3))) for rate in rates]
  suggestion, reason = rate_finder.suggest(rates, losses, losses)
  assert suggestion == pytest.approx(1e-3)
  assert 'steeply' in reason


def test_a_fall_within_the_noise_of_the_batches_gives_a_tenth_of_the_lowest_rate():
  rates = list(np.geomspace(1e-6, 1, 61))
  losses = [2 + 0.5 * (-1) ** i for i in range(61)]
  smoothed = [2 - 0.01 * (1 - abs(i - 40) / 40) for i in range(61)]
  suggestion, reason = rate_finder.suggest(rates, losses, smoothed)
  # The lowest point is the 41st of ten a power of ten from 1e-6 on: 1e-2.
  assert suggestion == pytest.approx(1e-3)
  assert 'a tenth' in reason


def test_where_no_rate_lowers_the_loss_nothing_is_suggested():
  rates = list(np.geomspace(1e-6, 1, 61))
  losses = [1 + 0.01 * i for i in range(61)]
  suggestion, reason = rate_finder.suggest(rates, losses, losses)
  assert suggestion is None
  assert 'no suggestion' in reason


@pytest.mark.parametrize(
  'asked', [{'lowest': 0.0}, {'lowest': 1.0, 'highest': 0.1}, {'steps': 5}, {'batches': []}]
)
def test_what_makes_no_range_is_refused(asked):
  batches = asked.pop('batches', image_batches())
  with pytest.raises(TrainingError, match='rate finder: expected'):
    rate_finder.find(small_network(), CROSS_ENTROPY, sgd, batches, **asked)


CURVE = RateCurve(
  rates=[1e-3, 1e-2, 1e-1],
  losses=[1.5, 1.25, math.inf],
  smoothed=[1.5, 1.375, math.inf],
  suggestion=1e-2,
  reason='by hand',
)


def test_the_csv_holds_every_step(tmp_path):
  path = tmp_path / 'rates.csv'
  rate_finder.write_csv(CURVE, path)
  with open(path, newline='', encoding='utf-8') as stream:
    rows = list(csv.DictReader(stream))
  assert [float(row['rate']) for row in rows] == CURVE.rates
  assert [float(row['loss']) for row in rows] == CURVE.losses
  assert [float(row['smoothed']) for row in rows] == CURVE.smoothed
  assert [one.name for one in tmp_path.iterdir()] == ['rates.csv']


@pytest.mark.parametrize('suggestion', [1e-2, None])
def test_the_picture_shows_the_suggestion_where_there_is_one(suggestion, tmp_path):
  path = tmp_path / 'rates.png'
  curve = RateCurve(CURVE.rates, CURVE.losses, CURVE.smoothed, suggestion, 'by hand')
  rate_finder.write_png(curve, path)
  with Image.open(path) as image:
    pixels = np.asarray(image.convert('RGB')).astype(int)
  # tab:red, of which nothing else is drawn.
  red = (np.abs(pixels - (214, 39, 40)).max(axis=-1) < 30).sum()
  assert (red > 50) == (suggestion is not None)
  assert [one.name for one in tmp_path.iterdir()] == ['rates.png']
