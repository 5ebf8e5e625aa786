"""What a stage makes trainable, and how the network falls into blocks."""

import functools

import keras
import numpy as np
import pytest
from keras.src.applications import resnet

from models import backbones, classifier
from models.training import stages
from schemas.config import ImageConfig, ModelConfig, StageConfig, TrainConfig
from schemas.errors import ConfigError

TINY_BLOCKS = [f'block{number}a' for number in range(7, 0, -1)]


def with_head(backbone: keras.Model) -> keras.Model:
  inputs = keras.Input(backbone.input_shape[1:])
  x = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
  x = keras.layers.Dense(4, name='hidden')(x)
  return keras.Model(inputs, keras.layers.Dense(3, name='logits')(x))


def tiny() -> keras.Model:
  return classifier.build(
    ModelConfig(backbone='efficientnet_tiny'),
    ImageConfig(height=32, width=32),
    3,
    np.full(3, 0.5, np.float32),
    np.full(3, 0.1, np.float32),
  )


def efficientnet_v2() -> keras.Model:
  """One nested model, as a row of that family has, with the fewest blocks."""
  body = keras.src.applications.efficientnet_v2.EfficientNetV2(
    0.25, 0.25, 32, name='efficientnetv2-b0', include_top=False, weights=None,
    input_shape=(32, 32, 3), include_preprocessing=False,
  )  # fmt: skip
  inputs = keras.Input((32, 32, 3))
  return with_head(keras.Model(inputs, body(inputs), name='backbone'))


def small_resnet(preact: bool) -> keras.Model:
  stack = resnet.stack_residual_blocks_v2 if preact else resnet.stack_residual_blocks_v1

  def stacks(x):
    x = stack(x, 4, 2, stride1=1, name='conv2')
    return stack(x, 8, 12, name='conv3')

  return with_head(
    resnet.ResNet(
      stacks, preact, True, include_top=False, weights=None, input_shape=(32, 32, 3),
      name='backbone', weights_name=None,
    )
  )  # fmt: skip


def own() -> keras.Model:
  layers = keras.layers
  return with_head(
    keras.Sequential(
      [
        keras.Input((32, 32, 3)),
        layers.Normalization(mean=[0.0] * 3, variance=[1.0] * 3),
        layers.Conv2D(2, 3, name='first'),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.SeparableConv2D(4, 3, name='second'),
        layers.Conv2D(4, 3, name='third'),
        layers.BatchNormalization(),
      ],
      name='backbone',
    )
  )


RESNET_BLOCKS = [f'conv3_block{n}' for n in range(12, 0, -1)] + ['conv2_block2', 'conv2_block1']
NETWORKS = {
  'efficientnet': (tiny, [*TINY_BLOCKS, 'stem']),
  'resnet': (functools.partial(small_resnet, False), [*RESNET_BLOCKS, 'stem']),
  'resnet_v2': (functools.partial(small_resnet, True), [*RESNET_BLOCKS, 'stem']),
  'own': (own, ['third', 'second', 'first']),
}


def paths_by_block(model: keras.Model) -> dict[int, list[str]]:
  result: dict[int, list[str]] = {}
  for path, number in stages.block_of(model).items():
    result.setdefault(number, []).append(path)
  return result


@pytest.mark.parametrize('name', NETWORKS)
def test_blocks_are_counted_from_the_head(name):
  build, expected = NETWORKS[name]
  model = build()
  assert [block.name for block in stages.blocks(model)] == ['head', *expected]
  numbers = stages.block_of(model)
  assert set(numbers) == {variable.path for variable in model.trainable_variables}


def test_the_blocks_of_a_nested_efficientnet_v2_are_found_in_order():
  model = efficientnet_v2()
  # A quarter of B0's 1, 2, 2, 3, 5 and 8 repeats, rounded up.
  assert [block.name for block in stages.blocks(model)] == [
    'head', 'block6b', 'block6a', 'block5b', 'block5a', 'block4a', 'block3a', 'block2a',
    'block1a', 'stem',
  ]  # fmt: skip
  assert set(stages.block_of(model)) == {v.path for v in model.trainable_variables}


def test_the_blocks_of_resnet50():
  backbone = backbones.build('resnet50', 32, 32, np.full(3, 0.5), np.full(3, 0.1))
  names = [block.name for block in stages.blocks(with_head(backbone))]
  assert (names[0], names[1], names[-1]) == ('head', 'conv5_block3', 'stem')
  assert len(names) - 2 == 3 + 4 + 6 + 3  # He et al. (2016), table 1


def test_what_follows_the_last_block_belongs_to_it():
  def last(model):
    return {layer.name for layer in stages.blocks(model)[1].layers}

  assert {'top_conv', 'top_bn', 'block7a_project_conv'} <= last(tiny())
  assert {'post_bn', 'conv3_block12_3_conv'} <= last(small_resnet(True))


def test_the_head_is_all_that_is_not_backbone():
  assert sorted(paths_by_block(own())[0]) == [
    'hidden/bias', 'hidden/kernel', 'logits/bias', 'logits/kernel',
  ]  # fmt: skip


def test_a_model_without_a_backbone_is_all_head():
  model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
  assert set(stages.block_of(model).values()) == {0}


def test_weights_of_a_model_class_itself_have_a_block_too():
  class Scaled(keras.Model):
    def __init__(self):
      super().__init__(name='backbone')
      self.conv = keras.layers.Conv2D(2, 3)
      self.scale = self.add_weight(shape=(), name='scale', initializer='ones')

    def call(self, x):
      return self.conv(x) * self.scale

  inputs = keras.Input((8, 8, 3))
  x = keras.layers.GlobalAveragePooling2D()(Scaled()(inputs))
  model = keras.Model(inputs, keras.layers.Dense(2)(x))
  assert set(stages.block_of(model)) == {v.path for v in model.trainable_variables}


def stage(trainable='all', batch_norm='train', **fields) -> StageConfig:
  return StageConfig(
    name='a', epochs=1, learning_rate=1e-3, trainable=trainable, batch_norm=batch_norm, **fields
  )


def trainable_blocks(model: keras.Model) -> list[str]:
  return [
    block.name
    for block in stages.blocks(model)
    if any(layer.trainable_variables for layer in block.layers)
  ]


@pytest.mark.parametrize('count', [1, 3, 8])
def test_the_last_blocks_and_the_head_are_trainable(count):
  model = tiny()
  stages.apply(model, stage('blocks', blocks=count))
  everything = ['head', *TINY_BLOCKS, 'stem']
  assert trainable_blocks(model) == everything[: count + 1]
  # BatchNorm learns where its block does, and runs in inference mode elsewhere.
  for block in stages.blocks(model):
    for layer in block.layers:
      if isinstance(layer, keras.layers.BatchNormalization):
        assert layer.trainable == (block.name in everything[: count + 1])


def test_the_last_blocks_of_a_nested_network_are_trainable():
  model = efficientnet_v2()
  stages.apply(model, stage('blocks', blocks=2))
  assert trainable_blocks(model) == [block.name for block in stages.blocks(model)[:3]]


def test_batch_norm_in_inference_mode_does_not_learn_in_a_trainable_block():
  model = tiny()
  stages.apply(model, stage('blocks', batch_norm='inference', blocks=2))
  assert trainable_blocks(model) == ['head', 'block7a', 'block6a']
  assert not any(layer.trainable for layer in backbones.batch_norms(model.get_layer('backbone')))


@pytest.mark.parametrize('batch_norm', ['train', 'inference'])
def test_head_and_all(batch_norm):
  model = tiny()
  stages.apply(model, stage('head', batch_norm))
  assert trainable_blocks(model) == ['head']
  stages.apply(model, stage('all', batch_norm))
  assert trainable_blocks(model) == ['head', *TINY_BLOCKS, 'stem']
  norms = backbones.batch_norms(model.get_layer('backbone'))
  assert {layer.trainable for layer in norms} == {batch_norm == 'train'}


def test_gradual_unfreezing_from_stage_to_stage():
  model = tiny()
  seen = []
  for one in [stage('head'), stage('blocks', blocks=1), stage('blocks', blocks=4), stage('all')]:
    stages.apply(model, one)
    seen.append(len(trainable_blocks(model)))
  assert seen == [1, 2, 5, 9]
  # And back again: a later stage with fewer blocks freezes what the one before it trained.
  stages.apply(model, stage('blocks', blocks=1))
  assert trainable_blocks(model) == ['head', 'block7a']


def test_only_the_chosen_blocks_change_in_a_step():
  model = tiny()
  stages.apply(model, stage('blocks', blocks=2))
  before = {id(w): np.array(w) for w in model.weights}
  model.compile(keras.optimizers.SGD(0.1), 'mse', run_eagerly=True)
  pixels = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3))
  model.fit(pixels, np.eye(3)[np.arange(8) % 3], verbose=0)
  for number, block in enumerate(stages.blocks(model)):
    changed = [
      not np.array_equal(np.array(w), before[id(w)])
      for layer in block.layers
      for w in layer.weights
    ]
    assert any(changed) == (number <= 2), block.name


def test_more_blocks_than_there_are_is_an_error():
  with pytest.raises(ConfigError, match='at most 8, from the last: block7a.*stem. Received: 9'):
    stages.apply(tiny(), stage('blocks', blocks=9))


def test_the_plan_with_weights_freezes_and_then_unfreezes_at_a_tenth():
  first, second = stages.plan(TrainConfig(learning_rate=3e-3, epochs=7, frozen_epochs=2), True)
  assert (first.trainable, second.trainable) == ('head', 'all')
  assert (first.epochs, second.epochs) == (2, 7)
  assert (first.learning_rate, second.learning_rate) == (3e-3, pytest.approx(3e-4))


def test_the_plan_without_weights_trains_everything():
  (only,) = stages.plan(TrainConfig(learning_rate=3e-3, epochs=7), False)
  assert (only.trainable, only.batch_norm, only.learning_rate) == ('all', 'train', 3e-3)


def test_weights_that_are_not_frozen_first_are_trained_at_a_third():
  (only,) = stages.plan(TrainConfig(learning_rate=3e-3, epochs=7), False, 'bundled')
  assert (only.name, only.trainable, only.epochs) == ('all', 'all', 7)
  assert only.learning_rate == pytest.approx(1e-3)


def test_weights_of_the_package_are_trained_whole_after_the_frozen_stage():
  first, second = stages.plan(TrainConfig(learning_rate=3e-3, epochs=7), True, 'bundled')
  assert (first.trainable, first.batch_norm) == ('head', 'inference')
  assert (second.trainable, second.batch_norm) == ('all', 'train')
  assert second.learning_rate == pytest.approx(1e-3)
  # Those of ImageNet keep their statistics.
  _, other = stages.plan(TrainConfig(), True, 'imagenet')
  assert other.batch_norm == 'inference'


def test_stages_written_out_are_taken_as_they_stand():
  written = (stage('blocks', blocks=2), stage('all', layer_decay=0.5))
  assert stages.plan(TrainConfig(stages=written), True) == written
