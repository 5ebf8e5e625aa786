"""How long a training will take on this machine, and what would fit a budget.

A few steps of the very network are timed; the rest is arithmetic:

  stage that trains the backbone   epochs * (steps * step + validation steps * forward)
  stage that trains the head       epochs * (steps * forward + validation steps * forward)
  stage on kept features           copies * steps * forward + validation steps * forward

with forward a share of a step, to each step of either kind the time to read, decode and
augment a batch, and to each stage the time to trace it. On a CPU the cores that decode
are those that train, so the two are added up. Kept features cost next to nothing after
they are computed. Early stopping is not counted: it only makes a training shorter.
"""

import dataclasses
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import tensorflow as tf

from models import augmentation, backbone_table, backbones, decoder
from models.training import feeds, precision, stages
from schemas.config import Config, ImageConfig, StageConfig

# Of the time of a training step: forward, and about twice that backward.
FORWARD_SHARE = 1 / 3
# Until the first step, on two cores: imports, reading the records, building the network.
START_SECONDS = 30.0
# Export takes 13 to 22 s.
EXPORT_SECONDS = 18.0
# Of a step on kept features.
_HEAD_STEP_SECONDS = 0.003

# Sides that are proposed, as shares of the planned ones; in steps of 8 pixels.
_SIDES = (1, 7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4)
_SIDE_STEP = 8
_SMALLEST_SIDE = 32
# Fewer epochs than this share are proposed only where no smaller image helps.
_EPOCHS_BEFORE_SIZE = 0.5
# Of each image, where a frozen stage would rather keep features than compute them anew.
_COPIES = 2
# Further sizes that are measured before the best of the measured ones is taken.
_MEASUREMENTS = 3
# Steps that measure_step takes: the rest of its time is building and tracing.
_MEASURED_STEPS = 5


@dataclasses.dataclass(frozen=True)
class StagePlan:
  """One stage: its epochs, its batches in all, and the seconds for them."""

  name: str
  epochs: int
  steps: int
  seconds: float


@dataclasses.dataclass(frozen=True)
class Proposal:
  """What fits the budget.

  Attributes:
    overrides: of the config, as `--set` takes them.
    seconds: of the whole training with them.
    step_seconds: of a step at that image size, measured.
  """

  overrides: tuple[str, ...]
  seconds: float
  step_seconds: float


@dataclasses.dataclass(frozen=True)
class Plan:
  """How long a training will take.

  Attributes:
    height: of the images, pixels.
    width: of the images, pixels.
    batch_size: images a step.
    precision: the dtype policy and why.
    step_seconds: of one training step, measured.
    input_seconds: to read, decode and augment one batch.
    trace_seconds: to build and trace the network, once a stage, measured.
    stages: what is planned.
    seconds: of the whole training, start and export included.
    budget_seconds: train.budget_minutes; None where there is none.
    proposal: what fits the budget; None where the plan does, or nothing does.
    least_seconds: where the plan does not fit: the shortest training that was looked at.
  """

  height: int
  width: int
  batch_size: int
  precision: precision.Precision
  step_seconds: float
  input_seconds: float
  trace_seconds: float
  stages: tuple[StagePlan, ...]
  seconds: float
  budget_seconds: float | None = None
  proposal: Proposal | None = None
  least_seconds: float | None = None

  @property
  def fits(self) -> bool:
    """Whether the training stays within its budget, or has none."""
    return self.budget_seconds is None or self.seconds <= self.budget_seconds


class _Stopwatch:
  """A measure that remembers what it found and how long it took beyond the steps."""

  def __init__(self, measure: precision.Measure, clock: Callable[[], float]):
    self._measure = measure
    self._clock = clock
    self._found: dict[tuple[int, int, str], float] = {}
    self.trace_seconds = 0.0

  def __call__(self, config: Config, policy: str, classes: int) -> float:
    key = (config.image.height, config.image.width, policy)
    if key not in self._found:
      began = self._clock()
      self._found[key] = self._measure(config, policy, classes)
      other = self._clock() - began - _MEASURED_STEPS * self._found[key]
      self.trace_seconds = max(other, self.trace_seconds)
    return self._found[key]


@dataclasses.dataclass(frozen=True)
class _Task:
  """What does not change while a plan is looked for."""

  train_images: int
  val_images: int
  knows_something: bool
  input_seconds: float
  trace_seconds: float

  def stages(self, config: Config, step_seconds: float) -> tuple[StagePlan, ...]:
    planned = stages.plan(config.train, self.knows_something)
    return tuple(self._stage(config, stage, step_seconds) for stage in planned)

  def seconds(self, config: Config, step_seconds: float) -> float:
    of_stages = sum(stage.seconds for stage in self.stages(config, step_seconds))
    return START_SECONDS + of_stages + EXPORT_SECONDS

  def _stage(self, config: Config, stage: StageConfig, step_seconds: float) -> StagePlan:
    steps = math.ceil(self.train_images / config.train.batch_size)
    forward = FORWARD_SHARE * step_seconds + self.input_seconds
    validation = math.ceil(self.val_images / config.train.batch_size) * forward
    copies = feeds.copies_to_keep(config.train, config.augment, stage)
    if copies:
      seconds = copies * steps * forward + validation + stage.epochs * steps * _HEAD_STEP_SECONDS
    elif stage.trainable == 'head':
      seconds = stage.epochs * (steps * forward + validation)
    else:
      seconds = stage.epochs * (steps * (step_seconds + self.input_seconds) + validation)
    return StagePlan(stage.name, stage.epochs, stage.epochs * steps, self.trace_seconds + seconds)


def plan(
  config: Config,
  train_images: int,
  val_images: int,
  classes: int,
  knows_something: bool,
  measure: precision.Measure = precision.measure_step,
  input_seconds: float = 0.0,
  clock: Callable[[], float] = time.monotonic,
) -> Plan:
  """Times a few steps and says how long the training will take here.

  Costs a trace of the network for each candidate precision, and where the budget
  is exceeded one for each image size that is proposed, four at most.

  Args:
    config: image, augment, model and train are read.
    train_images: of an epoch, sampled ones counted as often as they appear.
    val_images: number of images.
    classes: K.
    knows_something: whether the weights at the start are worth a frozen stage.
    measure: seconds of a step of a config under a policy, for K classes.
    input_seconds: to read, decode and augment one batch of these images; kept for every
      image size, since most of it goes by the size of the files.
    clock: tells seconds, for what building and tracing takes.
  """
  stopwatch = _Stopwatch(measure, clock)
  batches = math.ceil(train_images / config.train.batch_size)
  epochs = sum(stage.epochs for stage in stages.plan(config.train, knows_something))
  chosen = precision.choose(config, classes, epochs * batches, stopwatch, clock)
  step_seconds = stopwatch(config, chosen.policy, classes)
  task = _Task(train_images, val_images, knows_something, input_seconds, stopwatch.trace_seconds)
  budget = config.train.budget_minutes
  made = Plan(
    config.image.height,
    config.image.width,
    config.train.batch_size,
    chosen,
    step_seconds,
    input_seconds,
    task.trace_seconds,
    task.stages(config, step_seconds),
    task.seconds(config, step_seconds),
    budget * 60 if budget is not None else None,
  )
  if made.fits:
    return made
  proposal, least = _propose(
    config, task, made, lambda smaller: stopwatch(smaller, chosen.policy, classes)
  )
  return dataclasses.replace(made, proposal=proposal, least_seconds=least)


def _propose(
  config: Config, task: _Task, made: Plan, measure: Callable[[Config], float]
) -> tuple[Proposal | None, float]:
  """Returns what fits, checked by a measurement at its image size, and the shortest training."""
  assert made.budget_seconds is not None
  measured = {_pixels(config): made.step_seconds}
  sized = _smaller_images(config)
  for further in range(_MEASUREMENTS + 1):
    if further == _MEASUREMENTS:
      sized = [one for one in sized if _pixels(one) in measured]
    found = _first_that_fits(config, sized, task, made.budget_seconds, measured)
    if found is None:
      break
    if _pixels(found) in measured:
      step_seconds = measured[_pixels(found)]
      proposal = Proposal(
        _overrides(config, found), task.seconds(found, step_seconds), step_seconds
      )
      return proposal, proposal.seconds
    measured[_pixels(found)] = measure(found)
  shortest = _shortened(_keeping_features(sized[-1], task), 0.0, task)
  return None, task.seconds(shortest, _step_seconds(measured, _pixels(shortest)))


def _first_that_fits(
  config: Config,
  sized: Sequence[Config],
  task: _Task,
  budget: float,
  measured: Mapping[int, float],
) -> Config | None:
  """Returns the config that loses least; see _candidates."""
  for candidate in _candidates(config, sized, task):
    if task.seconds(candidate, _step_seconds(measured, _pixels(candidate))) <= budget:
      return candidate
  return None


def _candidates(config: Config, sized: Sequence[Config], task: _Task) -> Iterator[Config]:
  """Yields configs from the one that loses least to the one that loses most.

  First a frozen stage keeps features. Then, from the largest image to the
  smallest, epochs down to half; then, at the smallest, fewer. Of several with the
  same images the one with most epochs comes first.
  """
  sized = [_keeping_features(one, task) for one in sized]
  most = max(stage.epochs for stage in stages.plan(config.train, task.knows_something))
  half = max(math.ceil(most * _EPOCHS_BEFORE_SIZE), 1)
  for one, epochs in itertools.product(sized, range(most, half - 1, -1)):
    yield _shortened(one, epochs / most, task)
  for epochs in range(half - 1, 0, -1):
    yield _shortened(sized[-1], epochs / most, task)


def _smaller_images(config: Config) -> list[Config]:
  """Returns the config at its own image size and at each smaller one, the largest first."""
  row = backbone_table.BACKBONES.get(backbones.name_of(config.model))
  smallest = row.min_size if row else _SMALLEST_SIDE
  height, width = config.image.height, config.image.width
  sizes = [(height, width)]
  for share in _SIDES[1:]:
    size = (_rounded(height * share), _rounded(width * share))
    if min(size) >= smallest and size not in sizes:
      sizes.append(size)
  return [
    config.model_copy(
      update={'image': config.image.model_copy(update={'height': height, 'width': width})}
    )
    for height, width in sizes
  ]


def _rounded(side: float) -> int:
  return int(side // _SIDE_STEP) * _SIDE_STEP


def _keeping_features(config: Config, task: _Task) -> Config:
  """Returns the config with copies of features, where a stage would then keep them."""
  train = config.train.model_copy(update={'feature_copies': _COPIES})
  planned = stages.plan(train, task.knows_something)
  gains = any(
    feeds.copies_to_keep(train, config.augment, stage)
    and not feeds.copies_to_keep(config.train, config.augment, stage)
    for stage in planned
  )
  return config.model_copy(update={'train': train}) if gains else config


def _shortened(config: Config, share: float, task: _Task) -> Config:
  """Returns the config with a share of its epochs, in each stage one at least.

  A stage that keeps features has all of its epochs: they are not what costs.
  """
  train = config.train

  def fewer(stage: StageConfig) -> StageConfig:
    if feeds.copies_to_keep(train, config.augment, stage):
      return stage
    # A hair above: 7 / 14 of 14 epochs are 7.
    epochs = max(math.floor(stage.epochs * share + 1e-9), 1)
    return stage.model_copy(update={'epochs': epochs})

  shorter = tuple(fewer(stage) for stage in stages.plan(train, task.knows_something))
  if train.stages is not None:
    update: dict = {'stages': shorter}
  else:
    # One stage from scratch, or a frozen one and the rest.
    update = {'epochs': shorter[-1].epochs}
    if len(shorter) > 1:
      update['frozen_epochs'] = shorter[0].epochs
  return config.model_copy(update={'train': train.model_copy(update=update)})


def _pixels(config: Config) -> int:
  return config.image.height * config.image.width


def _step_seconds(measured: Mapping[int, float], pixels: int) -> float:
  """Returns what was measured, or the line through the two sizes that are nearest.

  With one measurement the line goes through the origin: less than that no
  smaller image takes, so what does not fit by it does not fit.
  """
  if pixels in measured:
    return measured[pixels]
  near = sorted(measured, key=lambda size: abs(size - pixels))[:2]
  if len(near) == 1:
    return measured[near[0]] * pixels / near[0]
  slope = (measured[near[1]] - measured[near[0]]) / (near[1] - near[0])
  # Measurements scatter: an image of fewer pixels is never taken to cost more.
  return max(measured[near[0]] + max(slope, 0.0) * (pixels - near[0]), 0.0)


def _overrides(before: Config, after: Config) -> tuple[str, ...]:
  found = []
  for section, fields in (
    ('image', ('height', 'width')),
    ('train', ('feature_copies', 'frozen_epochs', 'epochs')),
  ):
    old, new = (one.model_dump()[section] for one in (before, after))
    found += [f'{section}.{name}={new[name]}' for name in fields if new[name] != old[name]]
  if after.train.stages is not None and after.train.stages != before.train.stages:
    written = [stage.model_dump(exclude_defaults=True) for stage in after.train.stages]
    found.append(f'train.stages={json.dumps(written)}')
  return tuple(found)


def measure_input(config: Config, images: Sequence[bytes], classes: int, batches: int = 3) -> float:
  """Measures what the input of one batch costs, on images of the data set at hand.

  Args:
    config: image, augment and train.batch_size are read.
    images: encoded images, a sample; repeated until they are a batch. Those that the
      decoder refuses are passed over.
    classes: K.
    batches: that are timed.

  Returns:
    Seconds to decode and augment a batch, the median; 0 where no image can be decoded.
  """
  usable = [one for one in images if _decodes(one, config.image)]
  if not usable:
    return 0.0
  size = config.train.batch_size
  encoded = tf.constant(list(itertools.islice(itertools.cycle(usable), size)))
  labels = tf.one_hot(tf.range(size) % classes, classes)

  @tf.function
  def bring(seed: tf.Tensor):
    pixels = decoder.decode_batch(encoded, config.image)
    return augmentation.augment(config.augment, pixels, labels, seed)

  seconds = []
  for number in range(1 + batches):
    began = time.perf_counter()
    bring(tf.constant([config.train.seed, number], tf.int64))
    seconds.append(time.perf_counter() - began)
  return statistics.median(seconds[1:])


def _decodes(encoded: bytes, image: ImageConfig) -> bool:
  try:
    decoder.decode_and_resize(tf.constant(encoded), image)
  except tf.errors.InvalidArgumentError:
    return False
  return True


def in_words(plan: Plan) -> list[str]:
  """Returns the plan for a person, a line each."""
  lines = [
    f'a step takes {plan.step_seconds:.3g} s: {plan.batch_size} images of {plan.height} x '
    f'{plan.width} pixels in {plan.precision.policy}',
    f'precision: {plan.precision.reason}',
  ]
  if plan.input_seconds:
    lines.insert(1, f'to read, decode and augment them takes {plan.input_seconds:.3g} s more')
  lines += [
    f'stage {stage.name}: {stage.epochs} epochs, {stage.steps} steps, {_duration(stage.seconds)}'
    for stage in plan.stages
  ]
  lines.append(f'start and export: {_duration(START_SECONDS + EXPORT_SECONDS)}')
  lines.append(f'the training takes about {_duration(plan.seconds)} at most')
  if plan.budget_seconds is None:
    return lines
  budget = _duration(plan.budget_seconds)
  if plan.fits:
    return [*lines, f'it fits train.budget_minutes: {budget}']
  if plan.proposal is None:
    assert plan.least_seconds is not None
    return [
      *lines,
      f'it does not fit train.budget_minutes: {budget}, and nothing that was looked at does: '
      f'the smallest images and one epoch still take about {_duration(plan.least_seconds)}',
      'next: a smaller model.backbone, fewer images, or a larger train.budget_minutes',
    ]
  options = ' '.join(f'--set {_quoted(one)}' for one in plan.proposal.overrides)
  return [
    *lines,
    f'it does not fit train.budget_minutes: {budget}',
    f'this does, in about {_duration(plan.proposal.seconds)}: {options}',
  ]


def _quoted(override: str) -> str:
  return f"'{override}'" if ' ' in override else override


def _duration(seconds: float) -> str:
  return f'{seconds:.0f} s' if seconds < 100 else f'{seconds / 60:.1f} minutes'
