"""What a stage trains on: pixels, or features that a frozen backbone computed once.

A feed brings the batches of an epoch and says how they become logits. Where only the
head is trained, the backbone runs in inference mode, so that its features are the same
in every epoch and may be kept; kept or not, the head sees the same batches.
"""

import dataclasses
import logging
import time
from collections.abc import Iterable
from typing import Protocol

import keras
import tensorflow as tf

from models import augmentation
from models.training import memory, network_parts
from models.training.input_pipeline import Order, TrainingBatches
from models.training.replicas import Share
from schemas.config import AugmentConfig, StageConfig, TrainConfig

# Features may take so much of the memory that is free.
_SHARE_OF_MEMORY = 0.25

_log = logging.getLogger(__name__)


class Feed(Protocol):
  """The batches of a stage and the way from them to logits."""

  inputs: tf.TensorSpec
  validation: Iterable

  def epochs(self, first: int, epochs: int, skip: int = 0) -> tf.data.Dataset: ...

  def train_logits(self, inputs: tf.Tensor) -> tf.Tensor: ...

  def logits(self, inputs: tf.Tensor) -> tf.Tensor: ...


class PixelFeed:
  """Decoded and augmented images."""

  def __init__(
    self,
    model: keras.Model,
    batches: TrainingBatches,
    validation: Iterable,
    head_only: bool,
    share: Share | None = None,
  ):
    self.inputs = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    self.validation = validation
    self._model = model
    self._batches = batches
    self._share = share
    self._parts = (
      (network_parts.to_features(model), network_parts.head(model)) if head_only else None
    )

  def epochs(self, first: int, epochs: int, skip: int = 0) -> tf.data.Dataset:
    """Returns the batches of epochs, counted over all stages."""
    return self._batches.epochs(first, epochs, skip, self._share)

  def train_logits(self, pixels: tf.Tensor) -> tf.Tensor:
    """Returns logits in training mode; a frozen backbone stays in inference mode."""
    if self._parts is None:
      return self._model(pixels, training=True)
    to_features, head = self._parts
    return head(to_features(pixels, training=False), training=True)

  def logits(self, pixels: tf.Tensor) -> tf.Tensor:
    """Returns logits in inference mode."""
    return self._model(pixels, training=False)


@dataclasses.dataclass(frozen=True)
class Features:
  """Features and labels of every image of a split, in file order.

  Attributes:
    values: float [n, C], as the backbone computes.
    labels: float32 [n, K]; mixed where the images were.
  """

  values: tf.Tensor
  labels: tf.Tensor


class FeatureFeed:
  """Features of a frozen backbone: one set, or a set for each augmented copy."""

  def __init__(
    self, model: keras.Model, order: Order, copies: list[Features], validation: Features
  ):
    self.inputs = tf.TensorSpec([None, copies[0].values.shape[1]], copies[0].values.dtype)
    self._order = order
    self._copies = copies
    self._values = tf.concat([copy.values for copy in copies], axis=0)
    self._labels = tf.concat([copy.labels for copy in copies], axis=0)
    self._head = network_parts.head(model)
    self.validation = tf.data.Dataset.from_tensors((validation.values, validation.labels))

  def epochs(self, first: int, epochs: int, skip: int = 0) -> tf.data.Dataset:
    """Returns the batches of epochs, which take the copies in turn."""
    count = len(self._copies[0].values)
    arranged = self._order.arrange(tf.data.Dataset.range(count), first, epochs, skip)
    steps = self._order.steps()

    def chosen(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]):
      positions, _ = batch
      epoch = first + (skip + number) // steps
      rows = positions + count * (epoch % len(self._copies))
      return tf.gather(self._values, rows), tf.gather(self._labels, rows)

    return arranged.enumerate().map(chosen).prefetch(tf.data.AUTOTUNE)

  def train_logits(self, features: tf.Tensor) -> tf.Tensor:
    """Returns logits in training mode."""
    return self._head(features, training=True)

  def logits(self, features: tf.Tensor) -> tf.Tensor:
    """Returns logits in inference mode."""
    return self._head(features, training=False)


@dataclasses.dataclass(frozen=True)
class Cached:
  """Features that were computed, and what that cost.

  Attributes:
    feed: for the stage.
    copies: of each image of train.
    seconds: to compute them all, those of val included.
    seconds_an_epoch: what one uncached epoch would take for the features alone.
  """

  feed: FeatureFeed
  copies: int
  seconds: float
  seconds_an_epoch: float


def copies_to_keep(train: TrainConfig, augment: AugmentConfig, stage: StageConfig) -> int:
  """Returns how many copies of each image a stage keeps features of; 0 keeps none.

  Without augmentation one copy is all there is. With it each epoch shows new pixels, and
  copies are kept only where train.feature_copies says how many stand for them; as many
  copies as epochs would save nothing.
  """
  if stage.trainable != 'head':
    return 0
  if augmentation.is_identity(augment):
    return 1
  return train.feature_copies if train.feature_copies < stage.epochs else 0


def cache(
  model: keras.Model,
  batches: TrainingBatches,
  validation: Iterable,
  copies: int,
) -> Cached | None:
  """Computes the features of train and val; None where they would not fit in memory.

  Args:
    model: the classifier; its backbone is frozen.
    batches: of train.
    validation: (pixels, labels) of val, in file order.
    copies: at least 1.
  """
  to_features = network_parts.to_features(model)
  width = to_features.output_shape[-1]
  bytes_needed = 4 * copies * batches.order.records.count * (width + batches.order.classes)
  limit = int(_SHARE_OF_MEMORY * memory.available())
  if bytes_needed > limit:
    _log.warning(
      'features of %d copies would take %.0f MB, more than a quarter of the free memory: not kept',
      copies,
      bytes_needed / 1e6,
    )
    return None
  compute = tf.function(
    lambda pixels: to_features(pixels, training=False),
    input_signature=[tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)],
    autograph=False,
  )
  began = time.monotonic()
  kept_validation = _features(compute, validation)
  # With the trace behind it, and without it in the figure.
  train_began = time.monotonic()
  kept = [_features(compute, batches.in_file_order(copy)) for copy in range(copies)]
  ended = time.monotonic()
  return Cached(
    FeatureFeed(model, batches.order, kept, kept_validation),
    copies,
    ended - began,
    (ended - train_began) / copies,
  )


def _features(compute, batches: Iterable) -> Features:
  values, labels = [], []
  for pixels, batch_labels in batches:
    values.append(compute(pixels))
    labels.append(batch_labels)
  return Features(tf.concat(values, axis=0), tf.concat(labels, axis=0))
