"""Which part of the network learns, and when: the stages and the blocks."""

import dataclasses
import re
from collections.abc import Iterator

import keras

from models import backbones
from schemas.config import StageConfig, TrainConfig
from schemas.errors import ConfigError

# Fine-tuning at the rate of a new head would undo what the weights know.
UNFROZEN_RATE_FACTOR = 0.1
# Weights of the package are of few and small photos: more of them has to change, BatchNorm's
# statistics too. The arms `staged` and `unfrozen` of benchmarks/transfer.py; decision 0011.
BUNDLED = 'bundled'
BUNDLED_RATE_FACTOR = 1 / 3

BACKBONE_LAYER = 'backbone'
HEAD = 'head'
STEM = 'stem'
# block2a_expand_conv (EfficientNet), conv4_block6_2_bn (ResNet), block_3_project.
BLOCK_NAME = re.compile(r'((?:[a-z]+\d+_)?block_?\d+[a-z]*)_')


def plan(
  train: TrainConfig, weights_know_something: bool, source: str = ''
) -> tuple[StageConfig, ...]:
  """Returns the stages of a training.

  Written out in the config, they are taken as they stand. Otherwise: with weights,
  a frozen stage and an unfrozen one at a tenth of its rate, BatchNorm in
  inference mode in both; with none, one stage that trains everything. With weights of the
  package the whole network is trained at a third of the rate, BatchNorm too, with a frozen
  stage before it where their card says that it is worth one.

  Args:
    train: epochs, frozen_epochs, learning_rate and stages are read.
    weights_know_something: whether a frozen backbone of these weights is of use.
    source: of the weights; see pretrained.Loaded.
  """
  bundled = source == BUNDLED
  if train.stages is not None:
    return train.stages
  if not weights_know_something:
    return (
      StageConfig(
        name='all' if bundled else 'scratch',
        epochs=train.epochs,
        learning_rate=train.learning_rate * (BUNDLED_RATE_FACTOR if bundled else 1.0),
        trainable='all',
        batch_norm='train',
      ),
    )
  return (
    StageConfig(
      name='frozen',
      epochs=train.frozen_epochs,
      learning_rate=train.learning_rate,
      trainable='head',
      batch_norm='inference',
    ),
    StageConfig(
      name='unfrozen',
      epochs=train.epochs,
      learning_rate=train.learning_rate
      * (BUNDLED_RATE_FACTOR if bundled else UNFROZEN_RATE_FACTOR),
      trainable='all',
      batch_norm='train' if bundled else 'inference',
    ),
  )


def apply(model: keras.Model, stage: StageConfig) -> None:
  """Sets what is trainable. An optimizer has to be built anew afterwards.

  With trainable `blocks`, the last stage.blocks blocks of the backbone learn beside
  the head. BatchNorm in what does not learn runs in inference mode.

  Raises:
    ConfigError: for more blocks than the backbone has.
  """
  backbone = model.get_layer('backbone')
  for layer in backbone._flatten_layers():
    # Each for itself: a flag that a model has already is not passed on to its layers.
    layer.trainable = stage.trainable != 'head'
  if stage.trainable == 'head':
    return
  for layer in backbones.batch_norms(backbone):
    # A BatchNormalization that is not trainable also runs in inference mode.
    layer.trainable = stage.batch_norm == 'train'
  if stage.trainable == 'blocks':
    _freeze_all_but_last(model, stage)


def _freeze_all_but_last(model: keras.Model, stage: StageConfig) -> None:
  parts = blocks(model)
  learning = stage.blocks or 0
  if learning >= len(parts):
    names = ', '.join(part.name for part in parts[1:])
    raise ConfigError(
      f'stage {stage.name}: blocks: expected at most {len(parts) - 1}, from the last: {names}. '
      f'Received: {learning}. Next: fewer, or trainable: all.'
    )
  for part in parts[learning + 1 :]:
    for layer in part.layers:
      layer.trainable = False


@dataclasses.dataclass(frozen=True)
class Block:
  """A part of the network that learns at one rate.

  Attributes:
    name: `head`, or the prefix that the names of its layers share, such as
      `block6a` or `conv5_block3`; `stem` before the first of these.
    layers: those with weights that can learn, from the input on.
  """

  name: str
  layers: tuple[keras.Layer, ...]


def blocks(model: keras.Model) -> tuple[Block, ...]:
  """Returns the blocks of a classifier, counted from the head: 0 is the head.

  The residual blocks of the backbone are told apart by the names of their layers,
  those of a nested model too. What comes after the last of them (EfficientNet's
  `top_conv`, ResNetV2's `post_bn`) belongs to it. In a backbone that names no blocks,
  each layer with weights is one, together with the normalisation that follows it.
  A model without a layer named `backbone` is all head.
  """
  head: list[keras.Layer] = []
  body: list[keras.Layer] = []
  for layer in model.layers:
    if layer.name == BACKBONE_LAYER:
      body = [inner for inner in _in_order(layer) if inner.weights and not _holds_statistics(inner)]
    elif layer.weights:
      head.append(layer)
  named = any(BLOCK_NAME.match(layer.name) for layer in body)
  groups: dict[str, list[keras.Layer]] = {}
  current = STEM
  for layer in body:
    current = _block_name(layer, current) if named else _own_name(layer, current)
    groups.setdefault(current, []).append(layer)
  backwards = [Block(name, tuple(layers)) for name, layers in reversed(groups.items())]
  return (Block(HEAD, tuple(head)), *backwards)


def _block_name(layer: keras.Layer, current: str) -> str:
  found = BLOCK_NAME.match(layer.name)
  return found.group(1) if found else current


def _own_name(layer: keras.Layer, current: str) -> str:
  kinds = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
  )
  return current if isinstance(layer, kinds) else layer.name


def _holds_statistics(layer: keras.Layer) -> bool:
  """Tells the layer that normalises pixels: its weights are the data's, and never learn."""
  return isinstance(layer, keras.layers.Normalization)


def _in_order(layer: keras.Layer) -> Iterator[keras.Layer]:
  """Yields the layers of a model, of models within it too, from the input on."""
  inside = layer.layers if isinstance(layer, keras.Model) else []
  held = {id(weight) for inner in inside for weight in inner.weights}
  # A model class of a user's own may hold weights that are in none of its layers.
  if not inside or any(id(weight) not in held for weight in layer.weights):
    yield layer
    return
  for inner in inside:
    yield from _in_order(inner)


def block_of(model: keras.Model) -> dict[str, int]:
  """Returns the number of the block of each trainable variable, by its path."""
  return {
    variable.path: number
    for number, part in enumerate(blocks(model))
    for layer in part.layers
    for variable in layer.trainable_variables
  }
