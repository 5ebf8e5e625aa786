"""Every row of the table of backbones keeps the rules, and so does a network of one's own.

The large rows are left to `make test-long`.
"""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest

from models import backbone_table, backbones
from schemas.config import ModelConfig
from schemas.errors import ConfigError

ROOT = pathlib.Path(__file__).parents[2]
MEAN = np.array([0.5, 0.4, 0.3], np.float32)
VARIANCE = np.array([0.04, 0.05, 0.06], np.float32)
# The others differ in their numbers alone and take minutes to build.
BUILT = (
  'efficientnet_tiny',
  'efficientnet_small',
  'efficientnet_b0',
  'efficientnet_v2_b0',
  'resnet50',
)
ROWS = [
  pytest.param(name, marks=() if name in BUILT else pytest.mark.long)
  for name in backbone_table.BACKBONES
]


@pytest.fixture(scope='module', params=ROWS)
def backbone(request) -> keras.Model:
  assert backbone_table.find(request.param).min_size == 32
  return backbones.build(request.param, 32, 40, MEAN, VARIANCE)


def test_it_keeps_the_rules_and_the_check_leaves_no_trace(backbone):
  weights = backbone.get_weights()
  trainable = len(backbone.trainable_variables)
  backbones.check(backbone, 32, 40)
  assert len(backbone.trainable_variables) == trainable
  for before, after in zip(weights, backbone.get_weights(), strict=True):
    np.testing.assert_array_equal(before, after)


def test_it_maps_pixels_to_finite_features(backbone):
  pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 40, 3)).astype(np.float32)
  features = np.asarray(backbone(pixels, training=False))
  assert features.shape[:3] == (2, 1, 2)
  assert np.isfinite(features).all()
  assert not np.array_equal(features[0], features[1])


def test_it_normalises_pixels_of_0_to_255_once_with_the_given_statistics(backbone):
  pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 40, 3)).astype(np.float32)
  layer = next(part for part in backbone.layers if isinstance(part, keras.layers.Normalization))
  inside = keras.Model(backbone.inputs, layer.output)
  expected = (pixels / 255 - MEAN) / np.sqrt(VARIANCE)
  np.testing.assert_allclose(np.asarray(inside(pixels)), expected, atol=1e-4)
  kinds = [type(part).__name__ for part in backbone._flatten_layers()]
  assert kinds.count('Normalization') == 1 and kinds.count('Rescaling') == 1


def test_it_holds_batch_norms_that_can_be_frozen(backbone):
  assert len(backbones.batch_norms(backbone)) > 5


@pytest.mark.parametrize('name', backbone_table.BACKBONES)
def test_imagenet_rows_name_a_model_of_keras(name):
  row = backbone_table.find(name)
  if row.imagenet is not None:
    assert callable(getattr(keras.applications, row.imagenet))
    assert (row.width, row.depth) >= (1.0, 1.0)


def test_an_unknown_name_is_an_error_with_the_nearest_row():
  with pytest.raises(ConfigError, match='Did you mean efficientnet_b0?'):
    backbone_table.find('eficientnet_b0')


def test_resnet_refuses_stochastic_depth_which_it_does_not_have():
  with pytest.raises(ConfigError, match='resnet50 has no stochastic depth. Expected: 0'):
    backbones.build('resnet50', 32, 32, MEAN, VARIANCE, drop_connect=0.1)


def test_what_a_record_calls_the_backbone():
  assert backbones.name_of(ModelConfig(backbone='resnet50')) == 'resnet50'
  assert backbones.name_of(ModelConfig(build_fn='network.build')) == 'network.build'


# What own networks get wrong, each with a word of the error that names it.


def normalised(inputs):
  x = keras.layers.Rescaling(1 / 255)(inputs)
  return keras.layers.Normalization(axis=-1, mean=MEAN, variance=VARIANCE)(x)


def convolution(x):
  return keras.layers.Conv2D(4, 3, strides=2)(x)


def good():
  inputs = keras.Input((32, 40, 3))
  x = keras.layers.BatchNormalization()(convolution(normalised(inputs)))
  return keras.Model(inputs, keras.layers.Dropout(0.5)(x))


def of_another_size():
  inputs = keras.Input((None, None, 3))
  return keras.Model(inputs, convolution(normalised(inputs)))


def pooled():
  inputs = keras.Input((32, 40, 3))
  return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(convolution(normalised(inputs))))


def deaf():
  inputs = keras.Input((32, 40, 3))
  return keras.Model(inputs, convolution(normalised(inputs)) * 0)


def infinite():
  inputs = keras.Input((32, 40, 3))
  return keras.Model(inputs, keras.ops.exp(convolution(normalised(inputs)) * 1e5))


def not_normalised():
  inputs = keras.Input((32, 40, 3))
  return keras.Model(inputs, convolution(inputs))


def normalised_twice():
  inputs = keras.Input((32, 40, 3))
  x = keras.layers.Rescaling(1 / 255)(normalised(inputs))
  return keras.Model(inputs, convolution(x))


def without_weights():
  inputs = keras.Input((32, 40, 3))
  return keras.Model(inputs, keras.layers.AveragePooling2D(4)(normalised(inputs)))


class Restless(keras.layers.Layer):
  """Counts the batches that it sees in training, trainable or not."""

  def build(self, shape):
    self.seen = self.add_weight(shape=(), initializer='zeros', trainable=False, name='seen')

  def call(self, inputs, training=False):
    if training:
      self.seen.assign_add(1.0)
    return inputs + self.seen


def restless():
  inputs = keras.Input((32, 40, 3))
  return keras.Model(inputs, Restless()(convolution(normalised(inputs))))


class AcrossTheBatch(keras.layers.Layer):
  def call(self, inputs):
    return inputs - keras.ops.mean(inputs, axis=0, keepdims=True)


def across_the_batch():
  inputs = keras.Input((32, 40, 3))
  return keras.Model(inputs, AcrossTheBatch()(convolution(normalised(inputs))))


@pytest.mark.parametrize(
  'make, named',
  [
    (lambda: 'a string', 'expected a keras.Model. Received: str'),
    (lambda: keras.Sequential(), r'input of shape \(None, 32, 40, 3\)'),
    (of_another_size, r'Received: \(None, None, None, 3\)'),
    (pooled, r'feature maps.*\n?.*Received: \(None, 4\)'),
    (deaf, 'two different images have the same features'),
    (infinite, 'not finite'),
    (not_normalised, 'normalised once.*standard deviation of 7'),
    (normalised_twice, 'normalised once.*standard deviation of 0.00'),
    (without_weights, 'expected layers with weights'),
    (restless, 'weights that stay as they are.*restless.*seen'),
    (across_the_batch, 'depend on the other images of its batch'),
  ],
)
def test_what_breaks_a_rule_is_named(make, named):
  with pytest.raises(ConfigError, match=f'(?s)mine: .*{named}'):
    backbones.check(make(), 32, 40, 'mine')


def test_a_good_one_keeps_what_was_frozen_in_it_and_the_state_of_its_generators():
  model = good()
  model.layers[3].trainable = False
  dropout = model.layers[-1]
  state = np.array(dropout.seed_generator.state)
  backbones.check(model, 32, 40)
  assert [layer.trainable for layer in model.layers[3:]] == [False, True, True]
  np.testing.assert_array_equal(np.array(dropout.seed_generator.state), state)


def test_the_example_is_built_by_its_dotted_path_and_named_backbone(monkeypatch):
  monkeypatch.syspath_prepend(str(ROOT / 'examples'))
  model = backbones.build_own('own_code.network.build', 32, 40, MEAN, VARIANCE, 0.1)
  assert model.name == 'backbone'
  # Three halvings of 32 x 40.
  assert model.output_shape == (None, 4, 5, 96)
  found = backbones.normalizations(model)[0]
  np.testing.assert_allclose(np.ravel(found.mean), MEAN)


def test_what_a_function_of_ones_own_raises_is_told_with_its_arguments(tmp_path, monkeypatch):
  (tmp_path / 'own_faulty_network.py').write_text('def build(height, width):\n  return 1\n')
  monkeypatch.syspath_prepend(str(tmp_path))
  assert importlib.util.find_spec('own_faulty_network')
  with pytest.raises(ConfigError, match=r'own_faulty_network.build\(height=32, width=40.*TypeErr'):
    backbones.build_own('own_faulty_network.build', 32, 40, MEAN, VARIANCE)
