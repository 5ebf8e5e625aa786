"""Batches for training and validation, read from the records that ExampleGen wrote.

An epoch of training is a pure function of the seed and the epoch's number: its order,
its augmentation and, where classes are resampled, its choice. So a training that was
interrupted goes on at the very batch that it had come to.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import numpy as np
import tensorflow as tf

from models import augmentation, decoder
from models.records import Records, read_records
from models.training import sampling
from schemas import features
from schemas.config import AugmentConfig, ImageConfig

# The shuffle buffer holds encoded images, of some kilobytes each or of some megabytes.
_SHUFFLE_BYTES = 1 << 30
# More of small ones mix no better: the records lie in an order by chance already.
_SHUFFLE_RECORDS = 10_000


def shuffle_buffer(records: Records, batch_size: int) -> int:
  """Returns how many records the shuffle buffer may hold: 1 GiB of them, or 10,000.

  At least one batch, however large its images are.
  """
  mean = max(records.size // max(records.count, 1), 1)
  return max(min(_SHUFFLE_BYTES // mean, _SHUFFLE_RECORDS), batch_size)


def parse(raw_feature_spec: dict, transform: Callable) -> Callable:
  """Returns a map from serialised examples, string [N], to (image bytes, label ids)."""

  def parse_batch(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    transformed = transform(tf.io.parse_example(serialized, raw_feature_spec))
    return transformed[features.IMAGE], transformed[features.LABEL_ID]

  return parse_batch


class Decoding:
  """Serialised examples to pixels and one-hot labels; traced once for all epochs."""

  def __init__(self, parse_batch: Callable, image: ImageConfig, classes: int):
    strings = tf.TensorSpec([None], tf.string)

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      image_bytes, label_ids = parse_batch(serialized)
      return decoder.decode_batch(image_bytes, image), tf.one_hot(label_ids, classes)

    self.decode = tf.function(decode, input_signature=[strings])


def batches(records: Records, decoding: Decoding, batch_size: int) -> tf.data.Dataset:
  """Returns (pixels, one-hot labels) in file order: what validation sees.

  Pixels are float32 [N, height, width, 3], 0..255; labels float32 [N, classes].
  """
  batched = read_records(records.files).batch(batch_size)
  decoded = batched.map(decoding.decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
  return decoded.apply(tf.data.experimental.assert_cardinality(records.steps(batch_size))).prefetch(
    tf.data.AUTOTUNE
  )


@dataclasses.dataclass(frozen=True)
class Order:
  """Which images an epoch of training shows, and in which order.

  Attributes:
    records: of train.
    label_ids: int64 [n], of the records in file order.
    classes: K.
    batch_size: images a batch.
    seed: of the training.
    sampling: `none`, `oversample` or `undersample`.
  """

  records: Records
  label_ids: np.ndarray
  classes: int
  batch_size: int
  seed: int
  sampling: Literal['none', 'oversample', 'undersample'] = 'none'

  def repeats(self, epoch: int) -> np.ndarray:
    """Returns how often each record appears in an epoch: int64 [n]."""
    return sampling.repeats(self.label_ids, self.classes, self.sampling, self.seed, epoch)

  def steps(self) -> int:
    """Returns the number of batches in an epoch; the same in every one."""
    return -(-int(self.repeats(0).sum()) // self.batch_size)

  def arrange(self, values: tf.data.Dataset, epoch: int, skip: int = 0) -> tf.data.Dataset:
    """Puts one value a record, in file order, into the batches of an epoch.

    Args:
      values: of any structure; as many as there are records.
      epoch: counted over all stages.
      skip: batches at the head to leave out, before anything is done with them.

    Returns:
      (batched values, int64 [2] seed of the batch).
    """
    order_seed, batch_seed = seeds(self.seed, epoch)
    if self.sampling != 'none':
      repeats = tf.data.Dataset.from_tensor_slices(self.repeats(epoch))
      values = tf.data.Dataset.zip(values, repeats).flat_map(
        lambda value, times: tf.data.Dataset.from_tensors(value).repeat(times)
      )
    batched = (
      values.shuffle(
        shuffle_buffer(self.records, self.batch_size),
        seed=order_seed,
        reshuffle_each_iteration=False,
      )
      .batch(self.batch_size)
      .skip(skip)
    )
    numbers = tf.data.Dataset.range(skip, self.steps())
    return tf.data.Dataset.zip(batched, numbers.map(lambda number: tf.stack([batch_seed, number])))


class TrainingBatches:
  """Shuffled, augmented batches of train, an epoch at a time."""

  def __init__(self, order: Order, decoding: Decoding, image: ImageConfig, augment: AugmentConfig):
    self.order = order
    self.decoding = decoding

    def change(pixels: tf.Tensor, labels: tf.Tensor, batch_seed: tf.Tensor):
      return augmentation.augment(augment, pixels, labels, batch_seed)

    # One trace for all epochs.
    self._change = tf.function(
      change,
      input_signature=[
        tf.TensorSpec([None, image.height, image.width, 3], tf.float32),
        tf.TensorSpec([None, order.classes], tf.float32),
        tf.TensorSpec([2], tf.int64),
      ],
    )

  def epoch(self, epoch: int, skip: int = 0) -> tf.data.Dataset:
    """Returns (pixels, labels) of one epoch; the same whenever it is asked for.

    Args:
      epoch: counted over all stages, from 0.
      skip: batches at its head to leave out.

    Returns:
      Pixels float32 [N, height, width, 3], 0..255; labels float32 [N, classes], which
      sum to 1.
    """

    def decode_and_change(serialized: tf.Tensor, batch_seed: tf.Tensor):
      return self._change(*self.decoding.decode(serialized), batch_seed)

    arranged = self.order.arrange(read_records(self.order.records.files), epoch, skip)
    return arranged.map(
      decode_and_change, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ).prefetch(tf.data.AUTOTUNE)

  def in_file_order(self, copy: int) -> tf.data.Dataset:
    """Returns every image once, augmented as copy number `copy`: for features that are kept.

    Returns:
      (pixels, labels), as `epoch` gives them.
    """
    _, batch_seed = seeds(self.order.seed, -1 - copy)
    numbers = tf.data.Dataset.counter().map(lambda number: tf.stack([batch_seed, number]))
    batched = read_records(self.order.records.files).batch(self.order.batch_size)
    return (
      tf.data.Dataset.zip(batched, numbers)
      .map(
        lambda serialized, seed: self._change(*self.decoding.decode(serialized), seed),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
      )
      .prefetch(tf.data.AUTOTUNE)
    )


def seeds(seed: int, epoch: int) -> tuple[int, int]:
  """Returns two independent 31-bit seeds of an epoch: of its order, and of its changes."""
  # NumPy's sequence wants numbers from 0; epochs below 0 are those of kept features.
  state = np.random.SeedSequence([seed % 2**32, epoch % 2**32]).generate_state(2)
  return int(state[0] >> 1), int(state[1] >> 1)
