"""MixUp and CutMix: two images of a batch, and their labels, become one.

By Keras' layers, with seeds that are given. The weight alone is drawn here: Keras
divides two gamma variates, which for a small alpha are both 0 in float32, and then
calls it a half (with alpha 0.02 in 3 % of the images).
"""

import keras
import tensorflow as tf

from models import stateless_layers
from schemas.config import AugmentConfig


def mix(
  config: AugmentConfig, pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Mixes by what the config asks for; if by both, one of the two is drawn per batch.

  mix_probability is drawn per batch, too (timm's `mixup_prob`).

  Args:
    config: `mixup`, `cutmix` and `mix_probability` are read.
    pixels: float32 [N, H, W, 3], 0..255; H and W are known.
    labels: float32 [N, K], each row sums to 1.
    seed: int64 [2]; the same seed gives the same result.

  Returns:
    Both as they came, of shape, range and sum.
  """
  of_whether, of_choice, of_mixing = tf.unstack(
    tf.random.experimental.stateless_split(seed, 3), num=3
  )
  if not (config.mixup or config.cutmix):
    return pixels, labels
  if config.mix_probability == 1:
    return _one_of_both(config, pixels, labels, of_choice, of_mixing)
  return tf.cond(
    tf.random.stateless_uniform([], of_whether) < config.mix_probability,
    lambda: _one_of_both(config, pixels, labels, of_choice, of_mixing),
    lambda: (pixels, labels),
  )


def _one_of_both(
  config: AugmentConfig,
  pixels: tf.Tensor,
  labels: tf.Tensor,
  of_choice: tf.Tensor,
  of_mixing: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
  if not config.cutmix:
    return mix_up(pixels, labels, config.mixup, of_mixing)
  if not config.mixup:
    return cut_mix(pixels, labels, config.cutmix, of_mixing)
  return tf.cond(
    tf.random.stateless_uniform([], of_choice) < 0.5,
    lambda: mix_up(pixels, labels, config.mixup, of_mixing),
    lambda: cut_mix(pixels, labels, config.cutmix, of_mixing),
  )


def mix_up(
  pixels: tf.Tensor, labels: tf.Tensor, alpha: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Blends each image with another of the batch: w * one + (1 - w) * other.

  w is drawn for each image from Beta(alpha, alpha); labels are blended alike. The
  other may be drawn to be the image itself. (Zhang et al., 2018.) Args and result
  as of `mix`.
  """
  layer = stateless_layers.build(lambda: keras.layers.MixUp(seed=0, dtype='float32'))
  seeds = stateless_layers.Seeds(seed)
  drawn = layer.get_random_transformation(pixels, seed=seeds)
  drawn['mix_weight'] = beta(tf.shape(pixels)[0], alpha, seeds.next())
  return _mixed(layer, drawn, pixels, labels)


def cut_mix(
  pixels: tf.Tensor, labels: tf.Tensor, alpha: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Pastes a box of another image of the batch into each.

  The box has a share 1 - w of the area, w from Beta(alpha, alpha), drawn for each
  image; it lies anywhere inside. The labels' shares are those of the pixels,
  counted. (Yun et al., 2019.) Args and result as of `mix`.
  """
  layer = stateless_layers.build(lambda: _CutMix(alpha))
  drawn = layer.get_random_transformation(pixels, seed=stateless_layers.Seeds(seed))
  # Keras' own share is that of the box before it is rounded to whole pixels. The
  # mask has what is pasted.
  pasted = tf.reduce_mean(tf.cast(drawn['batch_masks'], tf.float32), axis=[1, 2, 3])
  drawn['mix_weight'] = 1.0 - pasted
  return _mixed(layer, drawn, pixels, labels)


class _CutMix(keras.layers.CutMix):
  """Keras draws alpha itself, and one for the batch; here it is given."""

  def __init__(self, alpha: float):
    super().__init__(seed=0, dtype='float32')
    self._alpha = alpha

  def _generate_mix_weight(self, batch_size, seed):
    return beta(batch_size, self._alpha, seed.next())


def beta(count: tf.Tensor, alpha: float, seed: tf.Tensor) -> tf.Tensor:
  """Draws from Beta(alpha, alpha), float32 [count], also where alpha is very small.

  By logarithms: a gamma variate of alpha is one of alpha + 1 times u ** (1 / alpha),
  u uniform. (Marsaglia & Tsang, 2000.)
  """

  def logarithm_of_gamma(seed: tf.Tensor) -> tf.Tensor:
    of_gamma, of_uniform = tf.unstack(tf.random.experimental.stateless_split(seed, 2), num=2)
    # In (0, 1], where the draw is in [0, 1).
    uniform = 1.0 - tf.random.stateless_uniform([count], of_uniform)
    gamma = tf.random.stateless_gamma([count], of_gamma, alpha + 1.0)
    return tf.math.log(gamma) + tf.math.log(uniform) / alpha

  one, other = tf.unstack(tf.random.experimental.stateless_split(seed, 2), num=2)
  return tf.sigmoid(logarithm_of_gamma(one) - logarithm_of_gamma(other))


def _mixed(
  layer: keras.layers.Layer, drawn: dict, pixels: tf.Tensor, labels: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  return (
    tf.ensure_shape(layer.transform_images(pixels, drawn), pixels.shape),
    tf.ensure_shape(layer.transform_labels(labels, drawn), labels.shape),
  )
