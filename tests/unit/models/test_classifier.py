"""The head is what the config says, and its logits are float32 under any policy."""

import pathlib

import keras
import numpy as np
import pytest

from models import classifier
from schemas.config import ImageConfig, ModelConfig
from schemas.errors import TrainingError

ROOT = pathlib.Path(__file__).parents[3]
MEAN = np.array([0.5, 0.4, 0.3], np.float32)
VARIANCE = np.array([0.04, 0.05, 0.06], np.float32)
IMAGE = ImageConfig(height=32, width=40)


def build(**fields):
  return classifier.build(
    ModelConfig(**{'backbone': 'efficientnet_tiny', **fields}), IMAGE, 5, MEAN, VARIANCE
  )


@pytest.fixture
def bfloat16():
  keras.config.set_dtype_policy('mixed_bfloat16')
  yield
  keras.config.set_dtype_policy('float32')


def test_without_hidden_units_the_features_are_next_to_the_logits():
  model = build(dropout=0.3)
  names = [layer.name for layer in model.layers]
  assert names == ['pixels', 'backbone', 'features', 'dropout', 'logits']
  assert model.get_layer('dropout').rate == 0.3
  # 320 channels are the last of a quarter of EfficientNet's 1,280.
  assert model.get_layer('logits').kernel.shape == (320, 5)


def test_hidden_units_are_one_more_layer_with_its_activation():
  model = build(hidden_units=7)
  names = [layer.name for layer in model.layers]
  assert names == ['pixels', 'backbone', 'features', 'hidden', 'dropout', 'logits']
  hidden, logits = model.get_layer('hidden'), model.get_layer('logits')
  assert hidden.kernel.shape == (320, 7) and logits.kernel.shape == (7, 5)
  features = np.random.default_rng(0).normal(size=(3, 320)).astype(np.float32)
  expected = np.maximum(features @ np.array(hidden.kernel), 0)
  np.testing.assert_allclose(np.asarray(hidden(features)), expected, atol=1e-4)


def test_the_last_layer_of_batch_norms_moves_fast_enough_for_short_runs():
  kinds = build()._flatten_layers()
  found = [one for one in kinds if isinstance(one, keras.layers.BatchNormalization)]
  assert found and {one.momentum for one in found} == {0.9}


def test_logits_are_float32_under_bfloat16_and_the_export_has_the_same_weights(bfloat16):
  model = build(hidden_units=7)
  assert model.get_layer('hidden').compute_dtype == 'bfloat16'
  assert model.output.dtype == 'float32'
  config = ModelConfig(backbone='efficientnet_tiny', hidden_units=7)
  rebuilt = classifier.rebuild_in_float32(model, config, IMAGE, 5, MEAN, VARIANCE)
  assert {layer.compute_dtype for layer in rebuilt._flatten_layers()} == {'float32'}
  for one, other in zip(model.get_weights(), rebuilt.get_weights(), strict=True):
    np.testing.assert_array_equal(one, other)
  assert keras.config.dtype_policy().name == 'mixed_bfloat16'


def test_a_network_of_ones_own_is_the_backbone_and_can_be_rebuilt(monkeypatch, bfloat16):
  monkeypatch.syspath_prepend(str(ROOT / 'examples'))
  model = build(build_fn='own_code.network.build')
  assert model.get_layer('backbone').output_shape == (None, 4, 5, 96)
  assert model.get_layer('backbone').get_layer('block1_conv').compute_dtype == 'bfloat16'
  # Steps of one grey value would be lost in bfloat16.
  kinds = (keras.layers.Rescaling, keras.layers.Normalization)
  found = [one for one in model._flatten_layers() if isinstance(one, kinds)]
  assert [one.compute_dtype for one in found] == ['float32', 'float32']
  rebuilt = classifier.rebuild_in_float32(
    model, ModelConfig(build_fn='own_code.network.build'), IMAGE, 5, MEAN, VARIANCE
  )
  pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 40, 3)).astype(np.float32)
  np.testing.assert_allclose(np.asarray(rebuilt(pixels)), np.asarray(model(pixels)), atol=0.05)


def test_one_class_is_nothing_to_tell_apart():
  with pytest.raises(TrainingError, match='at least 2 classes. Received: 1'):
    classifier.build(ModelConfig(), IMAGE, 1, MEAN, VARIANCE)
