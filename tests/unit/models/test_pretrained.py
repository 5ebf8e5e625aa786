"""Weights from elsewhere: every layer gets them, and the normalisation stays that of the data."""

import hashlib
import json

import keras
import numpy as np
import pytest

from models import backbone_table, backbones, bundled_weights, pretrained
from schemas.errors import WeightsError

MEAN = np.array([0.5, 0.4, 0.3], np.float32)
VARIANCE = np.array([0.04, 0.05, 0.06], np.float32)


@pytest.mark.parametrize(
  'name, keras_name',
  [
    ('efficientnet_b0', 'EfficientNetB0'),
    ('efficientnet_v2_b0', 'EfficientNetV2B0'),
    ('resnet50', 'ResNet50V2'),
  ],
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
      # The first of a ResNet is another one: it takes other pixels.
      if layer.weights and 'conv' in layer.name and layer.name != 'conv1_conv'
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


def test_the_first_convolution_of_a_resnet_answers_to_standardised_pixels_as_to_keras_own(
  monkeypatch,
):
  mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
  original = keras.applications.ResNet50V2
  made = []

  def with_random_weights(include_top, weights, input_shape):
    made.append(original(include_top=False, weights=None, input_shape=input_shape))
    bias = made[0].get_layer('conv1_conv').bias
    bias.assign(np.random.default_rng(1).normal(size=bias.shape))
    return made[0]

  monkeypatch.setattr(keras.applications, 'ResNet50V2', with_random_weights)
  backbone = backbones.build('resnet50', 32, 40, np.array(mean), np.square(deviation))
  pretrained.load(backbone, 'resnet50', 'imagenet')
  pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 40, 3)).astype(np.float32)

  def first(model, values):
    inside = keras.Model(model.inputs, model.get_layer('conv1_conv').output)
    # Without the border, to which the padding of 0 reaches: it is another grey there.
    return np.asarray(inside(values))[:, 2:-2, 2:-2]

  expected = first(made[0], keras.applications.resnet_v2.preprocess_input(pixels.copy()))
  standardised = (pixels / 255 - np.array(mean)) / np.array(deviation)
  found = first(backbone.get_layer('resnet50v2'), standardised.astype(np.float32))
  assert np.abs(expected).max() > 1
  np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_stem_of_a_large_v2_answers_to_standardised_pixels_as_to_keras_own(monkeypatch):
  mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
  original = keras.applications.EfficientNetV2S
  made = []

  def with_random_statistics(include_top, weights, input_shape):
    made.append(original(include_top=False, weights=None, input_shape=input_shape))
    statistics = made[0].get_layer('stem_bn').moving_mean
    statistics.assign(np.random.default_rng(1).normal(size=statistics.shape))
    return made[0]

  monkeypatch.setattr(keras.applications, 'EfficientNetV2S', with_random_statistics)
  name = next(
    name for name, row in backbone_table.BACKBONES.items() if row.imagenet == 'EfficientNetV2S'
  )
  backbone = backbones.build(name, 32, 40, np.array(mean), np.square(deviation))
  pretrained.load(backbone, name, 'imagenet')
  pixels = np.random.default_rng(0).uniform(0, 255, (1, 32, 40, 3)).astype(np.float32)

  def stem(model, values):
    inside = keras.Model(model.inputs, model.get_layer('stem_bn').output)
    # Without the border, to which the padding of 0 reaches.
    return np.asarray(inside(values))[:, 1:-1, 1:-1]

  # Keras' own network scales pixels itself; ours is standardised in front of it.
  standardised = (pixels / 255 - np.array(mean)) / np.array(deviation)
  expected = stem(made[0], pixels)
  found = stem(backbone.get_layer('efficientnetv2-s'), standardised.astype(np.float32))
  assert np.abs(expected).max() > 1
  np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.fixture
def bundled(tmp_path, monkeypatch):
  """Weights of the tiny network in the package, and the network that they are of."""
  monkeypatch.setattr(bundled_weights, 'FOLDER', tmp_path / 'weights')
  backbone = backbones.build('efficientnet_tiny', 32, 32, MEAN, VARIANCE)
  for layer in backbones.batch_norms(backbone):
    # What a training leaves differs from what a new network has.
    layer.moving_mean.assign(np.linspace(-2, 2, layer.moving_mean.shape[0]))
  source = tmp_path / 'trained.weights.h5'
  backbone.save_weights(source)
  bundled_weights.write(source, 'efficientnet_tiny', 'CC BY 4.0', '90 photos of fruit', True)
  return backbone


def test_weights_of_the_package_are_loaded_with_hash_and_licence(bundled, tmp_path):
  path = tmp_path / 'weights/efficientnet_tiny.weights.h5'
  mean = MEAN + 0.1
  backbone = backbones.build('efficientnet_tiny', 32, 32, mean, VARIANCE)
  loaded = pretrained.load(backbone, 'efficientnet_tiny', 'bundled')
  assert loaded.source == 'bundled' and loaded.knows_something
  assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
  assert loaded.licence == 'CC BY 4.0' and '90 photos of fruit' in loaded.reason
  np.testing.assert_allclose(np.ravel(backbones.normalizations(backbone)[0].mean), mean)
  statistics = {id(one) for one in backbones.normalizations(backbone)[0].weights}
  for one, other in zip(backbone.weights, bundled.weights, strict=True):
    if id(one) not in statistics:
      # float16 has 11 bits.
      np.testing.assert_allclose(np.array(one), np.array(other), rtol=2**-11, atol=1e-7)
  assert path.stat().st_size < 0.75 * (tmp_path / 'trained.weights.h5').stat().st_size


def test_auto_takes_those_of_the_package_where_imagenet_has_none(bundled):
  backbone = backbones.build('efficientnet_tiny', 32, 32, MEAN, VARIANCE)
  loaded = pretrained.load(backbone, 'efficientnet_tiny', 'auto')
  assert loaded.source == 'bundled'
  assert 'no ImageNet weights for efficientnet_tiny: weights that come with' in loaded.reason


def test_the_card_says_whether_a_frozen_stage_makes_sense(bundled, tmp_path):
  card = tmp_path / 'weights/efficientnet_tiny.json'
  written = json.loads(card.read_text())
  card.write_text(json.dumps({**written, 'frozen_stage': False}))
  backbone = backbones.build('efficientnet_tiny', 32, 32, MEAN, VARIANCE)
  loaded = pretrained.load(backbone, 'efficientnet_tiny', 'bundled')
  assert loaded.source == 'bundled' and not loaded.knows_something
  assert 'all layers trained' in loaded.reason


def test_a_file_that_is_not_the_one_of_its_card_is_refused(bundled, tmp_path):
  path = tmp_path / 'weights/efficientnet_tiny.weights.h5'
  path.write_bytes(path.read_bytes() + b'x')
  backbone = backbones.build('efficientnet_tiny', 32, 32, MEAN, VARIANCE)
  for wanted in ('bundled', 'auto'):
    with pytest.raises(WeightsError, match='as its card says. Received: [0-9a-f]{64}'):
      pretrained.load(backbone, 'efficientnet_tiny', wanted)
  (tmp_path / 'weights/efficientnet_tiny.json').write_text('{}')
  with pytest.raises(WeightsError, match='expected a card with sha256, licence'):
    pretrained.load(backbone, 'efficientnet_tiny', 'bundled')


def test_a_backbone_without_weights_in_the_package_names_those_that_have_some(bundled):
  backbone = backbones.build('efficientnet_small', 32, 32, MEAN, VARIANCE)
  with pytest.raises(WeightsError, match='It has those of: efficientnet_tiny. Alternatives'):
    pretrained.load(backbone, 'efficientnet_small', 'bundled')
  loaded = pretrained.load(backbone, 'efficientnet_small', 'auto')
  assert loaded.source == 'none' and 'nor any in the package' in loaded.reason


def test_a_weight_beyond_float16_is_not_written(tmp_path, monkeypatch):
  monkeypatch.setattr(bundled_weights, 'FOLDER', tmp_path)
  model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
  model.layers[0].kernel.assign([[70000.0]])
  model.save_weights(tmp_path / 'a.weights.h5')
  with pytest.raises(WeightsError, match='expected weights within float16. Received: 70000'):
    bundled_weights.write(tmp_path / 'a.weights.h5', 'x', 'none', 'nothing', False)


def test_a_network_of_ones_own_starts_from_scratch_and_from_its_own_file(tmp_path):
  inputs = keras.Input((8, 8, 3))
  x = keras.layers.Normalization(mean=MEAN, variance=VARIANCE)(inputs)
  model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(x), name='backbone')
  loaded = pretrained.load(model, 'network.build', 'auto')
  assert loaded.source == 'none'
  assert 'no ImageNet weights for network.build, nor any in the package' in loaded.reason
  path = pretrained.save(model, 'network.build', tmp_path)
  kernel = np.array(model.layers[-1].kernel)
  model.layers[-1].kernel.assign(kernel + 1)
  assert pretrained.load(model, 'network.build', str(path)).source == 'file'
  np.testing.assert_array_equal(np.array(model.layers[-1].kernel), kernel)
