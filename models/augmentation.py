"""Random changes to training images: what is drawn, and how it is applied.

Drawing is random and applying is pure, so that applying can be tested exactly.
All that is random comes from the seed that is given, without any state: the same
seed gives the same batch, also in a map that runs in parallel.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from models import mixing, own_augmentation
from models.rand_augment import rand_augment
from schemas.config import AugmentConfig

# Of red, green and blue in a grey of equal brightness (ITU-R BT.601).
_GREY = (0.299, 0.587, 0.114)


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
    flip: 1 or -1; -1 turns upside down.
    saturation: factor of each pixel's distance from its own grey.
    crop_height: share of the height that the crop keeps.
    crop_width: share of the width that the crop keeps.
    crop_top: where the crop begins, as a share of the height.
    crop_left: where the crop begins, as a share of the width.
  """

  shift_y: tf.Tensor
  shift_x: tf.Tensor
  angle: tf.Tensor
  scale: tf.Tensor
  mirror: tf.Tensor
  brightness: tf.Tensor
  contrast: tf.Tensor
  flip: tf.Tensor
  saturation: tf.Tensor
  crop_height: tf.Tensor
  crop_width: tf.Tensor
  crop_top: tf.Tensor
  crop_left: tf.Tensor


def is_identity(config: AugmentConfig) -> bool:
  """Returns whether nothing is changed, so that an image is the same in each epoch."""
  each = _moves(config) or _recolours(config)
  mixed = config.mixup or config.cutmix
  return not (each or config.rand_augment or mixed or config.fn)


def augment(
  config: AugmentConfig, pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Changes a batch as the config says: a pure function of the batch and the seed.

  In this order: geometry and colour of each image, RandAugment, MixUp or CutMix,
  and the user's own function.

  Args:
    config: what is changed, and how much.
    pixels: float32 [N, H, W, 3], 0..255; H and W are known.
    labels: float32 [N, K], each row sums to 1; K is known.
    seed: int64 [2].

  Returns:
    Pixels and labels, of the same shapes, ranges and sums.

  Raises:
    ConfigError: augment.fn names no function.
    TrainingError: augment.fn does not keep its contract; models/own_augmentation.py.
  """
  # Nothing here needs AutoGraph, and Keras' layers make it warn.
  return tf.autograph.experimental.do_not_convert(_augment)(config, pixels, labels, seed)


def _augment(
  config: AugmentConfig, pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  # One for each part: switching one off leaves what the others draw, and costs nothing.
  of_draw, of_operations, of_mixing, of_own = tf.unstack(
    tf.random.experimental.stateless_split(seed, 4), num=4
  )
  changes = draw(config, tf.shape(pixels)[0], of_draw)
  if _moves(config):
    pixels = move(pixels, changes)
  if _recolours(config):
    pixels = recolour(pixels, changes)
  if config.rand_augment:
    pixels = rand_augment(pixels, config.rand_augment, config.rand_magnitude, of_operations)
  pixels, labels = mixing.mix(config, pixels, labels, of_mixing)
  if config.fn:
    pixels, labels = own_augmentation.apply(config.fn, pixels, labels, of_own)
  return tf.clip_by_value(pixels, 0.0, 255.0), labels


def _moves(config: AugmentConfig) -> bool:
  geometry = (config.shift, config.rotation, config.zoom, config.crop_area < 1)
  return any((*geometry, config.horizontal_flip, config.vertical_flip))


def _recolours(config: AugmentConfig) -> bool:
  return any((config.brightness, config.contrast, config.saturation))


def draw(config: AugmentConfig, count: tf.Tensor, seed: tf.Tensor) -> Draw:
  """Draws changes for `count` images; the same seed (int64 [2]) gives the same ones."""
  seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 13), num=13)

  def uniform(index: int, low: float, high: float) -> tf.Tensor:
    return tf.random.stateless_uniform([count], seeds[index], low, high)

  def within(index: int, limit: float) -> tf.Tensor:
    return uniform(index, -limit, limit)

  def sign(index: int, wanted: bool) -> tf.Tensor:
    return tf.where(uniform(index, 0.0, 1.0) < 0.5, -1.0, 1.0) if wanted else tf.ones([count])

  height, width = crop_sides(
    uniform(9, config.crop_area, 1.0), within(10, math.log(config.crop_ratio))
  )
  return Draw(
    shift_y=within(0, config.shift),
    shift_x=within(1, config.shift),
    angle=within(2, config.rotation),
    scale=1.0 + within(3, config.zoom),
    mirror=sign(4, config.horizontal_flip),
    brightness=255.0 * within(5, config.brightness),
    contrast=1.0 + within(6, config.contrast),
    flip=sign(7, config.vertical_flip),
    saturation=1.0 + within(8, config.saturation),
    crop_height=height,
    crop_width=width,
    crop_top=uniform(11, 0.0, 1.0) * (1.0 - height),
    crop_left=uniform(12, 0.0, 1.0) * (1.0 - width),
  )


def crop_sides(area: tf.Tensor, log_ratio: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns height and width of a crop, as shares of the image's.

  Where a box of this area and ratio is longer than the image, the ratio gives way
  and the area stays. (Szegedy et al., 2015, draw again instead.)

  Args:
    area: float32 [N], share of the image's area, in (0, 1].
    log_ratio: float32 [N], logarithm of width over height, both as shares.
  """
  limit = -tf.math.log(area)
  log_ratio = tf.clip_by_value(log_ratio, -limit, limit)
  # Rounding may end a little above 1.
  height = tf.minimum(tf.sqrt(area / tf.exp(log_ratio)), 1.0)
  width = tf.minimum(tf.sqrt(area * tf.exp(log_ratio)), 1.0)
  return height, width


def move(images: tf.Tensor, changes: Draw) -> tf.Tensor:
  """Applies drawn changes of geometry.

  Crop, mirror, scale, turn and shift are one resampling: bilinear, without
  antialiasing. That is right where the content grows, as by a crop; where a zoom
  makes it smaller by a tenth, fine patterns alias a little. A crop is taken from
  the image at the model's input size and is not sharper than that. What comes in
  from outside the image repeats its border.

  Args:
    images: float32 [N, H, W, 3], RGB, 0..255.
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
  return tf.ensure_shape(moved, images.shape)


def recolour(images: tf.Tensor, changes: Draw) -> tf.Tensor:
  """Applies drawn changes of colour: of contrast and brightness, and then of saturation.

  Args and result as of `move`.
  """
  contrast, brightness, saturation = (
    values[:, tf.newaxis, tf.newaxis, tf.newaxis]
    for values in (changes.contrast, changes.brightness, changes.saturation)
  )
  mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
  changed = mean + (images - mean) * contrast + brightness
  grey = tf.reduce_sum(changed * tf.constant(_GREY), axis=3, keepdims=True)
  return tf.clip_by_value(grey + (changed - grey) * saturation, 0.0, 255.0)


def _transforms(changes: Draw, height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
  """Returns float32 [N, 8]: where each output pixel is read from, about the centre."""
  height = tf.cast(height, tf.float32)
  width = tf.cast(width, tf.float32)
  centre_x, centre_y = (width - 1.0) / 2.0, (height - 1.0) / 2.0
  cosine = tf.cos(changes.angle) / changes.scale
  sine = tf.sin(changes.angle) / changes.scale
  # Output (x, y) about the shifted centre, turned back and scaled back.
  a0, a1 = cosine * changes.mirror, -sine * changes.mirror
  b0, b1 = sine * changes.flip, cosine * changes.flip
  from_x = centre_x + changes.shift_x * width
  from_y = centre_y + changes.shift_y * height
  a2 = centre_x - a0 * from_x - a1 * from_y
  b2 = centre_y - b0 * from_x - b1 * from_y
  # That is a place in the crop, made as large as the image. A pixel's centre is half
  # a pixel from its edge, in both.
  to_x = changes.crop_left * width + 0.5 * changes.crop_width - 0.5
  to_y = changes.crop_top * height + 0.5 * changes.crop_height - 0.5
  zeros = tf.zeros_like(a0)
  return tf.stack(
    [
      a0 * changes.crop_width,
      a1 * changes.crop_width,
      a2 * changes.crop_width + to_x,
      b0 * changes.crop_height,
      b1 * changes.crop_height,
      b2 * changes.crop_height + to_y,
      zeros,
      zeros,
    ],
    axis=1,
  )
