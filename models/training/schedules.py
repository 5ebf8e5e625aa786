"""How the learning rate moves within a stage: one class for each train.schedule.

A step is an update of the optimizer, counted from 0 at the start of the stage. With
n the updates of the stage, w = int(n * train.warmup_fraction) of them warm-up, and
peak the rate of the stage, every schedule but one_cycle rises by
peak * (step + 1) / w while step < w.
"""

import math
from typing import Any

import keras

from schemas.config import StageConfig, TrainConfig
from schemas.errors import TrainingError

# Of one_cycle: where the rate begins and where it ends, as shares of the peak.
CYCLE_START = 1 / 25
CYCLE_END = 1e-4


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
  """A rate for each step, and what a checkpoint keeps of it.

  Most schedules are functions of the step alone and keep nothing.
  """

  def __init__(self, peak: float, steps: int, warmup_steps: int):
    super().__init__()
    self.peak = peak
    self.steps = steps
    self.warmup_steps = warmup_steps

  def __call__(self, step) -> Any:
    """Returns the rate, float32 [], at a step: an integer or an integer tensor []."""
    step = keras.ops.cast(step, 'float32')
    return keras.ops.where(step < self.warmup_steps, self._rising(step), self._after(step))

  def _rising(self, step):
    return self.peak * (step + 1.0) / max(self.warmup_steps, 1)

  def _after(self, step):
    """Returns the rate at a step, float32 [], at or after the warm-up."""
    raise NotImplementedError

  def _half_cosine(self, step):
    """Falls from 1 at the end of the warm-up to 0 at step n, and stays there."""
    progress = (step - self.warmup_steps) / max(self.steps - self.warmup_steps, 1)
    return 0.5 * (1.0 + keras.ops.cos(math.pi * keras.ops.clip(progress, 0.0, 1.0)))

  def observe(self, val_loss: float) -> None:
    """Takes note of the val loss of the epoch that just ended."""

  def state(self) -> dict:
    """Returns what `restore` needs to go on from here, as JSON values."""
    return {}

  def restore(self, state: dict) -> None:
    """Goes on from what `state` returned.

    Raises:
      TrainingError: if it is the state of another schedule.
    """
    _expect_keys(self, state, ())

  def get_config(self) -> dict:
    return {'peak': self.peak, 'steps': self.steps, 'warmup_steps': self.warmup_steps}


@keras.saving.register_keras_serializable('sightline')
class WarmupCosine(Schedule):
  """A linear rise to the peak, then half a cosine down to 0.

  From step w on: peak * (1 + cos(pi * (step - w) / (n - w))) / 2. (Loshchilov &
  Hutter, "SGDR", 2017; one period, no restart.)
  """

  def _after(self, step):
    return self.peak * self._half_cosine(step)


@keras.saving.register_keras_serializable('sightline')
class OneCycle(Schedule):
  """From peak / 25 up to the peak, then half a cosine down to peak / 10,000.

  Below step w: peak * (1/25 + (1 - 1/25) * step / w). From there:
  peak * (1e-4 + (1 - 1e-4) * (1 + cos(pi * (step - w) / (n - w))) / 2). (Smith &
  Topin, "Super-Convergence", 2018, section 3: the rate rises linearly from a
  minimum well below the peak, and ends several orders of magnitude below it. They
  fall in two straight pieces, of which the cosine is the smooth form; the momentum
  stays as it is here.)

  The rise takes train.warmup_fraction of the steps as written, no silent minimum.
  A cycle in the sense of the paper rises for 0.3 to 0.45 of them.
  """

  def _rising(self, step):
    share = step / max(self.warmup_steps, 1)
    return self.peak * (CYCLE_START + (1.0 - CYCLE_START) * share)

  def _after(self, step):
    return self.peak * (CYCLE_END + (1.0 - CYCLE_END) * self._half_cosine(step))


@keras.saving.register_keras_serializable('sightline')
class WarmupConstant(Schedule):
  """A linear rise to the peak, and the peak from there on."""

  def _after(self, step):
    return self.peak * keras.ops.ones_like(step)


@keras.saving.register_keras_serializable('sightline')
class WarmupStep(Schedule):
  """A linear rise, then peak * factor ** floor(step / period).

  The period counts from the start of the stage, the warm-up included: with a period
  of 10 epochs the rate falls after epochs 10, 20, ... (He et al., "Deep Residual
  Learning", 2016, divide by 10 in this way.)
  """

  def __init__(self, peak: float, steps: int, warmup_steps: int, period: float, factor: float):
    super().__init__(peak, steps, warmup_steps)
    self.period = period
    self.factor = factor

  def _after(self, step):
    return self.peak * self.factor ** keras.ops.floor(step / self.period)

  def get_config(self) -> dict:
    return {**super().get_config(), 'period': self.period, 'factor': self.factor}


@keras.saving.register_keras_serializable('sightline')
class WarmupPlateau(Schedule):
  """A linear rise to the peak; each plateau of the val loss then lowers the rate.

  The rate is peak * factor ** falls, in the warm-up too. After `patience` epochs
  without a val loss below the best so far, `falls` grows by one and the count begins
  anew. A val loss that is not a number is no gain.

  The multiplier lives in a variable, so that a traced tf.function sees it change.
  """

  def __init__(self, peak: float, steps: int, warmup_steps: int, patience: int, factor: float):
    super().__init__(peak, steps, warmup_steps)
    self.patience = patience
    self.factor = factor
    self.best = math.inf
    self.waited = 0
    self.falls = 0
    self._multiplier = keras.Variable(1.0, dtype='float32', trainable=False, name='plateau')

  def __call__(self, step) -> Any:
    return super().__call__(step) * keras.ops.convert_to_tensor(self._multiplier)

  def _after(self, step):
    return self.peak * keras.ops.ones_like(step)

  def observe(self, val_loss: float) -> None:
    if val_loss < self.best:
      self.best, self.waited = float(val_loss), 0
      return
    self.waited += 1
    if self.waited >= self.patience:
      self.falls, self.waited = self.falls + 1, 0
      self._multiplier.assign(self.factor**self.falls)

  def state(self) -> dict:
    # JSON has no infinity.
    best = self.best if math.isfinite(self.best) else None
    return {'best': best, 'waited': self.waited, 'falls': self.falls}

  def restore(self, state: dict) -> None:
    _expect_keys(self, state, ('best', 'waited', 'falls'))
    self.best = math.inf if state['best'] is None else state['best']
    self.waited, self.falls = state['waited'], state['falls']
    self._multiplier.assign(self.factor**self.falls)

  def get_config(self) -> dict:
    return {**super().get_config(), 'patience': self.patience, 'factor': self.factor}


def _expect_keys(schedule: Schedule, state: dict, keys: tuple[str, ...]) -> None:
  if set(state) != set(keys):
    raise TrainingError(
      f'state of {type(schedule).__name__}: expected {_listed(keys)}. Received: '
      f'{_listed(state)}. The checkpoint is of another train.schedule: start the training anew.'
    )


def _listed(keys) -> str:
  return ', '.join(sorted(keys)) or 'nothing'


def build(train: TrainConfig, stage: StageConfig, steps_per_epoch: float) -> Schedule:
  """Returns the schedule of a stage.

  Args:
    train: schedule, warmup_fraction, decay_epochs and decay_factor are read.
    stage: learning_rate, the peak, and epochs.
    steps_per_epoch: updates of the optimizer an epoch: batches / train.accumulate. A
      fraction, where an update takes gradients from the end of one epoch and the
      start of the next: rounded, the schedule would end too early or never.

  Raises:
    TrainingError: for a stage without an update.
  """
  # The sum of equal fractions may fall short of a whole number by rounding.
  steps = int(steps_per_epoch * stage.epochs + 1e-6)
  if steps < 1:
    raise TrainingError(
      f'stage {stage.name}: expected at least one step of the optimizer. Received: '
      f'{steps_per_epoch:g} an epoch and epochs: {stage.epochs}. Next: a lower train.accumulate.'
    )
  common = (stage.learning_rate, steps, int(steps * train.warmup_fraction))
  match train.schedule:
    case 'cosine':
      return WarmupCosine(*common)
    case 'one_cycle':
      return OneCycle(*common)
    case 'step':
      return WarmupStep(*common, train.decay_epochs * steps_per_epoch, train.decay_factor)
    case 'plateau':
      return WarmupPlateau(*common, train.decay_epochs, train.decay_factor)
    case 'constant':
      return WarmupConstant(*common)
