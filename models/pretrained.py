"""Weights that a backbone starts from, and the file in which a run leaves its own."""

import dataclasses
import hashlib
import json
import logging
import pathlib

import keras

from models import backbones
from schemas.errors import WeightsError

WEIGHTS_FILE = 'backbone.weights.h5'
CONFIG_FILE = 'backbone.json'
_ALTERNATIVES = (
  'Alternatives: model.weights: none (train from scratch), the path of a .weights.h5 file that '
  'an earlier run saved, or the id of such a run.'
)

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Loaded:
  """What a backbone starts from.

  Attributes:
    source: `imagenet`, `file` or `none`.
    reason: why, in words for the record.
    sha256: of the weights file, where there is one.
  """

  source: str
  reason: str
  sha256: str | None = None

  @property
  def knows_something(self) -> bool:
    """Whether a frozen stage makes sense."""
    return self.source != 'none'


def load(backbone: keras.Model, name: str, weights: str) -> Loaded:
  """Loads weights into a backbone built by models.backbones.build.

  Args:
    backbone: changed in place.
    name: its row of the table.
    weights: `auto`, `imagenet`, `none`, or the path of a .weights.h5 file.

  Raises:
    WeightsError: what was asked for explicitly is not to be had.
  """
  if weights == 'none':
    return Loaded('none', 'model.weights is none: training from scratch')
  if weights not in ('auto', 'imagenet'):
    return _load_file(backbone, name, pathlib.Path(weights))
  try:
    return _load_imagenet(backbone, name)
  except WeightsError as error:
    if weights == 'imagenet':
      raise
    _log.warning('model.weights is auto and ImageNet weights are not to be had: %s', error)
    return Loaded(
      'none',
      'model.weights is auto, and ImageNet weights could not be had here: training from scratch',
    )


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


def _load_imagenet(backbone: keras.Model, name: str) -> Loaded:
  row = backbones.find(name)
  if row.imagenet is None:
    raise WeightsError(f'model.weights: there are no ImageNet weights for {name}. {_ALTERNATIVES}')
  try:
    source = getattr(keras.applications, row.imagenet)(
      include_top=False, weights='imagenet', input_shape=backbone.input_shape[1:]
    )
  # Keras raises a plain Exception for a failed download.
  except Exception as error:
    raise WeightsError(
      f'model.weights: the ImageNet weights of {name} could not be fetched: '
      f'{_first_line(error)}. {_ALTERNATIVES}'
    ) from error
  # The normalisation stays that of the data set: Transform measured it.
  pretrained = _weighted(source)
  for layer_name, layer in _weighted(backbone).items():
    layer.set_weights(pretrained[layer_name].get_weights())
  return Loaded('imagenet', f'ImageNet weights of keras.applications.{row.imagenet}')


def _load_file(backbone: keras.Model, name: str, path: pathlib.Path) -> Loaded:
  try:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
  except OSError as error:
    raise WeightsError(
      f'model.weights: expected auto, imagenet, none, the id of an earlier run or a file. '
      f'Received: {path} ({error.strerror}). {_ALTERNATIVES}'
    ) from error
  _check_saved_config(name, path)
  # The normalisation stays that of this data set.
  normalization = next(
    layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization)
  )
  kept = normalization.get_weights()
  try:
    backbone.load_weights(path)
  except (ValueError, OSError, KeyError) as error:
    raise WeightsError(
      f'model.weights: {path} does not fit {name}: {_first_line(error)}. {_ALTERNATIVES}'
    ) from error
  normalization.set_weights(kept)
  normalization.finalize_state()
  return Loaded('file', f'weights of {path}', digest)


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
