"""Grad-CAM against its formula in NumPy, and the layer that is drawn."""

import keras
import numpy as np
import pytest

from components.analysis import activation
from models import classifier
from schemas.config import ImageConfig, ModelConfig

BUILD_FN = 'tests.unit.components.analysis.bright_channel.backbone'


@pytest.fixture
def tiny():
  """A 1 x 1 convolution of 8 x 9 pixels, the mean of its maps, and two logits."""
  image = ImageConfig(height=8, width=9)
  model = classifier.build(ModelConfig(build_fn=BUILD_FN), image, 2, np.zeros(3), np.ones(3))
  model.get_layer('backbone').get_layer('channels').set_weights([np.eye(3)[None, None]])
  model.get_layer('logits').set_weights([np.array([[3, 0], [-1, 1], [0, 2]]), np.zeros(2)])
  return model


def test_the_heat_is_that_of_the_formula(tiny):
  pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 9, 3)).astype(np.float32)
  maps = pixels / 255
  # The slope of logit c by a cell of map k is w[k, c] / 72: of a mean the same in each cell.
  expected = np.stack(
    [
      np.maximum(0, (3 * maps[0, ..., 0] - maps[0, ..., 1]) / 72),
      np.maximum(0, (maps[1, ..., 1] + 2 * maps[1, ..., 2]) / 72),
    ]
  )
  expected /= expected.max((1, 2), keepdims=True)
  parts = activation.cut(tiny)
  assert parts.layer == 'backbone'
  heat = activation.heat(parts, pixels, np.array([0, 1]))
  np.testing.assert_allclose(heat, expected, atol=1e-6)


def test_the_weight_of_a_map_is_the_mean_of_its_slopes():
  draw = np.random.default_rng(0)
  # One cell that sees all of the map: the slope by cell i, j of map k is sum_d W L.
  last, logits = draw.normal(size=(8, 9, 3, 5)), draw.normal(size=(5, 2))
  inputs = keras.Input((8, 9, 3))
  x = keras.layers.Conv2D(3, 1, use_bias=False, name='map')(inputs)
  backbone = keras.Model(inputs, keras.layers.Conv2D(5, (8, 9), name='last')(x), name='backbone')
  model = with_head(backbone, 2)
  backbone.get_layer('map').set_weights([np.eye(3)[None, None]])
  backbone.get_layer('last').set_weights([last, np.zeros(5)])
  model.get_layer('logits').set_weights([logits, np.zeros(2)])
  pixels = draw.uniform(0, 1, (2, 8, 9, 3)).astype(np.float32)
  chosen = np.array([1, 0])
  weights = np.einsum('ijkd,dn->nk', last, logits[:, chosen]) / 72
  expected = np.maximum(0, np.einsum('nijk,nk->nij', pixels, weights))
  assert expected.max() > 0
  parts = activation.cut(model)
  assert parts.layer == 'map'
  largest = expected.max((1, 2), keepdims=True)
  expected = np.divide(expected, largest, out=np.zeros_like(expected), where=largest > 0)
  np.testing.assert_allclose(activation.heat(parts, pixels, chosen), expected, atol=1e-4)


def test_a_frozen_network_has_heat_too_and_one_that_speaks_against_has_none(tiny):
  tiny.trainable = False
  pixels = np.zeros((1, 8, 9, 3), np.float32)
  pixels[..., 1] = 200
  heat = activation.heat(activation.cut(tiny), pixels, np.array([0]))
  assert heat.shape == (1, 8, 9) and (heat == 0).all()


@pytest.fixture
def around():
  """Ends in 2 x 2 cells; `gated` is the last layer of 4 x 4 that has no way around it."""
  inputs = keras.Input((16, 16, 3))
  x = keras.layers.Conv2D(4, 3, strides=4, padding='same', name='first')(inputs)
  branch = keras.layers.Conv2D(4, 1, name='inside')(x)
  x = keras.layers.Add(name='together')([x, branch])
  gate = keras.layers.GlobalAveragePooling2D(keepdims=True, name='squeeze')(x)
  x = keras.layers.Multiply(name='gated')([x, gate])
  shortcut = keras.layers.Conv2D(5, 1, strides=2, name='shortcut')(x)
  x = keras.layers.Conv2D(4, 1, name='detour')(x)
  x = keras.layers.ZeroPadding2D(1, name='padded')(x)
  x = keras.layers.Conv2D(5, 3, strides=2, name='last')(x)
  x = keras.layers.Add(name='end')([x, shortcut])
  return keras.Model(inputs, x, name='backbone')


def with_head(backbone, classes=3):
  inputs = keras.Input(backbone.input_shape[1:])
  x = keras.layers.GlobalAveragePooling2D(name='features')(backbone(inputs))
  x = keras.layers.Dropout(0.5, name='dropout')(x)
  return keras.Model(inputs, keras.layers.Dense(classes, name='logits')(x))


def test_of_a_network_that_ends_small_the_last_passage_is_drawn(around):
  model = with_head(around)
  parts = activation.cut(model)
  # The shortcut is a way around `detour`; a border of zeros would shift the map.
  assert parts.layer == 'gated'
  pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
  maps, logits = parts.maps(pixels)
  assert tuple(maps.shape) == (2, 4, 4, 4)
  np.testing.assert_allclose(logits, model(pixels, training=False), rtol=1e-5, atol=1e-4)


def test_a_body_behind_its_normalisation_is_looked_into(around):
  inputs = keras.Input((16, 16, 3))
  body = keras.Model(around.inputs[0], around.outputs[0], name='body')
  nested = keras.Model(inputs, body(keras.layers.Rescaling(1 / 255)(inputs)), name='backbone')
  model = with_head(nested)
  parts = activation.cut(model)
  assert parts.layer == 'gated'
  pixels = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype(np.float32)
  np.testing.assert_allclose(parts.maps(pixels)[1], model(pixels, training=False), rtol=1e-5)


def test_where_no_map_shows_a_place_there_is_none():
  inputs = keras.Input((16, 16, 3))
  x = keras.layers.Rescaling(1 / 255)(inputs)
  x = keras.layers.Conv2D(4, 16, name='all')(x)
  assert activation.cut(with_head(keras.Model(inputs, x, name='backbone'))) is None


def test_the_overlay_is_warm_where_the_heat_is():
  pixels = np.full((8, 8, 3), 100.0)
  cells = np.zeros((4, 4), np.float32)
  cells[0, 3] = 1
  drawn = np.asarray(activation.overlay(pixels, cells))
  assert drawn.shape == (160, 160, 3)
  assert (drawn[-1, 0] == 100).all()
  # 0.6 of yellow and 0.4 of the grey below it.
  assert drawn[0, -1].tolist() == [193, 193, 40]
