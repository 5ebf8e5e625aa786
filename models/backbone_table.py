"""The table of backbones: what can be named in model.backbone, without building it.

Coefficients: Tan & Le, "EfficientNet" (2019), table 1 and Keras' own
`applications`; "EfficientNetV2" (2021). The rows below B0 scale the same network
down for small images. ResNet: He et al., "Identity Mappings in Deep Residual
Networks" (2016).

Keras is not imported: a config is held against the table before anything is.
"""

import dataclasses
import difflib
from typing import Literal

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
    variant: the factory's own name of the network, where it has several.
    min_size: the smallest side, in pixels, that the factory accepts.
  """

  family: Literal['efficientnet', 'efficientnet_v2', 'resnet_v2']
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
  'resnet50': Backbone('resnet_v2', 1.0, 1.0, 224, 'ResNet50V2', 'ResNet50V2'),
  'resnet101': Backbone('resnet_v2', 1.0, 1.0, 224, 'ResNet101V2', 'ResNet101V2'),
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


def check_size(name: str, height: int, width: int) -> None:
  """Holds an input against what the row accepts.

  Args:
    name: a row of BACKBONES.
    height: of the input, pixels.
    width: of the input, pixels.

  Raises:
    ConfigError: there is no such row, or the input is smaller than it accepts.
  """
  least = find(name).min_size
  if min(height, width) < least:
    raise ConfigError(
      f'image.height and image.width: {name} expects at least {least} pixels. '
      f'Received: {height} x {width}.'
    )
