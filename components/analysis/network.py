"""The trained network as Keras builds it, from what a run keeps of it."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from components.analysis.asking import Ask
from models import backbones, classifier, decoder, pretrained
from models.decision import Decision
from schemas import signatures, weights_hash
from schemas.config import Config
from schemas.errors import WeightsError

_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class Network:
  """A trained network.

  Attributes:
    classifier: as models.classifier.build makes it, under float32.
    config: that it was trained with.
    labels: K names by id.
    temperature: that its logits are divided by.
    decode: from encoded pictures, string [N], to what the network sees of them, float32
      [N, H, W, 3].
  """

  classifier: keras.Model
  config: Config
  labels: list[str]
  temperature: float
  decode: Callable[[tf.Tensor], tf.Tensor]

  def pixels(self, pictures: list[bytes]) -> tf.Tensor:
    """Returns float32 [N, H, W, 3], what the network sees of encoded pictures."""
    return self.decode(tf.constant(pictures, tf.string))


def rebuild(export: pathlib.Path, loaded, run_folder: pathlib.Path) -> Network:
  """Builds the network that an export holds.

  Architecture and head come from the export, the backbone with its pixel statistics from
  the weights that the Trainer keeps beside it. The custom gradients of activations are not
  in an export: of this network gradients can be had.

  Args:
    export: with its identity.
    loaded: the same, as tf.saved_model.load returned it.
    run_folder: of the training, with backbone.weights.h5.

  Raises:
    WeightsError: what is kept does not fit together.
    ConfigError: an own backbone cannot be built here.
  """
  identity = weights_hash.read_identity(export)
  config, labels = Config.model_validate(identity['config']), identity['labels']
  model = _build(config, len(labels))
  path = run_folder / pretrained.WEIGHTS_FILE
  try:
    model.get_layer('backbone').load_weights(path)
  except (ValueError, OSError, KeyError) as error:
    raise WeightsError(
      f'{path}: expected the weights of {backbones.name_of(config.model)}. Received: {error}'
    ) from error
  signature = loaded.signatures[signatures.SERVING_DEFAULT]
  stored = {variable.name.split(':')[0]: variable for variable in signature.variables}
  for layer in model.layers:
    if layer.name not in ('backbone', 'dropout'):
      for weight in layer.weights:
        _assign(weight, stored, export)
  # As a graph: picture by picture in Python it takes longer than the network does.
  decode = tf.function(
    lambda pictures: decoder.decode_batch(pictures, config.image),
    input_signature=[tf.TensorSpec([None], tf.string)],
    autograph=False,
  )
  return Network(model, config, labels, Decision.read(identity).temperature, decode)


def check(network: Network, pictures: list[bytes], ask: Ask) -> None:
  """Compares the answers of the network with those of the export.

  Raises:
    WeightsError: they differ by more than rounding does.
  """
  logits = network.classifier(network.pixels(pictures), training=False)
  ours = tf.nn.softmax(logits / network.temperature).numpy().max(axis=1)
  theirs = ask(pictures)
  worst = float(np.abs(ours - theirs.probability).max())
  if worst > _TOLERANCE:
    raise WeightsError(
      f'expected the kept weights to answer as the export does, within {_TOLERANCE:g}. '
      f'Received: another probability by {worst:.2g}.'
    )


def describing(network: Network, batch: int) -> Callable[[tf.Tensor], np.ndarray]:
  """Returns what gives float32 [n, D], the pooled features of pixels [n, H, W, 3].

  Args:
    network: the trained one.
    batch: images in one call; fewer are filled up, so that TensorFlow traces one shape.
  """
  layers = [network.classifier.get_layer(name) for name in ('backbone', 'features')]
  image = network.config.image
  shape = [batch, image.height, image.width, 3]

  @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)], autograph=False)
  def features(pixels: tf.Tensor) -> tf.Tensor:
    return layers[1](layers[0](pixels, training=False))

  def describe(pixels: tf.Tensor) -> np.ndarray:
    parts = []
    for start in range(0, len(pixels), batch):
      part = pixels[start : start + batch]
      filled = tf.pad(part, [[0, batch - len(part)], [0, 0], [0, 0], [0, 0]])
      parts.append(features(filled).numpy()[: len(part)])
    return np.concatenate(parts)

  return describe


def _build(config: Config, classes: int) -> keras.Model:
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy('float32')
  try:
    # The statistics are among the weights that are read next.
    nothing = np.zeros(3), np.ones(3)
    return classifier.build(config.model, config.image, classes, *nothing)
  finally:
    keras.config.set_dtype_policy(previous)


def _assign(weight, stored: dict, export: pathlib.Path) -> None:
  found = stored.get(weight.path)
  if found is None or tuple(found.shape) != tuple(weight.shape):
    raise WeightsError(
      f'{export}: expected a variable {weight.path} of shape {tuple(weight.shape)}. Received: '
      f'{"none" if found is None else tuple(found.shape)}.'
    )
  weight.assign(found)
