"""The dtype policy of training: which one, and why; and what a step costs under it."""

import dataclasses
import gc
import pathlib
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from models import backbone_table, backbones, classifier
from models.training import losses, optimizers, schedules, stages, step
from schemas.config import Config, StageConfig

FLOAT32 = 'float32'
BFLOAT16 = 'mixed_bfloat16'
FLOAT16 = 'mixed_float16'

# A policy that is less than this much faster is not worth a narrower number; and a
# choice that lies so close would differ from one run to the next.
_WORTH = 1.2
# Below so many steps no policy can repay the seconds of its own trace.
_FEWEST_STEPS = 100
# Of x86 and of ARM. Without them bfloat16 is computed by float32 and conversions.
_BFLOAT16_FLAGS = frozenset({'avx512_bf16', 'amx_bf16', 'bf16'})
_CPUINFO = pathlib.Path('/proc/cpuinfo')
_MEASURING = StageConfig(
  name='measuring', epochs=1, learning_rate=1e-6, trainable='all', batch_norm='train'
)

Measure = Callable[[Config, str, int], float]


@dataclasses.dataclass(frozen=True)
class Precision:
  """A dtype policy by its Keras name, and why it was chosen.

  Attributes:
    policy: `float32`, `mixed_bfloat16` or `mixed_float16`; the last needs loss scaling.
    reason: in words, for the record.
    measured: seconds of a step by policy, where they decided.
  """

  policy: str
  reason: str
  measured: dict[str, float] | None = None


def choose(
  config: Config,
  classes: int,
  steps: int,
  measure: Measure | None = None,
  clock: Callable[[], float] = time.monotonic,
) -> Precision:
  """Chooses a dtype policy for this network on this machine.

  `auto` knows for GPUs: bfloat16 from compute capability 8.0 on, float16 with loss
  scaling from 7.0 on (the first with tensor cores), else float32. It knows for
  EfficientNet on a CPU: float32. Other networks on a CPU with bfloat16 instructions it
  measures, if the training is long enough to repay it, and leaves float32 only for a
  policy that is 1.2 times as fast.

  A measured choice may differ on another day of another load, and with it the weights.
  Whoever resumes a training takes the policy from its checkpoint; whoever repeats one
  bit for bit writes the policy of its record into train.precision.

  Args:
    config: train.precision, model, image and train.batch_size are read.
    classes: K.
    steps: batches of the planned training.
    measure: seconds of a step under a policy; by default measure_step.
    clock: tells seconds, for what a measurement itself costs.
  """
  requested = config.train.precision
  if requested != 'auto':
    return Precision(requested, f'train.precision is {requested}')
  gpus = tf.config.list_physical_devices('GPU')
  if gpus:
    details = tf.config.experimental.get_device_details(gpus[0])
    return _of_gpu(details.get('compute_capability'))
  row = backbone_table.BACKBONES.get(backbones.name_of(config.model))
  if row is not None and row.family.startswith('efficientnet'):
    return Precision(
      FLOAT32,
      "no GPU: on CPUs mixed_bfloat16 slows EfficientNet's depthwise convolutions down (a step "
      'of B0 at 96 pixels: 0.83 s against 0.51 s)',
    )
  if not has_bfloat16():
    return Precision(FLOAT32, 'no GPU, and a CPU without bfloat16 instructions')
  if steps < _FEWEST_STEPS:
    return Precision(
      FLOAT32, f'no GPU, and {steps} steps are too few to repay measuring mixed_bfloat16'
    )
  return _measured(config, classes, steps, measure or measure_step, clock)


def _of_gpu(capability: tuple[int, int] | None) -> Precision:
  if capability is None:
    return Precision(FLOAT32, 'a GPU whose compute capability is not known')
  words = f'the GPU has compute capability {capability[0]}.{capability[1]}'
  if capability >= (8, 0):
    return Precision(BFLOAT16, words)
  if capability >= (7, 0):
    return Precision(FLOAT16, f'{words}: tensor cores for float16, with loss scaling')
  return Precision(FLOAT32, f'{words}: no tensor cores')


def has_bfloat16() -> bool:
  """Returns whether this CPU has instructions for bfloat16, as far as Linux says so."""
  try:
    text = _CPUINFO.read_text(encoding='ascii', errors='replace')
  except OSError:
    return False
  flags = (line.partition(':')[2] for line in text.splitlines() if line[:5] in ('flags', 'Featu'))
  return not _BFLOAT16_FLAGS.isdisjoint(next(flags, '').split())


def _measured(
  config: Config, classes: int, steps: int, measure: Measure, clock: Callable[[], float]
) -> Precision:
  began = clock()
  seconds = {FLOAT32: measure(config, FLOAT32, classes)}
  spent = clock() - began
  # At best half of each step is saved, and the second candidate costs what the first did.
  if steps * seconds[FLOAT32] / 2 <= spent:
    return Precision(
      FLOAT32,
      f'no GPU, and a training of {steps * seconds[FLOAT32]:.0f} s is too short to repay '
      f'measuring mixed_bfloat16 ({spent:.0f} s)',
      seconds,
    )
  seconds[BFLOAT16] = measure(config, BFLOAT16, classes)
  ratio = seconds[FLOAT32] / seconds[BFLOAT16]
  policy = BFLOAT16 if ratio >= _WORTH else FLOAT32
  return Precision(
    policy,
    f'no GPU; measured: a step takes {seconds[FLOAT32]:.3f} s in float32 and '
    f'{seconds[BFLOAT16]:.3f} s in mixed_bfloat16, {ratio:.2f} times as fast '
    f'(from {_WORTH} on it is taken). To repeat it elsewhere: train.precision: {policy}',
    seconds,
  )


def measure_step(config: Config, policy: str, classes: int, batches: int = 3) -> float:
  """Measures a training step of this network, all of it trainable, on made-up pixels.

  The median after two steps of warm-up. Building and tracing the network comes first:
  up to 17 seconds for EfficientNet B0 on two cores. The random generators are left
  as keras.utils.set_random_seed(train.seed) leaves them, and the dtype policy as it
  was.

  Args:
    config: model, image and train are read.
    policy: a Keras dtype policy.
    classes: K.
    batches: steps that are timed.

  Returns:
    Seconds of a step on one batch of train.batch_size images.
  """
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy(policy)
  try:
    take_step = _step(config, policy, classes)
    seconds = []
    for _ in range(2 + batches):
      began = time.perf_counter()
      take_step()
      seconds.append(time.perf_counter() - began)
  finally:
    keras.config.set_dtype_policy(previous)
    keras.utils.set_random_seed(config.train.seed)
    # The network and its gradients go before the training asks for the same again.
    gc.collect()
  return statistics.median(seconds[2:])


def _step(config: Config, policy: str, classes: int) -> Callable[[], object]:
  """Returns a function that takes one step, with all that a training holds around it."""
  train = config.train
  half: np.ndarray = np.full(3, 0.5, np.float32)
  model = classifier.build(config.model, config.image, classes, half, half / 6)
  stages.apply(model, _MEASURING)
  schedule = schedules.build(train, _MEASURING, 100)
  optimizer = optimizers.build(train, _MEASURING, schedule, model)
  if policy == FLOAT16:
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
  generator = np.random.default_rng(0)
  shape = (train.batch_size, *model.input_shape[1:])
  pixels = tf.constant(generator.uniform(0, 255, shape).astype(np.float32))
  ids = generator.integers(0, classes, train.batch_size)
  labels = tf.constant(np.eye(classes, dtype=np.float32)[ids])
  taken = step.TrainStep(
    lambda inputs: model(inputs, training=True),
    model,
    losses.build(train, None),
    optimizer,
    tf.TensorSpec([None, *model.input_shape[1:]], tf.float32),
    classes,
  )
  return lambda: taken(pixels, labels)
