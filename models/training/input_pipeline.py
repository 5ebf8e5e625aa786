"""Batches for training and validation, read from the records that ExampleGen wrote.

An epoch of training is a pure function of the seed and the epoch's number: its order,
its augmentation and, where classes are resampled, its choice. So a training that was
interrupted goes on at the very batch that it had come to.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import tensorflow as tf

from models import augmentation, decoder
from models.records import Records, read_records
from models.training import sampling
from models.training.replicas import Share
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

    self.decode = tf.function(decode, input_signature=[strings], autograph=False)


def batches(
  records: Records, decoding: Decoding, batch_size: int, share: Share | None = None
) -> tf.data.Dataset:
  """Returns (pixels, one-hot labels) in file order: what validation sees.

  Of several workers each takes every W-th batch.

  Pixels are float32 [N, height, width, 3], 0..255; labels float32 [N, classes].
  """
  batched, steps = read_records(records.files).batch(batch_size), records.steps(batch_size)
  if share and share.workers > 1:
    batched, steps = batched.shard(share.workers, share.worker), share.of_steps(steps)
  decoded = batched.map(decoding.decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
  return decoded.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(tf.data.AUTOTUNE)


def decoded_bytes(records: Records, image: ImageConfig) -> int:
  """Returns what the pixels of all images take, as float32."""
  return 4 * records.count * image.height * image.width * 3


class Repeatedly:
  """Batches that are gone through again and again by one iterator.

  Making one takes a third of a second, which is much where an epoch takes one.
  """

  def __init__(self, batches: tf.data.Dataset):
    """Takes a data set of known and finite cardinality."""
    self._batches = batches
    self._count = int(batches.cardinality())
    self._iterator: Iterator | None = None

  def __iter__(self) -> Iterator:
    """Goes through all of them once; the pass before has to be at its end."""
    if self._iterator is None:
      self._iterator = iter(self._batches.repeat())
    yield from itertools.islice(self._iterator, self._count)

  def close(self) -> None:
    """Ends what reads ahead; afterwards the batches begin anew."""
    self._iterator = None


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

  def arrange(
    self, values: tf.data.Dataset, first: int, epochs: int, skip: int = 0
  ) -> tf.data.Dataset:
    """Puts one value a record, in file order, into the batches of several epochs.

    Args:
      values: of any structure; as many as there are records.
      first: epoch, counted over all stages.
      epochs: how many, that one included.
      skip: batches at its head to leave out, before anything is done with them.

    Returns:
      (batched values, int64 [2] seed of the batch).
    """
    numbers = range(first, first + epochs)
    # A row an epoch, and one graph for all of them: another data set each epoch would
    # cost the time of a trace each.
    rows: dict[str, np.ndarray] = {
      'seeds': np.array([seeds(self.seed, number) for number in numbers], np.int64),
      'skip': np.array([skip] + [0] * (epochs - 1), np.int64),
    }
    if self.sampling != 'none':
      rows['repeats'] = np.array([self.repeats(number) for number in numbers])
    steps, buffer = self.steps(), shuffle_buffer(self.records, self.batch_size)

    def epoch(row: dict[str, tf.Tensor]) -> tf.data.Dataset:
      # Of this graph: beside a global seed of 0 shuffle takes no tensor for its own.
      tf.random.set_seed(1)
      shown = values
      if 'repeats' in row:
        repeats = tf.data.Dataset.from_tensor_slices(row['repeats'])
        shown = tf.data.Dataset.zip(values, repeats).flat_map(
          lambda value, times: tf.data.Dataset.from_tensors(value).repeat(times)
        )
      batched = shown.shuffle(buffer, seed=row['seeds'][0], reshuffle_each_iteration=False).batch(
        self.batch_size
      )
      numbered = tf.data.Dataset.range(steps).map(
        lambda number: tf.stack([row['seeds'][1], number])
      )
      return tf.data.Dataset.zip(batched, numbered).skip(row['skip'])

    return tf.data.Dataset.from_tensor_slices(rows).flat_map(epoch)


class TrainingBatches:
  """Shuffled, augmented batches of train."""

  def __init__(self, order: Order, decoding: Decoding, image: ImageConfig, augment: AugmentConfig):
    self.order = order
    self.decoding = decoding

    def change(pixels: tf.Tensor, labels: tf.Tensor, batch_seed: tf.Tensor):
      return augmentation.augment(augment, pixels, labels, batch_seed)

    self._image = image
    # Pixels and labels of every image, in file order, once they were decoded.
    self._kept: tuple[tf.Tensor, tf.Tensor] | None = None
    # One trace, whatever it is called for.
    self._change = tf.function(
      change,
      input_signature=[
        tf.TensorSpec([None, image.height, image.width, 3], tf.float32),
        tf.TensorSpec([None, order.classes], tf.float32),
        tf.TensorSpec([2], tf.int64),
      ],
      autograph=False,
    )

  def keep_decoded(self, most_bytes: int) -> bool:
    """Decodes every image now and keeps it, where that takes no more than so many bytes.

    The batches stay what they were, bit for bit; each epoch is spared the decoding, which
    on a CPU takes its time from the training.

    Returns:
      Whether they are kept.
    """
    records, size = self.order.records, (self._image.height, self._image.width)
    if decoded_bytes(records, self._image) > most_bytes:
      return False
    # By the host, whatever trains.
    with tf.device('CPU:0'):
      pixels: np.ndarray = np.empty((records.count, *size, 3), np.float32)
      labels: np.ndarray = np.empty((records.count, self.order.classes), np.float32)
      start = 0
      for some_pixels, some_labels in batches(records, self.decoding, self.order.batch_size):
        end = start + len(some_pixels)
        pixels[start:end], labels[start:end] = some_pixels.numpy(), some_labels.numpy()
        start = end
      self._kept = tf.constant(pixels), tf.constant(labels)
    return True

  def epochs(
    self, first: int, epochs: int, skip: int = 0, share: Share | None = None
  ) -> tf.data.Dataset:
    """Returns (pixels, labels) of several epochs; the same whenever it is asked for.

    Args:
      first: epoch, counted over all stages, from 0.
      epochs: how many, that one included.
      skip: batches at its head to leave out.
      share: of each batch, where several workers have one each; augmentation is drawn for a
        worker's rows, not for the batch. Where a batch has no row for a worker, it gets one
        whose label is all zeros.

    Returns:
      Pixels float32 [N, height, width, 3], 0..255; labels float32 [N, classes], which
      sum to 1.
    """
    return self._prepared(self.order.arrange(self._values(), first, epochs, skip), share)

  def in_file_order(self, copy: int) -> tf.data.Dataset:
    """Returns every image once, augmented as copy number `copy`: for features that are kept.

    Returns:
      (pixels, labels), as `epochs` gives them.
    """
    _, batch_seed = seeds(self.order.seed, -1 - copy)
    numbers = tf.data.Dataset.counter().map(lambda number: tf.stack([batch_seed, number]))
    batched = self._values().batch(self.order.batch_size)
    return self._prepared(tf.data.Dataset.zip(batched, numbers))

  def _values(self) -> tf.data.Dataset:
    """Returns a value an image, in file order: its place among those kept, or its record."""
    if self._kept is None:
      return read_records(self.order.records.files)
    return tf.data.Dataset.range(self.order.records.count)

  def _decoded(self, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    if self._kept is None:
      return self.decoding.decode(values)
    return tf.gather(self._kept[0], values), tf.gather(self._kept[1], values)

  def _prepared(self, batched: tf.data.Dataset, share: Share | None = None) -> tf.data.Dataset:
    def whole(values: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      return self._change(*self._decoded(values), seed)

    def shared(values: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
      assert share is not None
      first, end = share.of_batch(tf.shape(values)[0])
      own = tf.stack([seed[0], seed[1] * share.workers + share.worker])
      pixels, labels = whole(values[first : tf.maximum(end, first + 1)], own)
      return pixels, labels * tf.cast(end > first, labels.dtype)

    prepared = batched.map(
      shared if share and share.workers > 1 else whole,
      num_parallel_calls=tf.data.AUTOTUNE,
      deterministic=True,
    ).prefetch(tf.data.AUTOTUNE)
    return prepared.with_options(_beside_training())


def _beside_training() -> tf.data.Options:
  """Returns what keeps the input off one core, where the training runs on the cores, too.

  An operation of the training ends when its slowest thread does: input that takes every
  core for a moment holds up all of it (benchmarks/training_step.py).
  """
  options = tf.data.Options()
  if not tf.config.list_physical_devices('GPU'):
    options.threading.private_threadpool_size = max(len(os.sched_getaffinity(0)) - 1, 1)
    options.threading.max_intra_op_parallelism = 1
  return options


def seeds(seed: int, epoch: int) -> tuple[int, int]:
  """Returns two independent 31-bit seeds of an epoch: of its order, and of its changes."""
  # NumPy's sequence wants numbers from 0; epochs below 0 are those of kept features.
  state = np.random.SeedSequence([seed % 2**32, epoch % 2**32]).generate_state(2)
  return int(state[0] >> 1), int(state[1] >> 1)
