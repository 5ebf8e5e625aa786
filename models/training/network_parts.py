"""The classifier in two parts: pixels to features, and features to logits.

They share the classifier's layers and variables. A stage that trains the head alone
runs the first in inference mode, so that its features may be kept.
"""

import keras

FEATURES = 'features'


def to_features(model: keras.Model) -> keras.Model:
  """Returns the part from pixels [N, H, W, 3] to pooled features [N, C]."""
  return keras.Model(model.inputs, model.get_layer(FEATURES).output, name='to_features')


def head(model: keras.Model) -> keras.Model:
  """Returns the part from pooled features [N, C] to logits [N, K]."""
  names = [layer.name for layer in model.layers]
  pooled = model.get_layer(FEATURES).output
  inputs = keras.Input(pooled.shape[1:], dtype=pooled.dtype, name='features_in')
  x = inputs
  for layer in model.layers[names.index(FEATURES) + 1 :]:
    x = layer(x)
  return keras.Model(inputs, x, name='head')
