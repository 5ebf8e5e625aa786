"""Keras' RandAugment as a pure function of a seed."""

import keras
import tensorflow as tf

from models import stateless_layers


def rand_augment(
  pixels: tf.Tensor, operations: int, magnitude: float, seed: tf.Tensor
) -> tf.Tensor:
  """Applies random operations of keras.layers.RandAugment, others to each image.

  The operations, their strengths and how they are applied are Keras' own. Two
  things differ from a call of the layer, which draws from a generator with state
  and applies the same operations to a whole batch: each image has its own seed,
  and only what was drawn for it is computed. So Equalization takes the histogram
  of one image, too, where the layer takes that of the batch.

  Keras scales every operation by the magnitude: 0.3 turns by up to 0.3 of a full
  circle, 108 degrees, to one side, and shifts by up to 0.3 of each side. Two work
  against it: a small magnitude leaves fewer grey levels to Posterization, and more
  of the image to be inverted by Solarization.

  (Cubuk et al., 2020, RandAugment.)

  Args:
    pixels: float32 [N, H, W, 3], 0..255.
    operations: how many, one after the other; one may be drawn twice.
    magnitude: their strength, 0..1.
    seed: int64 [2]; the same seed gives the same result.

  Returns:
    float32 [N, H, W, 3], 0..255.
  """
  layers = _operations(magnitude)

  def change(one: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    image, image_seed = one
    changed = image[tf.newaxis]
    for of_step in tf.unstack(_seeds(image_seed, operations), num=operations):
      of_choice, of_strength = tf.unstack(_seeds(of_step, 2), num=2)
      chosen = tf.random.stateless_uniform([], of_choice, maxval=len(layers), dtype=tf.int32)
      changed = _apply(layers, chosen, changed, of_strength)
    return changed[0]

  seeds = _seeds(seed, tf.shape(pixels)[0])
  return tf.map_fn(
    change,
    (pixels, seeds),
    fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.float32),
  )


def _seeds(seed: tf.Tensor, count) -> tf.Tensor:
  return tf.random.experimental.stateless_split(seed, count)


def _operations(magnitude: float) -> list[keras.layers.Layer]:
  whole = stateless_layers.build(
    lambda: keras.layers.RandAugment(
      value_range=(0, 255),
      factor=magnitude,
      # None would take one from Python's random numbers.
      seed=0,
      # Whatever the policy of the network that is trained.
      dtype='float32',
    )
  )
  return [getattr(whole, name) for name in whole._AUGMENT_LAYERS]


def _apply(
  layers: list[keras.layers.Layer], index: tf.Tensor, images: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
  def by(layer: keras.layers.Layer):
    def branch() -> tf.Tensor:
      changes = layer.get_random_transformation(images, seed=stateless_layers.Seeds(seed))
      changed = layer.transform_images(images, changes)
      return tf.ensure_shape(tf.clip_by_value(changed, 0.0, 255.0), images.shape)

    return branch

  return tf.switch_case(index, [by(layer) for layer in layers])
