"""A backbone of one's own: what `model.build_fn` names in own_code.yaml.

Sightline calls it and holds the model to a few rules: pixels of 0 to 255 in, feature maps
out, finite and different for different images; pixels normalised once, in the model; and
nothing that changes while the model is frozen. models/backbones.py, `check`, has them.
Names of layers such as `block2_conv` let `trainable: blocks` and `layer_decay` tell the parts
apart.
"""

import keras
import numpy as np

CHANNELS = (24, 48, 96)


def build(
  height: int, width: int, mean: np.ndarray, variance: np.ndarray, drop_connect: float
) -> keras.Model:
  """Builds a small residual network with random weights.

  Args:
    height: of the input, pixels.
    width: of the input, pixels.
    mean: float [3], of the training pixels on the 0..1 scale.
    variance: float [3], likewise.
    drop_connect: share of images for which a block is left out in training.

  Returns:
    A model from float32 [N, height, width, 3], 0..255, to feature maps [N, h, w, C].
  """
  inputs = keras.Input((height, width, 3))
  x = keras.layers.Rescaling(1 / 255)(inputs)
  x = keras.layers.Normalization(axis=-1, mean=mean, variance=variance)(x)
  for number, channels in enumerate(CHANNELS, start=1):
    x = _block(x, channels, drop_connect, f'block{number}')
  return keras.Model(inputs, x)


def _block(x, channels: int, drop_connect: float, name: str):
  """Halves the side, and adds what two convolutions make of the result."""
  layers = keras.layers
  x = layers.Conv2D(
    channels, 3, strides=2, padding='same', use_bias=False, name=f'{name}_reduce_conv'
  )(x)
  x = layers.BatchNormalization(name=f'{name}_reduce_bn')(x)
  x = layers.Activation('relu', name=f'{name}_reduce_relu')(x)
  shortcut = x
  x = layers.Conv2D(channels, 3, padding='same', use_bias=False, name=f'{name}_conv')(x)
  x = layers.BatchNormalization(name=f'{name}_bn')(x)
  if drop_connect:
    x = layers.Dropout(drop_connect, noise_shape=(None, 1, 1, 1), name=f'{name}_drop')(x)
  x = layers.Add(name=f'{name}_add')([shortcut, x])
  return layers.Activation('relu', name=f'{name}_relu')(x)
