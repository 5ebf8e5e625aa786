"""A network with all that a training meets, and small enough to be traced in a second."""

import keras


def small_network(classes: int = 3, side: int = 32) -> keras.Model:
  """Named as the classifier is: a backbone with BatchNorm and noise, features, a head."""
  pixels = keras.Input((side, side, 3))
  x = keras.layers.Rescaling(1 / 255)(pixels)
  x = keras.layers.Conv2D(4, 5, strides=4, name='block1a_conv')(x)
  x = keras.layers.BatchNormalization(momentum=0.9, name='block1a_bn')(x)
  x = keras.layers.ReLU()(x)
  x = keras.layers.SpatialDropout2D(0.1)(x)
  x = keras.layers.Conv2D(8, 3, strides=2, name='block2a_conv')(x)
  x = keras.layers.BatchNormalization(momentum=0.9, name='block2a_bn')(x)
  backbone = keras.Model(pixels, keras.layers.ReLU()(x), name='backbone')
  inputs = keras.Input((side, side, 3), name='pixels')
  x = keras.layers.GlobalAveragePooling2D(name='features')(backbone(inputs))
  x = keras.layers.Dropout(0.3, name='dropout')(x)
  return keras.Model(inputs, keras.layers.Dense(classes, name='logits')(x), name='classifier')
