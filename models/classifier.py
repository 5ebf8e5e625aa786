"""The network: a backbone, its pooled features, and a head of one layer or two."""

import keras
import numpy as np

from models import backbones
from schemas.config import ImageConfig, ModelConfig
from schemas.errors import TrainingError

# Keras' 0.99 needs some hundred steps before inference mode is worth anything;
# short runs end before that.
BATCH_NORM_MOMENTUM = 0.9


def build(
  model: ModelConfig,
  image: ImageConfig,
  classes: int,
  mean: np.ndarray,
  variance: np.ndarray,
) -> keras.Model:
  """Builds the classifier under the current dtype policy.

  Args:
    model: backbone or build_fn, dropout, drop-connect and hidden units.
    image: height and width of the input, pixels.
    classes: K, at least 2.
    mean: float [3], of the training pixels on the 0..1 scale.
    variance: float [3], likewise.

  Returns:
    A model from float32 [N, height, width, 3], 0..255, to logits float32 [N, K]. Its
    layers are `backbone`, `features`, `hidden` where there are hidden units,
    `dropout` and `logits`.

  Raises:
    TrainingError: for fewer than two classes.
    ConfigError: for an unknown backbone, an image too small for it, or a build_fn
      whose network breaks a rule of backbones.check.
  """
  if classes < 2:
    raise TrainingError(f'a classifier needs at least 2 classes. Received: {classes}.')
  make = backbones.build_own if model.build_fn else backbones.build
  backbone = make(
    backbones.name_of(model), image.height, image.width, mean, variance, model.drop_connect
  )
  for layer in backbones.batch_norms(backbone):
    layer.momentum = BATCH_NORM_MOMENTUM
  inputs = keras.Input((image.height, image.width, 3), name='pixels')
  x = backbone(inputs)
  x = keras.layers.GlobalAveragePooling2D(name='features')(x)
  if model.hidden_units:
    x = keras.layers.Dense(
      model.hidden_units, activation='relu', kernel_initializer='he_normal', name='hidden'
    )(x)
  x = keras.layers.Dropout(model.dropout, name='dropout')(x)
  # float32 whatever the policy: the loss and the exported probabilities need it.
  logits = keras.layers.Dense(classes, dtype='float32', name='logits')(x)
  return keras.Model(inputs, logits, name='classifier')


def to_features_and_logits(model: keras.Model) -> keras.Model:
  """Returns the network with two outputs: pooled features [N, d] and logits [N, K]."""
  outputs = (model.get_layer('features').output, model.output)
  return keras.Model(model.inputs, outputs, name='features_and_logits')


def rebuild_in_float32(
  trained: keras.Model,
  model: ModelConfig,
  image: ImageConfig,
  classes: int,
  mean: np.ndarray,
  variance: np.ndarray,
) -> keras.Model:
  """Returns the same network under float32, with the same variables, for export."""
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy('float32')
  try:
    rebuilt = build(model, image, classes, mean, variance)
  finally:
    keras.config.set_dtype_policy(previous)
  rebuilt.set_weights(trained.get_weights())
  return rebuilt
