"""The training loop: stages of epochs of steps, from any position on.

A loop of our own and not Keras' fit, because a training has to go on at the very batch
where it was killed, tell how long it waits for input, watch each gradient norm, and stop
before a value that is not finite reaches the weights.
"""

import contextlib
import dataclasses
import hashlib
import logging
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.training import (
  checkpoints,
  curves,
  energy,
  feeds,
  input_pipeline,
  losses,
  memory,
  nonfinite,
  optimizers,
  sampling,
  schedules,
  stages,
  step,
)
from models.training.data import TrainingData
from models.training.progress import Progress
from models.training.replicas import Replicas
from schemas.config import Config, StageConfig
from schemas.errors import TrainingError

# So many images are looked at before the first epoch, however small a batch is.
_LOOKED_AT = 16
_EPOCHS_TO_LOOK_AT = 100
# Figures are read from the device at most so often, in seconds.
_FIGURES_EVERY = 0.25
# Decoded images may take so much of the memory that is free.
_SHARE_OF_MEMORY = 0.25
# Below it a first epoch says nothing of whether the loss falls.
_ENOUGH_BATCHES = 10

# What a Meter tells of a stage.
_USED = ('seconds', 'cpu_seconds', 'energy_wh')

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class Position:
  """Where a training stands; JSON values, kept with each checkpoint.

  Attributes:
    stage: index in the plan.
    epoch: of the stage, from 0.
    step: batches of that epoch that are done.
    epochs_done: over all stages.
    batches_done: over all stages.
    waited: epochs since the last better val loss.
    best_epoch: counted over all stages, from 0; None before the first.
    best_loss: its val loss.
    rows: of the curves.
    records: of the stages that are over.
    used: seconds, cpu_seconds and energy_wh of the stage so far.
    waiting: seconds that this epoch's steps waited for input.
    training: seconds of this epoch's steps.
    first_loss: of the very first batch, before any update; None before it.
  """

  stage: int = 0
  epoch: int = 0
  step: int = 0
  epochs_done: int = 0
  batches_done: int = 0
  waited: int = 0
  best_epoch: int | None = None
  best_loss: float = math.inf
  rows: list[dict] = dataclasses.field(default_factory=list)
  records: list[dict] = dataclasses.field(default_factory=list)
  used: dict[str, float] = dataclasses.field(default_factory=dict)
  waiting: float = 0.0
  training: float = 0.0
  first_loss: float | None = None


class Loop:
  """One training, from its first batch or from a checkpoint to its best weights."""

  def __init__(
    self,
    model: keras.Model,
    config: Config,
    data: TrainingData,
    kept: checkpoints.Checkpoints,
    run_folder: pathlib.Path,
    replicas: Replicas | None = None,
    rebuild: Callable[[], keras.Model] | None = None,
  ):
    """Prepares a training.

    Args:
      model: from pixels to logits; changed in place.
      config: augment, image and train are read.
      data: records of train and val.
      kept: where checkpoints are written.
      run_folder: receives the curves.
      replicas: those that train together; by default this device alone.
      rebuild: makes the same network anew; asked for by several replicas.
    """
    self._model = model
    self._replicas = replicas or Replicas()
    self._rebuild = rebuild
    self._config = config
    self._kept = kept
    self._folder = run_folder
    classes = len(data.labels)
    self._classes = classes
    train = config.train
    self._order = input_pipeline.Order(
      data.train, data.label_ids, classes, train.batch_size, train.seed, train.sampling
    )
    decoding = input_pipeline.Decoding(data.parse_batch, config.image, classes)
    self._batches = input_pipeline.TrainingBatches(
      self._order, decoding, config.image, config.augment
    )
    validation = input_pipeline.batches(data.val, decoding, train.batch_size)
    if train.keep_decoded and input_pipeline.decoded_bytes(data.val, config.image) < _to_keep():
      validation = validation.cache()
    self._validation = input_pipeline.Repeatedly(validation)
    self._own_validation = self._share_of_validation(data, decoding) or self._validation
    weights = None
    if train.class_weights:
      # Of an epoch as it is shown: sampling has evened the classes out already.
      shown = np.bincount(data.label_ids, weights=self._order.repeats(0), minlength=classes)
      weights = sampling.class_weights(shown)
    self.loss = losses.build(train, weights)
    # What val is scored by does not depend on how train is weighed.
    self._val_loss = losses.build(train, None)
    self._best: list[np.ndarray] | None = None
    self._best_written: int | None = None
    self._written_at = time.monotonic()
    self.position = Position()

  def _share_of_validation(
    self, data: TrainingData, decoding: input_pipeline.Decoding
  ) -> input_pipeline.Repeatedly | None:
    share, train = self._replicas.share, self._config.train
    if share.workers == 1:
      return None
    own = input_pipeline.batches(data.val, decoding, train.batch_size, share)
    if (
      train.keep_decoded and input_pipeline.decoded_bytes(data.val, self._config.image) < _to_keep()
    ):
      own = own.cache()
    return input_pipeline.Repeatedly(own)

  def first_plain_batch(self) -> tuple[np.ndarray, np.ndarray]:
    """Reads and decodes the first batch of train anew, as validation would see it."""
    pixels, labels = next(iter(self.plain_batches()))
    return pixels.numpy(), labels.numpy()

  def first_batches(self) -> tf.data.Dataset:
    """Returns training batches, many epochs of them: for a look before the first."""
    return self._batches.epochs(0, _EPOCHS_TO_LOOK_AT)

  def plain_batches(self) -> tf.data.Dataset:
    """Returns the images of train in file order, as validation would see them."""
    return input_pipeline.batches(
      self._order.records,
      self._batches.decoding,
      max(self._config.train.batch_size, _LOOKED_AT),
    )

  def answer_validation(self, both: Callable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns features float32 [n, d], logits float32 [n, K] and label ids int64 [n] of val.

    Args:
      both: from pixels to features and logits, in inference mode.
    """
    answers = [(*both(pixels), labels) for pixels, labels in self._validation]
    self._validation.close()
    features, logits, labels = (
      np.concatenate([np.asarray(one) for one in part]) for part in zip(*answers, strict=True)
    )
    return features, logits, labels.argmax(axis=1)

  def run(
    self,
    plan: Sequence[StageConfig],
    facts: Mapping[str, Any],
    resumed: checkpoints.Checkpoint | None = None,
  ) -> Position:
    """Trains through all stages; the model ends with the weights of the best epoch.

    Args:
      plan: the stages.
      facts: JSON values that each checkpoint carries, for whoever resumes.
      resumed: goes on from there; without it from the start.

    Raises:
      TrainingError: the loss is not finite, or a checkpoint cannot be written.
    """
    self._facts = dict(facts)
    if resumed:
      self._take(resumed)
    self._curves = curves.Curves(self._folder, self.position.rows)
    if self._config.train.keep_decoded and sum(stage.epochs for stage in plan) > 1:
      self._keep_decoded()
    try:
      with self._replicas.noticing_loss(self._kept.folder), self._on_every_replica():
        for index in range(self.position.stage, len(plan)):
          at_hand = resumed if resumed and index == resumed.meta['position']['stage'] else None
          _Stage(self, plan[index], at_hand).run()
    finally:
      self._validation.close()
      self._own_validation.close()
      self._curves.close()
    return self.position

  @contextlib.contextmanager
  def _on_every_replica(self) -> Iterator[None]:
    """Trains a copy of the network that lies on every replica, where there are several."""
    if not self._replicas.strategy:
      yield
      return
    assert self._rebuild is not None
    model = self._model
    state = [_array(variable) for variable in model.variables]
    digest = hashlib.sha256(b''.join(value.tobytes() for value in state)).hexdigest()
    began_at = {'batches': self.position.batches_done, 'weights': digest}
    self._replicas.expect_same('where the training begins', began_at)
    with self._replicas.scope():
      self._model = self._rebuild()
    for variable, value in zip(self._model.variables, state, strict=True):
      variable.assign(value)
    self._replicas.part_seeds(self._model)
    try:
      yield
    finally:
      self._bring_back(model)
      self._model = model

  def _bring_back(self, model: keras.Model) -> None:
    for variable, trained in zip(model.variables, self._model.variables, strict=True):
      variable.assign(_array(trained))

  def _keep_decoded(self) -> None:
    # An array and the tensor made of it lie in memory for a moment.
    most = _to_keep() // 2
    began = time.monotonic()
    if self._batches.keep_decoded(most):
      _log.info('decoded every image of train in %.1f s, and kept it', time.monotonic() - began)
    else:
      _log.info('images are decoded in each epoch: all of them would take over %.0f MB', most / 1e6)

  def _take(self, checkpoint: checkpoints.Checkpoint) -> None:
    self.position = Position(**checkpoint.meta['position'])
    self._best = checkpoint.best
    self._best_written = self.position.best_epoch
    for number, variable in enumerate(self._model.variables):
      variable.assign(checkpoint.arrays[f'model{number}'])
    _log.info(
      'going on from %s: stage %d, epoch %d, batch %d',
      checkpoint.path,
      self.position.stage + 1,
      self.position.epoch + 1,
      self.position.step,
    )

  def save(self, optimizer: keras.optimizers.Optimizer | None, more: Mapping[str, Any]) -> None:
    """Writes a checkpoint of this very moment; of several workers the chief does."""
    if not self._replicas.is_chief:
      return
    if self._best is not None and self._best_written != self.position.best_epoch:
      assert self.position.best_epoch is not None
      self._kept.save_best(self.position.best_epoch, self._best)
      self._best_written = self.position.best_epoch
    arrays = {f'model{i}': _array(value) for i, value in enumerate(self._model.variables)}
    if optimizer is not None:
      arrays |= {f'optimizer{i}': _array(value) for i, value in enumerate(optimizer.variables)}
    meta = {
      'position': dataclasses.asdict(self.position),
      'best_epoch': self.position.best_epoch,
      'facts': self._facts,
      **more,
    }
    self._kept.save(self.position.batches_done, meta, arrays)
    self._written_at = time.monotonic()

  def due(self) -> bool:
    """Returns whether so much has been done since the last checkpoint that one is due."""
    return time.monotonic() - self._written_at >= self._config.train.checkpoint_seconds

  def end_epoch(self, row: dict, val_loss: float) -> bool:
    """Takes an epoch's figures; returns whether it is the best so far."""
    position = self.position
    position.rows.append(row)
    self._curves.append(row)
    better = val_loss < position.best_loss
    if better:
      position.best_loss, position.best_epoch, position.waited = val_loss, position.epochs_done, 0
      self._best = self._model.get_weights()
    else:
      position.waited += 1
    position.epochs_done += 1
    return better

  def restore_best(self) -> None:
    """Puts the weights of the best epoch so far into the model."""
    if self._best is not None:
      self._model.set_weights(self._best)


class _Stage:
  """One stage of a Loop, from its first batch or from a checkpoint."""

  def __init__(self, loop: Loop, config: StageConfig, resumed: checkpoints.Checkpoint | None):
    self._meter = energy.Meter()
    self._meter.__enter__()
    self._loop = loop
    self._config = config
    train = loop._config.train
    self._train = train
    stages.apply(loop._model, config)
    self._steps = loop._order.steps()
    self._feed, self._cached = self._choose_feed()
    self._schedule = schedules.build(train, config, self._steps / train.accumulate)
    with loop._replicas.scope():
      optimizer = optimizers.build(train, config, self._schedule, loop._model)
    self._inner = optimizer
    if keras.config.dtype_policy().compute_dtype == 'float16':
      optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    self._optimizer = optimizer
    self._optimizer.build(loop._model.trainable_variables)
    self._step = step.TrainStep(
      self._feed.train_logits,
      loop._model,
      loop.loss,
      optimizer,
      self._feed.inputs,
      loop._classes,
      loop._replicas,
      train.batch_size,
    )
    self._evaluate = step.EvaluationStep(
      self._feed.logits, loop._val_loss, self._feed.inputs, loop._classes, loop._replicas
    )
    self._batches: Iterator = iter(())
    self._progress = Progress(config.name, config.epochs, self._steps, train.batch_size)
    if resumed:
      self._take(resumed)

  def run(self) -> None:
    position = self._loop.position
    first_row = position.epochs_done - position.epoch
    left = self._config.epochs - position.epoch
    # None is left after a kill between the checkpoint of the last epoch and that of the stage.
    if left and not self._is_exhausted():
      self._batches = iter(self._feed.epochs(position.epochs_done, left, position.step))
    try:
      while position.epoch < self._config.epochs and not self._is_exhausted():
        self._epoch()
    finally:
      # The frames of an error would keep its threads at work while the interpreter ends.
      self._batches = iter(())
    # Even where no epoch was better than one of the stage before.
    self._loop.restore_best()
    self._account()
    rows = position.rows[first_row:]
    position.records.append(self._record(rows))
    position.stage += 1
    position.epoch = position.step = position.waited = 0
    position.used = {}
    self._loop.save(None, {})

  def _is_exhausted(self) -> bool:
    return self._loop.position.waited >= self._train.early_stopping_patience

  def _account(self) -> None:
    """Adds what was used since the last call to what the stage has used."""
    self._meter.__exit__(None, None, None)
    used = self._loop.position.used
    for name in _USED:
      used[name] = used.get(name, 0.0) + getattr(self._meter, name)
    self._meter = energy.Meter()
    self._meter.__enter__()

  def _epoch(self) -> None:
    position = self._loop.position
    if position.step == 0:
      self._step.reset()
      position.waiting = position.training = 0.0
    self._take_steps()
    self._end_epoch()
    if self._loop.due():
      self._save()

  def _take_steps(self) -> None:
    position = self._loop.position
    shown = -math.inf
    while position.step < self._steps:
      began = time.monotonic()
      inputs, labels = next(self._batches)
      fed = time.monotonic()
      if not self._step(inputs, labels):
        self._stop(inputs, labels)
      ended = time.monotonic()
      position.waiting += fed - began
      position.training += ended - began
      position.step += 1
      position.batches_done += 1
      if position.batches_done == 1:
        position.first_loss = self._step.figures().loss
      if ended - shown >= _FIGURES_EVERY:
        shown = ended
        self._progress.step(position.epoch + 1, position.step, self._figures())
      if position.step < self._steps and self._loop.due():
        self._save()

  def _end_epoch(self) -> None:
    position = self._loop.position
    began = time.monotonic()
    figures = self._figures()
    self._loop._replicas.level(self._loop._model)
    with _averaged(self._inner, self._loop._model):
      val_loss, val_accuracy = self._evaluate(self._feed.validation)
      if not math.isfinite(val_loss):
        raise TrainingError(
          f'stage {self._config.name}, epoch {position.epoch + 1}: the loss on val is not finite. '
          'Next: a lower train.learning_rate, or train.precision: float32.'
        )
      figures |= {'val_loss': val_loss, 'val_accuracy': val_accuracy}
      images = int(self._step.sums.numpy()[2])
      row = {
        'stage': self._config.name,
        'epoch': position.epochs_done + 1,
        **figures,
        'images_per_second': images / max(position.training, 1e-9),
        'seconds': position.training + time.monotonic() - began,
      }
      self._loop.end_epoch(row, val_loss)
    self._schedule.observe(val_loss)
    if position.epochs_done == 1:
      self._look_at_first_epoch(figures['loss'])
    position.epoch += 1
    position.step = 0
    self._progress.epoch(position.epoch, figures)

  def _look_at_first_epoch(self, loss: float) -> None:
    """Says so where the loss was no lower over the first epoch than at its first batch."""
    first = self._loop.position.first_loss
    # The first of a few batches is too large a part of their mean.
    if first is None or self._steps < _ENOUGH_BATCHES or loss < first:
      return
    self._progress.note(
      f'the loss did not fall in the first epoch: {first:.4g} at the first batch, {loss:.4g} on '
      'average. Look at train.learning_rate (train.find_rate: show draws the curve).'
    )

  def _figures(self) -> dict[str, float]:
    position = self._loop.position
    sums = self._step.figures()
    return {
      'loss': sums.loss,
      'accuracy': sums.accuracy,
      'gradient_norm': sums.gradient_norm,
      'learning_rate': self._rate(),
      'waiting_share': position.waiting / max(position.training, 1e-9),
    }

  def _rate(self) -> float:
    """Returns the rate of the last update."""
    updates = int(self._inner.iterations.numpy())
    return float(self._schedule(max(updates - 1, 0)))

  def _stop(self, inputs: tf.Tensor, labels: tf.Tensor) -> None:
    position = self._loop.position
    where = (
      f'stage {self._config.name}, epoch {position.epoch + 1}, batch {position.step + 1} of '
      f'{self._steps}'
    )
    self._save()
    cause = 'features that were kept from a frozen backbone'
    if isinstance(self._feed, feeds.PixelFeed):
      cause = nonfinite.first_bad_layer(
        self._loop._model, inputs.numpy(), labels.numpy(), self._loop.loss
      )
    raise TrainingError(
      f'{where}: the loss or its gradient is not finite. {cause} The weights from before this '
      f'batch are kept in {self._loop._kept.folder}. Next: a lower train.learning_rate '
      f'(now {self._config.learning_rate:g}), or train.precision: float32.'
    )

  def _save(self) -> None:
    self._account()
    self._loop.save(
      self._optimizer,
      {'schedule': self._schedule.state(), 'sums': self._step.sums.numpy().tolist()},
    )

  def _take(self, checkpoint: checkpoints.Checkpoint) -> None:
    if 'schedule' not in checkpoint.meta:
      return  # written between two stages: this one begins
    for number, variable in enumerate(self._optimizer.variables):
      variable.assign(checkpoint.arrays[f'optimizer{number}'])
    self._schedule.restore(checkpoint.meta['schedule'])
    self._step.sums.assign(checkpoint.meta['sums'])

  def _choose_feed(self) -> tuple[feeds.Feed, feeds.Cached | None]:
    loop = self._loop
    copies = feeds.copies_to_keep(self._train, loop._config.augment, self._config)
    # Several replicas compute the features of their own images in each epoch.
    if copies and not loop._replicas.strategy:
      cached = feeds.cache(loop._model, loop._batches, loop._validation, copies)
      if cached:
        return cached.feed, cached
    head_only = self._config.trainable == 'head'
    share = loop._replicas.share
    feed = feeds.PixelFeed(loop._model, loop._batches, loop._own_validation, head_only, share)
    return feed, None

  def _record(self, rows: list[dict]) -> dict:
    best = min(rows, key=lambda row: row['val_loss'])
    record = {
      **self._config.model_dump(),
      'epochs_run': len(rows),
      'accuracy': best['accuracy'],
      'val_accuracy': best['val_accuracy'],
      'rates': optimizers.rates(self._inner, self._schedule.warmup_steps),
      'cached_features': None,
      **self._loop.position.used,
    }
    if self._cached:
      uncached = self._cached.seconds_an_epoch * len(rows)
      head = sum(row['seconds'] for row in rows)
      record['cached_features'] = {
        'copies': self._cached.copies,
        'seconds_to_compute': round(self._cached.seconds, 2),
        'speed_up': (uncached + head) / (self._cached.seconds + head),
      }
    return record


def _to_keep() -> int:
  """Returns how many bytes decoded images may take."""
  return int(_SHARE_OF_MEMORY * memory.available())


@contextlib.contextmanager
def _averaged(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> Iterator[None]:
  """Puts the moving average of the weights, where there is one, in their place."""
  optimizers.swap_in_average(optimizer, model)
  try:
    yield
  finally:
    optimizers.swap_back(optimizer, model)


def _array(variable) -> np.ndarray:
  return np.asarray(variable.numpy() if hasattr(variable, 'numpy') else variable)
