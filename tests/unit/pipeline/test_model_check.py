"""A model that is not to be had is refused before an image is read."""

import keras
import pytest

from pipeline import create_pipeline, model_check
from schemas import loader
from schemas.errors import ConfigError, WeightsError


@pytest.fixture
def make(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\n')

  def build(size=32, **model):
    image = {'height': size, 'width': 64}
    tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'image': image, 'model': model}
    return loader.build_config(tree, 'test', working_directory=tmp_path)

  return build


def test_a_backbone_that_the_table_lacks_makes_no_pipeline(make):
  with pytest.raises(ConfigError, match='Received: efficientnet_b9. Did you mean efficientnet_b'):
    create_pipeline.create_pipeline(make(backbone='efficientnet_b9'))


def test_images_that_are_too_small_for_it_make_no_pipeline(make):
  with pytest.raises(ConfigError, match='expects at least 32 pixels. Received: 31 x 64'):
    create_pipeline.create_pipeline(make(31, backbone='efficientnet_b0'))


def test_a_function_of_a_user_is_held_against_no_table(make):
  model_check.check(make(16, build_fn='network.build'))


def test_imagenet_weights_are_fetched_for_the_size_of_the_images(make, monkeypatch):
  asked = []
  monkeypatch.setattr(keras.applications, 'EfficientNetB0', lambda **values: asked.append(values))
  model_check.fetch_imagenet_weights(make(backbone='efficientnet_b0'))
  assert asked == [{'include_top': False, 'weights': 'imagenet', 'input_shape': (32, 64, 3)}]


@pytest.mark.parametrize(
  'model', [{'backbone': 'efficientnet_tiny'}, {'build_fn': 'network.build'}]
)
def test_a_backbone_without_imagenet_weights_is_told_at_once(make, model):
  with pytest.raises(WeightsError, match='no ImageNet weights for .* Alternatives'):
    model_check.fetch_imagenet_weights(make(**model))


def test_the_layers_of_a_training_are_numbered_as_if_nothing_was_fetched(make, monkeypatch):
  monkeypatch.setattr(
    keras.applications,
    'EfficientNetB0',
    lambda **_: keras.Sequential([keras.layers.Dense(1), keras.layers.Dense(1)]),
  )
  keras.utils.clear_session()
  model_check.fetch_imagenet_weights(make(backbone='efficientnet_b0'))
  assert keras.layers.Dense(1).name == 'dense'
