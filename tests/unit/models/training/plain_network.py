"""A backbone without BatchNorm or noise: parts of a batch give what the whole one gives."""

import keras


def build(height, width, mean, variance, drop_connect) -> keras.Model:
  pixels = keras.Input((height, width, 3))
  x = keras.layers.Rescaling(1 / 255)(pixels)
  x = keras.layers.Normalization(axis=-1, mean=mean, variance=variance)(x)
  x = keras.layers.Conv2D(8, 5, strides=4, activation='relu', name='block1_conv')(x)
  x = keras.layers.Conv2D(16, 3, strides=2, activation='relu', name='block2_conv')(x)
  return keras.Model(pixels, x)
