"""Random changes to training images: what is drawn, and how it is applied.

Drawing is random and applying is pure, so that applying can be tested exactly.
"""

from typing import NamedTuple

import tensorflow as tf

from schemas.config import AugmentConfig


class Draw(NamedTuple):
  """What happens to each image of a batch; each float32 [N].

  Attributes:
    shift_y: share of the height, positive moves the content down.
    shift_x: share of the width, positive moves the content right.
    angle: radians, positive turns the content counter-clockwise.
    scale: factor of the content's size.
    mirror: 1 or -1; -1 mirrors left and right.
    brightness: added to each pixel, on the 0..255 scale.
    contrast: factor of each pixel's distance from the image's mean.
  """

  shift_y: tf.Tensor
  shift_x: tf.Tensor
  angle: tf.Tensor
  scale: tf.Tensor
  mirror: tf.Tensor
  brightness: tf.Tensor
  contrast: tf.Tensor


def draw(config: AugmentConfig, count: tf.Tensor, seed: tf.Tensor) -> Draw:
  """Draws changes for `count` images; the same seed (int64 [2]) gives the same ones."""
  seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 7), num=7)

  def uniform(index: int, limit: float) -> tf.Tensor:
    return tf.random.stateless_uniform([count], seeds[index], -limit, limit)

  flips = tf.random.stateless_uniform([count], seeds[4]) < 0.5
  mirror = tf.where(flips, -1.0, 1.0) if config.horizontal_flip else tf.ones([count])
  return Draw(
    shift_y=uniform(0, config.shift),
    shift_x=uniform(1, config.shift),
    angle=uniform(2, config.rotation),
    scale=1.0 + uniform(3, config.zoom),
    mirror=mirror,
    brightness=255.0 * uniform(5, config.brightness),
    contrast=1.0 + uniform(6, config.contrast),
  )


def apply(images: tf.Tensor, changes: Draw) -> tf.Tensor:
  """Applies drawn changes.

  What comes in from outside the image repeats its border.

  Args:
    images: float32 [N, H, W, 3], 0..255.
    changes: for N images.

  Returns:
    float32 [N, H, W, 3], 0..255.
  """
  moved = tf.raw_ops.ImageProjectiveTransformV3(
    images=images,
    transforms=_transforms(changes, tf.shape(images)[1], tf.shape(images)[2]),
    output_shape=tf.shape(images)[1:3],
    interpolation='BILINEAR',
    fill_mode='NEAREST',
    fill_value=0.0,
  )
  mean = tf.reduce_mean(moved, axis=[1, 2, 3], keepdims=True)
  contrast = changes.contrast[:, tf.newaxis, tf.newaxis, tf.newaxis]
  brightness = changes.brightness[:, tf.newaxis, tf.newaxis, tf.newaxis]
  changed = mean + (moved - mean) * contrast + brightness
  return tf.ensure_shape(tf.clip_by_value(changed, 0.0, 255.0), images.shape)


def _transforms(changes: Draw, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
  """Returns float32 [N, 8]: where each output pixel is read from, about the centre."""
  height = tf.cast(height, tf.float32)
  width = tf.cast(width, tf.float32)
  centre_x, centre_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
  cosine = tf.cos(changes.angle) / changes.scale
  sine = tf.sin(changes.angle) / changes.scale
  # Output (x, y) about the shifted centre, turned back and scaled back.
  a0, a1 = cosine * changes.mirror, -sine * changes.mirror
  b0, b1 = sine, cosine
  from_x = centre_x + changes.shift_x * width
  from_y = centre_y + changes.shift_y * height
  a2 = centre_x - a0 * from_x - a1 * from_y
  b2 = centre_y - b0 * from_x - b1 * from_y
  zeros = tf.zeros_like(a0)
  return tf.stack([a0, a1, a2, b0, b1, b2, zeros, zeros], axis=1)
