"""The table of backbones, and the one function that builds a row of it.

Coefficients: Tan & Le, "EfficientNet" (2019), table 1 and Keras' own
`applications`; "EfficientNetV2" (2021). The rows below B0 scale the same network
down for small images.
"""

import dataclasses
import difflib
from typing import Literal

import keras
import numpy as np

# Keras exports the sized models only; their factory takes any width, depth and
# drop-connect rate.
from keras.src.applications import efficientnet, efficientnet_v2

from schemas.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Backbone:
  """One row.

  Attributes:
    family: which factory builds it.
    width: multiplier of the number of channels.
    depth: multiplier of the number of layers.
    size: the side, in pixels, that its authors trained it at.
    imagenet: the name in keras.applications that has ImageNet weights, if any.
    min_size: the smallest side, in pixels, that the factory accepts.
  """

  family: Literal['efficientnet', 'efficientnet_v2']
  width: float
  depth: float
  size: int
  imagenet: str | None = None
  variant: str | None = None
  min_size: int = 32


BACKBONES: dict[str, Backbone] = {
  'efficientnet_tiny': Backbone('efficientnet', 0.25, 0.25, 32),
  'efficientnet_small': Backbone('efficientnet', 0.5, 0.5, 64),
  'efficientnet_b0': Backbone('efficientnet', 1.0, 1.0, 224, 'EfficientNetB0'),
  'efficientnet_b1': Backbone('efficientnet', 1.0, 1.1, 240, 'EfficientNetB1'),
  'efficientnet_b2': Backbone('efficientnet', 1.1, 1.2, 260, 'EfficientNetB2'),
  'efficientnet_b3': Backbone('efficientnet', 1.2, 1.4, 300, 'EfficientNetB3'),
  'efficientnet_b4': Backbone('efficientnet', 1.4, 1.8, 380, 'EfficientNetB4'),
  'efficientnet_b5': Backbone('efficientnet', 1.6, 2.2, 456, 'EfficientNetB5'),
  'efficientnet_b6': Backbone('efficientnet', 1.8, 2.6, 528, 'EfficientNetB6'),
  'efficientnet_b7': Backbone('efficientnet', 2.0, 3.1, 600, 'EfficientNetB7'),
  'efficientnet_v2_b0': Backbone(
    'efficientnet_v2', 1.0, 1.0, 224, 'EfficientNetV2B0', 'efficientnetv2-b0'
  ),
  'efficientnet_v2_b1': Backbone(
    'efficientnet_v2', 1.0, 1.1, 240, 'EfficientNetV2B1', 'efficientnetv2-b1'
  ),
  'efficientnet_v2_b2': Backbone(
    'efficientnet_v2', 1.1, 1.2, 260, 'EfficientNetV2B2', 'efficientnetv2-b2'
  ),
  'efficientnet_v2_b3': Backbone(
    'efficientnet_v2', 1.2, 1.4, 300, 'EfficientNetV2B3', 'efficientnetv2-b3'
  ),
  'efficientnet_v2_s': Backbone(
    'efficientnet_v2', 1.0, 1.0, 384, 'EfficientNetV2S', 'efficientnetv2-s'
  ),
  'efficientnet_v2_m': Backbone(
    'efficientnet_v2', 1.0, 1.0, 480, 'EfficientNetV2M', 'efficientnetv2-m'
  ),
  'efficientnet_v2_l': Backbone(
    'efficientnet_v2', 1.0, 1.0, 480, 'EfficientNetV2L', 'efficientnetv2-l'
  ),
}


def find(name: str) -> Backbone:
  """Returns a row of the table.

  Raises:
    ConfigError: for a name that is not in it.
  """
  if name in BACKBONES:
    return BACKBONES[name]
  near = difflib.get_close_matches(name, BACKBONES, n=1)
  hint = f' Did you mean {near[0]}?' if near else ''
  raise ConfigError(
    f'model.backbone: expected one of {", ".join(BACKBONES)}. Received: {name}.{hint}'
  )


def build(
  name: str,
  height: int,
  width: int,
  mean: np.ndarray,
  variance: np.ndarray,
  drop_connect: float = 0.0,
) -> keras.Model:
  """Builds a backbone with random weights.

  It takes pixels as decoded and normalises them itself, once.

  Args:
    name: a row of BACKBONES.
    height: of the input, pixels.
    width: of the input, pixels.
    mean: float [3], of the training pixels on the 0..1 scale.
    variance: float [3], likewise.
    drop_connect: rate of stochastic depth at the last block, in [0, 1).

  Returns:
    A model from float32 [N, height, width, 3], 0..255, to feature maps
    [N, h, w, C], named `backbone`.

  Raises:
    ConfigError: if the input is smaller than the row accepts.
  """
  row = find(name)
  if min(height, width) < row.min_size:
    raise ConfigError(
      f'image.height and image.width: {name} expects at least {row.min_size} pixels. '
      f'Received: {height} x {width}.'
    )
  shape = (height, width, 3)
  options = dict(
    width_coefficient=row.width,
    depth_coefficient=row.depth,
    default_size=row.size,
    drop_connect_rate=drop_connect,
    include_top=False,
    weights=None,
    input_shape=shape,
  )
  if row.family == 'efficientnet':
    model = efficientnet.EfficientNet(name='backbone', **options)
  else:
    model = _efficientnet_v2(row, shape, options)
  _set_normalization(model, mean, variance)
  return model


def _efficientnet_v2(row: Backbone, shape: tuple[int, int, int], options: dict) -> keras.Model:
  body = efficientnet_v2.EfficientNetV2(name=row.variant, include_preprocessing=False, **options)
  # This family leaves the normalisation to its caller; the same two layers as
  # the first family has inside.
  inputs = keras.Input(shape)
  x = keras.layers.Rescaling(1.0 / 255.0)(inputs)
  x = keras.layers.Normalization(axis=-1)(x)
  return keras.Model(inputs, body(x), name='backbone')


def _set_normalization(model: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
  for layer in model.layers:
    if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
      # Whole steps of 0..255 would be lost in 8 bits of mantissa.
      layer.dtype_policy = keras.DTypePolicy('float32')
    if isinstance(layer, keras.layers.Normalization):
      layer.adapt_mean.assign(np.asarray(mean, np.float32))
      layer.adapt_variance.assign(np.asarray(variance, np.float32))
      layer.finalize_state()


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
  """Returns the BatchNormalization layers, those of nested models too."""
  return [
    layer
    for layer in model._flatten_layers(include_self=False)
    if isinstance(layer, keras.layers.BatchNormalization)
  ]
