"""AdamW and SGD with a rate of its own for each block, and the average of the weights."""

from collections.abc import Mapping

import keras
import numpy as np

from models.training import stages
from models.training.schedules import Schedule
from schemas.config import StageConfig, TrainConfig

# Names of the variables that are biases, or scale and shift of a normalisation.
UNDECAYED = ('bias', 'gamma', 'beta')


class _ByBlock(keras.optimizers.Optimizer):
  """What AdamW and SGD have here beyond Keras' own.

  Each variable's rate is the schedule's times the factor of its block, in the gradient
  step and in the decoupled weight decay. Where the gradients of several batches are
  accumulated into one update, the schedule and the average of the weights go by
  updates; Keras 3.15 moves both with each batch. Clipping is Keras' own: of the global
  norm of the accumulated, averaged gradient.
  """

  def set_factors(self, blocks: Mapping[str, float], variables: Mapping[str, float]) -> None:
    """Takes the factor of each block by its name, and of each variable by its key."""
    self.block_factors = dict(blocks)
    self.variable_factors = dict(variables)
    self.raw_weights: tuple[np.ndarray, ...] | None = None

  def update_step(self, gradient, variable, learning_rate):
    rate = learning_rate * self.variable_factors[self._var_key(variable)]
    if self.weight_decay and self._use_weight_decay(variable):
      decay = keras.ops.cast(rate * self.weight_decay, variable.dtype)
      self.assign_sub(variable, variable * decay)
    super().update_step(gradient, variable, rate)

  def _apply_weight_decay(self, variables):
    """Leaves it to update_step, which knows the rate of the block."""

  def _get_current_learning_rate(self):
    if isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
      return self._learning_rate(self.iterations)
    return super()._get_current_learning_rate()

  def _update_model_variables_moving_average(self, trainable_variables):
    update = super()._update_model_variables_moving_average
    if not self.gradient_accumulation_steps:
      update(trainable_variables)
      return
    # The count of batches is still the one before this batch.
    last_of_step = (self._iterations + 1) % self.gradient_accumulation_steps == 0
    keras.ops.cond(last_of_step, lambda: update(trainable_variables), lambda: None)


class AdamW(_ByBlock, keras.optimizers.AdamW):
  """Keras' AdamW with a rate for each block. (Loshchilov & Hutter, 2019.)"""


class SGD(_ByBlock, keras.optimizers.SGD):
  """Keras' SGD with a rate for each block; its weight decay is decoupled, too."""


def build(
  train: TrainConfig, stage: StageConfig, schedule: Schedule, model: keras.Model
) -> keras.optimizers.Optimizer:
  """Returns the optimizer of a stage, built on what is trainable of the model now.

  The rate of block b, counted from the head, is the schedule's times
  stage.layer_decay ** b. Weight decay is decoupled from the gradient and skips biases
  and normalisations. With train.accumulate above 1 an update takes that many calls of
  `apply`; the gradients in between are averaged. With train.ema above 0 the optimizer
  keeps an average of the trainable weights: the first update's, then
  ema * average + (1 - ema) * weights after each one.

  It may be wrapped in a keras.optimizers.LossScaleOptimizer. That skips a batch whose
  gradients are not finite; accumulation then waits for one more batch.

  Args:
    train: optimizer, momentum, weight_decay, clip_norm, accumulate and ema are read.
    stage: layer_decay is read.
    schedule: of this stage, by updates.
    model: to which stages.apply was applied.
  """
  common = {
    'weight_decay': train.weight_decay,
    'global_clipnorm': train.clip_norm,
    'use_ema': train.ema > 0,
    'ema_momentum': train.ema,
    'gradient_accumulation_steps': train.accumulate if train.accumulate > 1 else None,
  }
  made: _ByBlock = (
    SGD(schedule, momentum=train.momentum, nesterov=train.momentum > 0, **common)
    if train.optimizer == 'sgd'
    else AdamW(schedule, **common)
  )
  by_block, by_variable = _factors(made, stage.layer_decay, model)
  made.set_factors(by_block, by_variable)
  undecayed = [one for one in model.trainable_variables if one.name in UNDECAYED]
  made.exclude_from_weight_decay(var_list=undecayed)
  made.build(model.trainable_variables)
  return made


def _factors(
  optimizer: _ByBlock, layer_decay: float, model: keras.Model
) -> tuple[dict[str, float], dict[str, float]]:
  by_block, by_variable = {}, {}
  for number, block in enumerate(stages.blocks(model)):
    factor = layer_decay**number
    variables = [one for layer in block.layers for one in layer.trainable_variables]
    by_variable.update({optimizer._var_key(one): factor for one in variables})
    if variables:
      by_block[block.name] = factor
  return by_block, by_variable


def rates(optimizer: keras.optimizers.Optimizer, schedule_step: int) -> dict[str, float]:
  """Returns the rate of each block that learns, by its name, the head first.

  Args:
    optimizer: of `build`, with or without a LossScaleOptimizer around it.
    schedule_step: an update, counted from 0.
  """
  inner = _unwrapped(optimizer)
  rate = float(inner._learning_rate(schedule_step))
  return {name: rate * factor for name, factor in inner.block_factors.items()}


def swap_in_average(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> None:
  """Puts the averaged weights into the model, until `swap_back`.

  Does nothing without train.ema, nor before the first update, when there is no
  average. Of BatchNorm the trained scale and shift are averaged, not its statistics:
  they are moving averages already.
  """
  inner = _unwrapped(optimizer)
  if inner.raw_weights is not None:
    raise RuntimeError('the averaged weights are in the model already. Expected: swap_back first.')
  if not inner.use_ema or int(inner.iterations.numpy()) == 0:
    return
  inner.raw_weights = tuple(np.array(one) for one in model.trainable_variables)
  inner.finalize_variable_values(model.trainable_variables)


def swap_back(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> None:
  """Puts the weights back, bit for bit, that `swap_in_average` replaced, if it did."""
  inner = _unwrapped(optimizer)
  if inner.raw_weights is None:
    return
  for variable, value in zip(model.trainable_variables, inner.raw_weights, strict=True):
    variable.assign(value)
  inner.raw_weights = None


def _unwrapped(optimizer: keras.optimizers.Optimizer) -> _ByBlock:
  return getattr(optimizer, 'inner_optimizer', optimizer)
