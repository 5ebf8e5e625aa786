"""ImageNet weights: every layer gets them, and the normalisation stays that of the data."""

import keras
import numpy as np
import pytest

from models import backbones, pretrained
from schemas.errors import WeightsError

MEAN = np.array([0.5, 0.4, 0.3], np.float32)
VARIANCE = np.array([0.04, 0.05, 0.06], np.float32)


@pytest.mark.parametrize(
  'name, keras_name',
  [('efficientnet_b0', 'EfficientNetB0'), ('efficientnet_v2_b0', 'EfficientNetV2B0')],
)
def test_each_layer_gets_the_weights_of_keras_own_model(name, keras_name, monkeypatch):
  original = getattr(keras.applications, keras_name)
  made = []

  def with_random_weights(include_top, weights, input_shape):
    assert (include_top, weights) == (False, 'imagenet')
    made.append(original(include_top=False, weights=None, input_shape=input_shape))
    return made[0]

  monkeypatch.setattr(keras.applications, keras_name, with_random_weights)
  backbone = backbones.build(name, 32, 32, MEAN, VARIANCE)
  loaded = pretrained.load(backbone, name, 'imagenet')
  assert loaded.source == 'imagenet' and loaded.knows_something

  def kernels(model):
    return {
      layer.name: layer.get_weights()
      for layer in model._flatten_layers()
      if layer.weights and 'conv' in layer.name
    }

  expected, found = kernels(made[0]), kernels(backbone)
  assert expected.keys() == found.keys() and len(found) > 40
  for layer, values in expected.items():
    for one, other in zip(values, found[layer], strict=True):
      np.testing.assert_array_equal(one, other)
  normalization = next(
    layer for layer in backbone._flatten_layers() if isinstance(layer, keras.layers.Normalization)
  )
  np.testing.assert_allclose(np.ravel(normalization.mean), MEAN)


def test_auto_trains_from_scratch_where_there_is_no_network_and_says_so(monkeypatch):
  def no_network(**_):
    raise Exception('URL fetch failure: no network')

  monkeypatch.setattr(keras.applications, 'EfficientNetB0', no_network)
  backbone = backbones.build('efficientnet_b0', 32, 32, MEAN, VARIANCE)
  loaded = pretrained.load(backbone, 'efficientnet_b0', 'auto')
  assert loaded.source == 'none' and not loaded.knows_something
  assert 'training from scratch' in loaded.reason
  with pytest.raises(WeightsError, match='no network(.|\n)*Alternatives'):
    pretrained.load(backbone, 'efficientnet_b0', 'imagenet')


def test_a_row_without_imagenet_weights_says_so():
  backbone = backbones.build('efficientnet_tiny', 32, 32, MEAN, VARIANCE)
  with pytest.raises(WeightsError, match='no ImageNet weights for efficientnet_tiny'):
    pretrained.load(backbone, 'efficientnet_tiny', 'imagenet')
