"""A backbone whose weights a test sets by hand: one 1 x 1 convolution of pixels / 255."""

import keras


def backbone(height, width, mean, variance, drop_connect):
  inputs = keras.Input((height, width, 3))
  x = keras.layers.Rescaling(1 / 255)(inputs)
  return keras.Model(inputs, keras.layers.Conv2D(3, 1, use_bias=False, name='channels')(x))
