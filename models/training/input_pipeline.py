"""Batches for training and validation, read from the records that ExampleGen wrote."""

from collections.abc import Callable

import tensorflow as tf

from models import augmentation, decoder
from models.records import Records, read_records
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


def batches(
  records: Records,
  parse_batch: Callable,
  image: ImageConfig,
  classes: int,
  batch_size: int,
) -> tf.data.Dataset:
  """Returns (pixels, one-hot labels) in file order: what validation sees.

  Pixels are float32 [N, height, width, 3], 0..255; labels float32 [N, classes].
  """
  batched = read_records(records.files).batch(batch_size)
  decoded = _decode(batched, parse_batch, image, classes)
  return decoded.apply(tf.data.experimental.assert_cardinality(records.steps(batch_size))).prefetch(
    tf.data.AUTOTUNE
  )


def training_batches(
  records: Records,
  parse_batch: Callable,
  image: ImageConfig,
  augment: AugmentConfig,
  classes: int,
  batch_size: int,
  seed: int,
) -> tf.data.Dataset:
  """Returns shuffled, augmented batches; another order and other changes each epoch.

  The same seed gives the same sequence.
  """
  batched = (
    read_records(records.files)
    .shuffle(shuffle_buffer(records, batch_size), seed=seed, reshuffle_each_iteration=True)
    .batch(batch_size)
  )
  seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).batch(
    2, drop_remainder=True
  )

  def change(batch: tuple[tf.Tensor, tf.Tensor], batch_seed: tf.Tensor):
    pixels, labels = batch
    changes = augmentation.draw(augment, tf.shape(pixels)[0], batch_seed)
    return augmentation.apply(pixels, changes), labels

  decoded = _decode(batched, parse_batch, image, classes)
  changed = tf.data.Dataset.zip(decoded, seeds).map(
    change, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
  )
  # Where the length is unknown, Keras asks for a batch too many in each epoch, and
  # the optimizer counts it as a step.
  return changed.apply(tf.data.experimental.assert_cardinality(records.steps(batch_size))).prefetch(
    tf.data.AUTOTUNE
  )


def _decode(
  records: tf.data.Dataset, parse_batch: Callable, image: ImageConfig, classes: int
) -> tf.data.Dataset:

  def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    image_bytes, label_ids = parse_batch(serialized)
    pixels = decoder.decode_batch(image_bytes, image.height, image.width)
    return pixels, tf.one_hot(label_ids, classes)

  return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
