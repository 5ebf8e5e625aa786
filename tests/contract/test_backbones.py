"""Every row of the table of backbones can be built; the large ones are left to `make test-long`."""

import keras
import numpy as np
import pytest

from models import backbones
from schemas.errors import ConfigError

MEAN = np.array([0.5, 0.4, 0.3], np.float32)
VARIANCE = np.array([0.04, 0.05, 0.06], np.float32)
# The others differ in their numbers alone and take minutes to build.
BUILT = ('efficientnet_tiny', 'efficientnet_small', 'efficientnet_b0', 'efficientnet_v2_b0')
ROWS = [
  pytest.param(name, marks=() if name in BUILT else pytest.mark.long)
  for name in backbones.BACKBONES
]


@pytest.fixture(scope='module', params=ROWS)
def backbone(request) -> keras.Model:
  assert backbones.find(request.param).min_size == 32
  return backbones.build(request.param, 32, 40, MEAN, VARIANCE)


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


@pytest.mark.parametrize('name', backbones.BACKBONES)
def test_imagenet_rows_name_a_model_of_keras(name):
  row = backbones.find(name)
  if row.imagenet is not None:
    assert callable(getattr(keras.applications, row.imagenet))
    assert (row.width, row.depth) >= (1.0, 1.0)


def test_an_unknown_name_is_an_error_with_the_nearest_row():
  with pytest.raises(ConfigError, match='Did you mean efficientnet_b0?'):
    backbones.find('eficientnet_b0')
