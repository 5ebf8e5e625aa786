"""Weights that a backbone starts from, and the file in which a run leaves its own."""

import dataclasses
import hashlib
import json
import logging
import pathlib

import keras
import numpy as np

from models import backbone_table, backbones, bundled_weights
from schemas.errors import WeightsError

WEIGHTS_FILE = 'backbone.weights.h5'
CONFIG_FILE = 'backbone.json'
_ALTERNATIVES = (
  'Alternatives: model.weights: none (train from scratch), the path of a .weights.h5 file that '
  'an earlier run saved, or the id of such a run.'
)
# Of ImageNet's training pixels on the 0..1 scale, red, green and blue.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)

# Keras puts pixels / 128 - 1 in front of these; the B variants are standardised.
_WITHOUT_STATISTICS = ('efficientnetv2-s', 'efficientnetv2-m', 'efficientnetv2-l')

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Loaded:
  """What a backbone starts from.

  Attributes:
    source: `imagenet`, `bundled`, `file` or `none`.
    reason: why, in words for the record.
    sha256: of the weights file, where there is one.
    licence: of weights that come with the package, as their card says.
    frozen_stage: whether frozen features of these weights beat training from scratch.
  """

  source: str
  reason: str
  sha256: str | None = None
  licence: str | None = None
  frozen_stage: bool = True

  @property
  def knows_something(self) -> bool:
    """Whether a frozen stage makes sense."""
    return self.source != 'none' and self.frozen_stage


def load(backbone: keras.Model, name: str, weights: str) -> Loaded:
  """Loads weights into a backbone built by models.backbones.

  `auto` takes ImageNet weights, else those that come with the package, else none.

  Args:
    backbone: changed in place.
    name: what backbones.name_of says: a row of the table, or the path of a build_fn.
    weights: `auto`, `imagenet`, `bundled`, `none`, or the path of a .weights.h5 file.

  Raises:
    WeightsError: what was asked for explicitly is not to be had.
  """
  if weights == 'none':
    return Loaded('none', 'model.weights is none: training from scratch')
  if weights == 'imagenet':
    return _load_imagenet(backbone, name)
  if weights == 'bundled':
    return _load_bundled(backbone, name)
  if weights == 'auto':
    return _load_what_there_is(backbone, name)
  return _load_file(backbone, name, pathlib.Path(weights))


def _load_what_there_is(backbone: keras.Model, name: str) -> Loaded:
  try:
    return _load_imagenet(backbone, name)
  except WeightsError as error:
    _log.warning('model.weights is auto and ImageNet weights are not to be had: %s', error)
  why = 'model.weights is auto, and ImageNet weights could not be had here'
  if name not in backbone_table.BACKBONES or backbone_table.find(name).imagenet is None:
    why = f'model.weights is auto, and there are no ImageNet weights for {name}'
  if bundled_weights.find(name) is None:
    return Loaded('none', f'{why}, nor any in the package: training from scratch')
  loaded = _load_bundled(backbone, name)
  return dataclasses.replace(loaded, reason=f'{why}: {loaded.reason}')


def save(backbone: keras.Model, name: str, folder: pathlib.Path) -> pathlib.Path:
  """Saves a backbone for later runs: backbone.weights.h5 and backbone.json."""
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / WEIGHTS_FILE
  backbone.save_weights(path)
  _, height, width, _ = backbone.input_shape
  (folder / CONFIG_FILE).write_text(
    json.dumps({'backbone': name, 'height': height, 'width': width}, indent=2) + '\n',
    encoding='utf-8',
  )
  return path


def imagenet_network(name: str, input_shape: tuple[int, int, int]) -> keras.Model:
  """Returns a network of keras.applications with its ImageNet weights, fetched once a machine.

  Args:
    name: what backbones.name_of says; only rows of the table have such weights.
    input_shape: height, width and 3.

  Raises:
    WeightsError: there are none for it, or they cannot be fetched.
  """
  row = backbone_table.BACKBONES.get(name)
  if row is None or row.imagenet is None:
    raise WeightsError(f'model.weights: there are no ImageNet weights for {name}. {_ALTERNATIVES}')
  try:
    return getattr(keras.applications, row.imagenet)(
      include_top=False, weights='imagenet', input_shape=input_shape
    )
  # Keras raises a plain Exception for a failed download.
  except Exception as error:
    raise WeightsError(
      f'model.weights: the ImageNet weights of {name} could not be fetched: '
      f'{_first_line(error)}. {_ALTERNATIVES}'
    ) from error


def _load_imagenet(backbone: keras.Model, name: str) -> Loaded:
  source = imagenet_network(name, backbone.input_shape[1:])
  row = backbone_table.find(name)
  # The normalisation stays that of the data set: Transform measured it.
  pretrained = _weighted(source)
  for layer_name, layer in _weighted(backbone).items():
    layer.set_weights(pretrained[layer_name].get_weights())
  if row.family == 'resnet_v2':
    _take_standardised_pixels(_weighted(backbone)['conv1_conv'])
  elif row.variant in _WITHOUT_STATISTICS:
    _stem_takes_standardised_pixels(_weighted(backbone))
  return Loaded('imagenet', f'ImageNet weights of keras.applications.{row.imagenet}')


def _take_standardised_pixels(first: keras.layers.Conv2D) -> None:
  """Changes the first convolution of a ResNet V2 from pixels of -1..1 to standardised ones.

  It was trained on y = 2 p / 255 - 1, and gets x = (p / 255 - mean) / deviation. With
  ImageNet's statistics y = 2 deviation x + 2 mean - 1, a channel each: the kernel takes
  the factor, the bias the rest. Exact but for the padding, which is 0 in x.
  """
  kernel, bias = first.get_weights()
  shift = np.einsum('hwck,c->k', kernel, 2 * IMAGENET_MEAN - 1)
  first.set_weights([kernel * (2 * IMAGENET_DEVIATION)[:, None], bias + shift])


def _stem_takes_standardised_pixels(layers: dict[str, keras.layers.Layer]) -> None:
  """Does the same for an EfficientNetV2 that was trained on y = p / 128 - 1.

  y = 255 / 128 (deviation x + mean) - 1. The convolution has no bias: the shift goes into
  the mean that the BatchNorm after it takes off.
  """
  convolution, norm = layers['stem_conv'], layers['stem_bn']
  (kernel,) = convolution.get_weights()
  shift = np.einsum('hwck,c->k', kernel, 255 / 128 * IMAGENET_MEAN - 1)
  convolution.set_weights([kernel * (255 / 128 * IMAGENET_DEVIATION)[:, None]])
  norm.moving_mean.assign(np.array(norm.moving_mean) - shift)


def _load_bundled(backbone: keras.Model, name: str) -> Loaded:
  found = bundled_weights.find(name)
  if found is None:
    raise WeightsError(
      f'model.weights: the package has no weights of {name}. It has those of: '
      f'{", ".join(bundled_weights.names()) or "no backbone"}. {_ALTERNATIVES}'
    )
  _load_into(backbone, name, found.path)
  use = 'as features first' if found.frozen_stage else 'all layers trained from the first step on'
  return Loaded(
    'bundled',
    f'weights that come with the package, trained on {found.trained_on}: {use}',
    found.sha256,
    found.licence,
    found.frozen_stage,
  )


def _load_file(backbone: keras.Model, name: str, path: pathlib.Path) -> Loaded:
  try:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
  except OSError as error:
    raise WeightsError(
      f'model.weights: expected auto, imagenet, bundled, none, the id of an earlier run or a '
      f'file. Received: {path} ({error.strerror}). {_ALTERNATIVES}'
    ) from error
  _check_saved_config(name, path)
  _load_into(backbone, name, path)
  return Loaded('file', f'weights of {path}', digest)


def _load_into(backbone: keras.Model, name: str, path: pathlib.Path) -> None:
  # The normalisation stays that of this data set.
  kept = [(layer, layer.get_weights()) for layer in backbones.normalizations(backbone)]
  try:
    backbone.load_weights(path)
  except (ValueError, OSError, KeyError) as error:
    raise WeightsError(
      f'model.weights: {path} does not fit {name}: {_first_line(error)}. {_ALTERNATIVES}'
    ) from error
  for layer, statistics in kept:
    layer.set_weights(statistics)
    layer.finalize_state()


def _check_saved_config(name: str, path: pathlib.Path) -> None:
  config = path.with_name(CONFIG_FILE)
  if config.exists():
    saved = json.loads(config.read_text(encoding='utf-8'))['backbone']
    if saved != name:
      raise WeightsError(
        f'model.weights: {path} holds {saved}. Expected: {name}, as model.backbone says.'
      )


def _weighted(model: keras.Model) -> dict[str, keras.layers.Layer]:
  """Returns the layers that weights are copied between, by the name that Keras' factory gives."""
  return {
    layer.name: layer
    for layer in model._flatten_layers(include_self=False)
    if layer.weights and not isinstance(layer, keras.layers.Normalization | keras.Model)
  }


def _first_line(error: BaseException) -> str:
  return (str(error).strip().splitlines() or [type(error).__name__])[0]
