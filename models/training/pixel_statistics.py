"""Whether what normalises the pixels is of train, and of train alone."""

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models import decoder
from models.records import Records, read_records
from models.training.preflight import Check
from schemas.config import ImageConfig
from schemas.errors import TrainingError

# Pixels of the network's input that are looked at: all images of a small data set, some
# hundreds of a large one.
MOST_PIXELS = 50_000_000
FEWEST_IMAGES = 500
# Transform computes in float64 and stores float32; the order of the sums is another one.
ROUNDING = 1e-5
# Standard errors that a sample of the images may lie off: five do so once in a million.
ERRORS = 5.0
_BATCH = 64


def check(
  train: Records,
  parse_batch: Callable,
  image: ImageConfig,
  mean: np.ndarray,
  variance: np.ndarray,
  most_pixels: int = MOST_PIXELS,
) -> Check:
  """Computes mean and variance of train's pixels anew, and compares.

  Statistics that have seen val or test, or pixels that were scaled or put into another
  order on the way to Transform, show here. All images are decoded where they are few;
  then any difference but rounding stops the training. Else every k-th is, and the
  comparison allows for what chance does to a sample.

  Args:
    train: its records.
    parse_batch: from serialised examples, string [N], to (image bytes, label ids).
    image: size and fit of the input.
    mean: float [3], that the network will use: RGB on the 0..1 scale.
    variance: float [3], likewise.
    most_pixels: that are looked at, but for FEWEST_IMAGES.

  Raises:
    TrainingError: they are not those of train.
  """
  most = max(FEWEST_IMAGES, most_pixels // (image.height * image.width))
  every = math.ceil(train.count / most)
  found = _moments(train, parse_batch, image, every)
  images = len(found)
  expected = np.stack([mean, variance + np.square(mean, dtype=np.float64)])
  allowed = np.full(expected.shape, ROUNDING)
  if every > 1:
    allowed += ERRORS * found.std(axis=0, ddof=1) / math.sqrt(images)
  seen = found.mean(axis=0)
  how = 'all' if every == 1 else f'{images} of the'
  told = f'mean {_three(seen[0])}, variance {_three(seen[1] - seen[0] ** 2)} on {how} '
  # Not `>`: a statistic that is no number is not close.
  if (np.abs(seen - expected) <= allowed).all():
    return Check('pixel statistics', True, f'{told}{train.count} training images, as normalised.')
  raise TrainingError(
    f'pixel statistics: expected those of train, {told}{train.count} training images. Received '
    f'from Transform: mean {_three(mean)}, variance {_three(variance)}. Let Transform analyse '
    'train alone, on the pixels as the one decoder gives them; or run Transform again.'
  )


def _moments(train: Records, parse_batch: Callable, image: ImageConfig, every: int) -> np.ndarray:
  """Returns mean and mean square of every so many-th image: float64 [N, 2, 3], on 0..1."""

  def moments(serialized: tf.Tensor) -> tf.Tensor:
    pixels = decoder.decode_batch(parse_batch(serialized)[0], image)
    scaled = tf.cast(pixels, tf.float64) / 255.0
    return tf.stack(
      [tf.reduce_mean(scaled, [1, 2]), tf.reduce_mean(tf.square(scaled), [1, 2])], axis=1
    )

  batched = read_records(train.files).shard(every, 0).batch(_BATCH)
  computed = batched.map(moments, num_parallel_calls=tf.data.AUTOTUNE)
  return np.concatenate([part.numpy() for part in computed])


def _three(values: np.ndarray) -> str:
  return '(' + ', '.join(f'{value:.5f}' for value in values) + ')'
