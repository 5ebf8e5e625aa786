"""Transform's preprocessing_fn: label vocabulary and pixel statistics.

Analysed over train only (the pipeline says so to Transform); images are decoded
for the statistics and passed through as bytes.
"""

import functools
from collections.abc import Callable

import tensorflow as tf
import tensorflow_transform as tft

from models import decoder
from schemas import features
from schemas.config import ImageConfig


def preprocessing_fn(inputs: dict, custom_config: dict) -> dict[str, tf.Tensor]:
  """Maps a batch of raw records to transformed ones.

  Args:
    inputs: raw features by key; `image/encoded` and `label` are string [N].
    custom_config: `image`, an ImageConfig as JSON: size and fit of the model's input.

  Returns:
    `label_id` int64 [N], -1 for a label that train does not have;
    `image/encoded` string [N] as received; `pixel_mean` and `pixel_variance`
    float32 [N, 3], the same constants in every row: RGB on the 0..1 scale, each
    train image weighing the same. They are of what the network gets: with fit crop
    what is cut off does not count, with fit pad the black bars do.
  """
  images = inputs[features.IMAGE]
  image = ImageConfig.model_validate_json(custom_config['image'])
  means, squares = _moments(images, image)
  mean = tft.mean(means, reduce_instance_dims=False)
  square = tft.mean(squares, reduce_instance_dims=False)
  variance = tf.maximum(square - tf.square(mean), 0.0)
  rows = tf.shape(images)[0]
  return {
    features.LABEL_ID: tft.compute_and_apply_vocabulary(
      inputs[features.LABEL], vocab_filename=features.LABEL_VOCABULARY
    ),
    features.IMAGE: images,
    features.PIXEL_MEAN: _repeat(mean, rows),
    features.PIXEL_VARIANCE: _repeat(variance, rows),
  }


def _moments(images: tf.Tensor, image: ImageConfig) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the mean and the mean square of each image: float64 [N, 3] each, RGB on 0..1.

  Image by image: a batch of Transform's has up to 1000, whose pixels would take
  gigabytes.
  """

  found = tf.map_fn(
    _moments_of_one(image), images, fn_output_signature=tf.TensorSpec([2, 3], tf.float64)
  )
  found = tf.ensure_shape(found, [None, 2, 3])
  return found[:, 0], found[:, 1]


@functools.cache
def _moments_of_one(image: ImageConfig) -> Callable[[tf.Tensor], tf.Tensor]:
  """Returns string [] to float64 [2, 3]; traced once, where Transform asks ten times."""

  @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
  def moments(one: tf.Tensor) -> tf.Tensor:
    pixels = decoder.decode_and_resize(one, image)
    # float64: the variance is a small difference of two large means.
    scaled = tf.cast(pixels, tf.float64) / 255.0
    return tf.stack([tf.reduce_mean(scaled, [0, 1]), tf.reduce_mean(tf.square(scaled), [0, 1])])

  return moments


def _repeat(constant: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
  return tf.ensure_shape(
    tf.tile(tf.cast(constant, tf.float32)[tf.newaxis, :], [rows, 1]), [None, 3]
  )
