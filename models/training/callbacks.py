"""What happens at the end of each epoch: curves, progress, and the best weights."""

import csv
import logging
import pathlib
import time

import keras

from schemas.config import StageConfig

# Structured progress: each record carries `event`, a dict. The command line
# shows it; elsewhere it is an ordinary log line.
progress = logging.getLogger('sightline.progress')

COLUMNS = (
  'stage',
  'epoch',
  'loss',
  'accuracy',
  'val_loss',
  'val_accuracy',
  'learning_rate',
  'seconds',
)


class Curves(keras.callbacks.Callback):
  """Appends one row an epoch to curves.csv; the rate is that of the epoch's last step."""

  def __init__(self, path: pathlib.Path, stage: StageConfig, first_epoch: int):
    super().__init__()
    self._path = path
    self._stage = stage
    self._first_epoch = first_epoch
    self._began = 0.0

  def on_epoch_begin(self, epoch, logs=None):
    self._began = time.monotonic()

  def on_epoch_end(self, epoch, logs=None):
    optimizer = self.model.optimizer
    step = int(optimizer.iterations.numpy()) - 1
    row: dict = {name: float(value) for name, value in (logs or {}).items() if name in COLUMNS}
    row |= {
      'stage': self._stage.name,
      'epoch': self._first_epoch + epoch,
      'learning_rate': float(optimizer._learning_rate(step)),
      'seconds': round(time.monotonic() - self._began, 3),
    }
    new = not self._path.exists()
    with open(self._path, 'a', newline='', encoding='utf-8') as stream:
      writer = csv.DictWriter(stream, COLUMNS)
      if new:
        writer.writeheader()
      writer.writerow(row)


class Progress(keras.callbacks.Callback):
  """Reports steps and epochs to the progress logger, at most four times a second."""

  def __init__(self, stage: StageConfig, steps_per_epoch: int):
    super().__init__()
    self._stage = stage
    self._steps = steps_per_epoch
    self._epoch = 0
    self._last = 0.0

  def on_epoch_begin(self, epoch, logs=None):
    self._epoch = epoch

  def on_train_batch_end(self, batch, logs=None):
    if time.monotonic() - self._last > 0.25:
      self._last = time.monotonic()
      self._report('step', self._epoch * self._steps + batch + 1, logs)

  def on_epoch_end(self, epoch, logs=None):
    self._report('epoch', (epoch + 1) * self._steps, logs)

  def _report(self, kind: str, step: int, logs: dict | None) -> None:
    event: dict = {
      'kind': kind,
      'stage': self._stage.name,
      'epoch': self._epoch + 1,
      'epochs': self._stage.epochs,
      'step': step,
      'steps': self._steps * self._stage.epochs,
      **{name: float(value) for name, value in (logs or {}).items()},
    }
    progress.info('training: %s', event, extra={'event': event})


class BestWeights(keras.callbacks.Callback):
  """Keeps the weights of the epoch with the lowest val_loss, over all stages.

  A stage ends after `patience` epochs without a better one. `restore` puts the
  best weights back, whether or not training ended early.
  """

  def __init__(self, patience: int):
    super().__init__()
    self._patience = patience
    self._waited = 0
    self._epoch = 0
    self._weights: list | None = None
    self.best_epoch: int | None = None
    self.best_loss = float('inf')

  def on_train_begin(self, logs=None):
    self._waited = 0

  def on_epoch_end(self, epoch, logs=None):
    loss = float((logs or {})['val_loss'])
    if loss < self.best_loss:
      self.best_loss, self.best_epoch = loss, self._epoch
      self._weights = self.model.get_weights()
      self._waited = 0
    else:
      self._waited += 1
      if self._waited >= self._patience:
        self.model.stop_training = True
    self._epoch += 1

  def restore(self, model: keras.Model) -> None:
    if self._weights is not None:
      model.set_weights(self._weights)
