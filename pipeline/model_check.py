"""Whether the model that the config names is to be had: checked before anything runs.

The Trainer would say the same, after every image was read.
"""

from models import backbone_table
from schemas.config import Config


def check(config: Config) -> None:
  """Holds the backbone against the table; nothing is built or fetched.

  Raises:
    ConfigError: there is no such backbone, or the images are too small for it.
  """
  if not config.model.build_fn:
    backbone_table.check_size(config.model.backbone, config.image.height, config.image.width)


def fetch_imagenet_weights(config: Config) -> None:
  """Fetches the ImageNet weights of the backbone; the training finds them in Keras' cache.

  Raises:
    WeightsError: they cannot be fetched, or there are none for this backbone.
  """
  import keras

  from models import backbones, pretrained

  try:
    shape = (config.image.height, config.image.width, 3)
    pretrained.imagenet_network(backbones.name_of(config.model), shape)
  finally:
    # Layers are numbered: the training must not count those.
    keras.utils.clear_session()
