"""Which part of the network learns, when, and at which rate."""

import math

import keras

from models import backbones
from schemas.config import StageConfig, TrainConfig

# Fine-tuning at the rate of a new head would undo what the weights know.
UNFROZEN_RATE_FACTOR = 0.1


def plan(train: TrainConfig, weights_know_something: bool) -> tuple[StageConfig, ...]:
  """Returns the stages of a training.

  Written out in the config, they are taken as they stand. Otherwise: with weights,
  a frozen stage and an unfrozen one at a tenth of its rate, BatchNorm in
  inference mode in both; with none, one stage that trains everything.
  """
  if train.stages is not None:
    return train.stages
  if not weights_know_something:
    return (
      StageConfig(
        name='scratch',
        epochs=train.epochs,
        learning_rate=train.learning_rate,
        trainable='all',
        batch_norm='train',
      ),
    )
  return (
    StageConfig(
      name='frozen',
      epochs=train.frozen_epochs,
      learning_rate=train.learning_rate,
      trainable='head',
      batch_norm='inference',
    ),
    StageConfig(
      name='unfrozen',
      epochs=train.epochs,
      learning_rate=train.learning_rate * UNFROZEN_RATE_FACTOR,
      trainable='all',
      batch_norm='inference',
    ),
  )


def apply(model: keras.Model, stage: StageConfig) -> None:
  """Sets what is trainable. The model has to be compiled again afterwards."""
  backbone = model.get_layer('backbone')
  backbone.trainable = stage.trainable == 'all'
  if stage.trainable == 'all':
    for layer in backbones.batch_norms(backbone):
      # A BatchNormalization that is not trainable also runs in inference mode.
      layer.trainable = stage.batch_norm == 'train'


@keras.saving.register_keras_serializable('sightline')
class WarmupCosine(keras.optimizers.schedules.LearningRateSchedule):
  """A linear rise to the peak, then half a cosine down to 0, step by step.

  With w warm-up steps of n: peak * (step + 1) / w below w, and from there
  peak * (1 + cos(pi * (step - w) / (n - w))) / 2. (Loshchilov & Hutter, 2017.)
  """

  def __init__(self, peak: float, steps: int, warmup_steps: int):
    super().__init__()
    self.peak = peak
    self.steps = steps
    self.warmup_steps = warmup_steps

  def __call__(self, step):
    step = keras.ops.cast(step, 'float32')
    rising = self.peak * (step + 1.0) / max(self.warmup_steps, 1)
    falling_steps = max(self.steps - self.warmup_steps, 1)
    progress = keras.ops.clip((step - self.warmup_steps) / falling_steps, 0.0, 1.0)
    falling = self.peak * 0.5 * (1.0 + keras.ops.cos(math.pi * progress))
    return keras.ops.where(step < self.warmup_steps, rising, falling)

  def get_config(self) -> dict:
    return {'peak': self.peak, 'steps': self.steps, 'warmup_steps': self.warmup_steps}


def optimizer(train: TrainConfig, stage: StageConfig, steps: int) -> keras.optimizers.Optimizer:
  """Returns AdamW or SGD with warm-up and cosine over `steps`.

  Weight decay is decoupled from the gradient (Loshchilov & Hutter, 2019) and
  skips biases and BatchNorm.
  """
  schedule = WarmupCosine(stage.learning_rate, steps, int(steps * train.warmup_fraction))
  common = {'weight_decay': train.weight_decay, 'global_clipnorm': train.clip_norm}
  made = (
    keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, **common)
    if train.optimizer == 'sgd'
    else keras.optimizers.AdamW(schedule, **common)
  )
  made.exclude_from_weight_decay(var_names=['bias', 'gamma', 'beta'])
  return made
