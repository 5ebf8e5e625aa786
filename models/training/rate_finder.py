"""The range test of a learning rate: train while the rate rises, and look at the loss.

Smith, "Cyclical Learning Rates for Training Neural Networks" (2015), section 3.3. That
the rate rises exponentially, the smoothed loss, the stop at four times the best, and
the suggestion are those of fastai's learning rate finder (Howard & Gugger, 2018).
"""

import csv
import dataclasses
import io
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.training import model_state
from schemas.errors import TrainingError

# Of the exponential average. fastai has 0.98, which looks back over 50 steps: half of
# the test, and more than three powers of ten of the rate.
SMOOTHING = 0.9
# Times the best smoothed loss, at which the test ends.
DIVERGED = 4.0
# The average is built up, and the rate does nothing yet.
_SETTLING = 10
# A fall of so many standard errors is no accident of the batches.
_SURE = 3.0
COLUMNS = ('rate', 'loss', 'smoothed')


@dataclasses.dataclass(frozen=True)
class RateCurve:
  """What the test saw.

  Attributes:
    rates: of each step, rising.
    losses: of the batch of that step, before its update; the last may not be finite.
    smoothed: bias-corrected exponential average of the losses.
    suggestion: a peak for train.learning_rate, or None where no rate lowered the loss.
    reason: how the suggestion came about, in a sentence.
  """

  rates: list[float]
  losses: list[float]
  smoothed: list[float]
  suggestion: float | None
  reason: str


def find(
  model: keras.Model,
  loss: keras.losses.Loss,
  optimizer_of: Callable[[], keras.optimizers.Optimizer],
  batches: Iterable[tuple[Any, Any]],
  lowest: float = 1e-7,
  highest: float = 1.0,
  steps: int = 100,
) -> RateCurve:
  """Trains at rates that rise from step to step, and forgets it.

  Afterwards every variable of the model is bit for bit what it was. The model is traced
  once.

  Args:
    model: from pixels to logits, trainable where the stage trains it.
    loss: of (labels, logits).
    optimizer_of: makes a new optimizer of the kind that will train, with or without a
      LossScaleOptimizer around it. Its rate or schedule is replaced; it should not
      accumulate, since each batch is to be an update.
    batches: (pixels [N, H, W, 3], labels [N, K]), as in training. Where there are fewer
      than `steps`, they are gone through again.
    lowest: the first rate.
    highest: the last rate.
    steps: at most; at least 20.

  Returns:
    The curve, up to where the smoothed loss was four times its best or not finite.

  Raises:
    TrainingError: for no batches, or rates and steps that make no range.
  """
  if not 0 < lowest < highest or steps < 2 * _SETTLING:
    raise TrainingError(
      f'rate finder: expected 0 < lowest < highest and at least {2 * _SETTLING} steps. '
      f'Received: {lowest:g}, {highest:g} and {steps}.'
    )
  rates = np.geomspace(lowest, highest, steps)
  losses: list[float] = []
  smoothed: list[float] = []
  with model_state.kept(model):
    step = _step_of(model, loss, optimizer_of())
    average = 0.0
    for rate, (pixels, labels) in zip(rates, _again(batches), strict=False):
      losses.append(float(step(pixels, labels, np.float32(rate))))
      average = SMOOTHING * average + (1 - SMOOTHING) * losses[-1]
      smoothed.append(average / (1 - SMOOTHING ** len(losses)))
      if not math.isfinite(smoothed[-1]) or smoothed[-1] > DIVERGED * min(smoothed):
        break
  if not losses:
    raise TrainingError('rate finder: expected batches of train. Received: none.')
  tried = [float(rate) for rate in rates[: len(losses)]]
  return RateCurve(tried, losses, smoothed, *suggest(tried, losses, smoothed))


def suggest(
  rates: list[float], losses: list[float], smoothed: list[float]
) -> tuple[float | None, str]:
  """Returns a rate, and why.

  Where the smoothed loss falls most steeply over the logarithm of the rate (fastai's
  `steep`), after the first ten steps and before its lowest point. Where it falls there
  by less than the batches differ anyway, a tenth of the rate at the lowest point
  (fastai's `minimum`), and None if the loss did not fall at all.
  """
  good = [value if math.isfinite(value) else math.inf for value in smoothed]
  best = int(np.argmin(good))
  start = min(_SETTLING, len(good) - 1)
  if best <= start:
    return None, (
      f'no suggestion: the loss is lowest at the beginning ({good[best]:.4g} at rate '
      f'{rates[best]:.2g}), so no rate of the range lowered it'
    )
  # The rate of the first steps moves nothing, so they show how much batches differ.
  noise = float(np.std(losses[: start + 1])) * math.sqrt((1 - SMOOTHING) / (1 + SMOOTHING))
  fall = good[start] - good[best]
  if fall <= _SURE * noise:
    rate = rates[best] / 10
    return rate, (
      f'a tenth of the rate at the lowest loss ({good[best]:.4g} at {rates[best]:.2g}): the loss '
      f'fell by {fall:.2g}, which is not enough, beside differences of {noise:.2g} between '
      'batches, to tell where it falls most steeply'
    )
  slopes = np.gradient(np.array(good[start : best + 1]), np.log(rates[start : best + 1]))
  steepest = start + int(np.argmin(slopes))
  return rates[steepest], (
    f'where the loss falls most steeply over the logarithm of the rate; it is lowest, with '
    f'{good[best]:.4g}, at {rates[best]:.2g}'
  )


def write_csv(curve: RateCurve, path: pathlib.Path) -> None:
  """Writes rate, loss and smoothed loss, a row a step; whole or not at all."""
  text = io.StringIO(newline='')
  writer = csv.writer(text)
  writer.writerow(COLUMNS)
  writer.writerows(zip(curve.rates, curve.losses, curve.smoothed, strict=True))
  _replace(path, text.getvalue().encode())


def write_png(curve: RateCurve, path: pathlib.Path) -> None:
  """Draws both losses over the rate, and the suggestion; whole or not at all."""
  # Matplotlib takes a second to import. The figure is made without pyplot, which would
  # keep it alive and choose a screen.
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  drawn = Figure(figsize=(7, 4.5), layout='constrained')
  canvas = FigureCanvasAgg(drawn)
  axes = drawn.subplots()
  axes.plot(curve.rates, curve.losses, color='lightgrey', label='loss of the batch')
  axes.plot(curve.rates, curve.smoothed, color='tab:blue', label='smoothed')
  if curve.suggestion is not None:
    label = f'suggestion {curve.suggestion:.2g}'
    axes.axvline(curve.suggestion, color='tab:red', linestyle='--', label=label)
  axes.set_xscale('log')
  finite = [value for value in curve.smoothed if math.isfinite(value)]
  if finite:
    # The last steps would flatten all that is of interest.
    room = 0.05 * (max(finite[0], min(finite)) - min(finite)) + 1e-12
    axes.set_ylim(min(finite) - 2 * room, max(finite[: _SETTLING + 1]) + 10 * room)
  axes.set_xlabel('learning rate')
  axes.set_ylabel('loss')
  axes.grid(alpha=0.3)
  axes.legend()
  content = io.BytesIO()
  canvas.print_png(content)
  _replace(path, content.getvalue())


def _step_of(
  model: keras.Model, loss: keras.losses.Loss, optimizer: keras.optimizers.Optimizer
) -> Callable:
  """Returns one traced step of training at a given rate, from which comes the loss."""
  variables = model.trainable_variables
  rate = tf.Variable(0.0, trainable=False, dtype=tf.float32)
  inner = getattr(optimizer, 'inner_optimizer', optimizer)
  # Keras calls it without arguments, a schedule's caller with the step.
  inner.learning_rate = lambda *_: rate
  optimizer.build(variables)
  signature = [
    tf.TensorSpec((None, *model.input_shape[1:]), tf.float32),
    tf.TensorSpec((None, model.output_shape[-1]), tf.float32),
    tf.TensorSpec([], tf.float32),
  ]

  # The last batch of an epoch may be smaller, and would be traced again.
  @tf.function(input_signature=signature)
  def step(pixels: tf.Tensor, labels: tf.Tensor, now: tf.Tensor) -> tf.Tensor:
    rate.assign(now)
    with tf.GradientTape() as tape:
      value = loss(labels, model(pixels, training=True))
      target = optimizer.scale_loss(value)
    gradients = tape.gradient(target, [variable.value for variable in variables])
    optimizer.apply(gradients, variables)
    return value

  return step


def _again(batches: Iterable) -> Iterator:
  while True:
    any_left = False
    for batch in batches:
      any_left = True
      yield batch
    if not any_left:
      return


def _replace(path: pathlib.Path, content: bytes) -> None:
  draft = path.with_name(f'.{path.name}')
  draft.write_bytes(content)
  os.replace(draft, path)
