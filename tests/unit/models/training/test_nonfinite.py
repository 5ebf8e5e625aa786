"""The layer at which NaN or infinity came up first."""

import keras
import numpy as np
import pytest

from models import classifier
from models.training import nonfinite
from schemas.config import ImageConfig, ModelConfig

CROSS_ENTROPY = keras.losses.CategoricalCrossentropy(from_logits=True, name='cross_entropy')
SIZE = 32


@pytest.fixture(scope='module')
def nested() -> keras.Model:
  return classifier.build(
    ModelConfig(backbone='efficientnet_tiny'),
    ImageConfig(height=SIZE, width=SIZE),
    3,
    np.full(3, 0.5, np.float32),
    np.full(3, 0.1, np.float32),
  )


@pytest.fixture
def pixels() -> np.ndarray:
  return np.random.default_rng(0).uniform(0, 255, (6, SIZE, SIZE, 3)).astype(np.float32)


LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]


class Root(keras.layers.Layer):
  """Finite, but at 0 its slope is not."""

  def call(self, x):
    return keras.ops.sqrt(keras.ops.relu(x - 1e6))


class Reciprocal(keras.layers.Layer):
  def call(self, x):
    return 1.0 / keras.ops.relu(x - 1e6)


def chain(middle: keras.layers.Layer) -> keras.Model:
  inputs = keras.Input((SIZE, SIZE, 3))
  x = keras.layers.Rescaling(1 / 255, name='scale')(inputs)
  x = keras.layers.Conv2D(2, 3, name='before')(x)
  x = middle(x + x)
  x = keras.layers.Conv2D(2, 3, name='after')(x)
  x = keras.layers.GlobalAveragePooling2D()(x)
  return keras.Model(inputs, keras.layers.Dense(3, name='logits')(x))


def ask(model: keras.Model, pixels: np.ndarray, loss=CROSS_ENTROPY, labels=LABELS) -> str:
  before = [variable.numpy() for variable in model.variables]
  text = nonfinite.first_bad_layer(model, pixels, labels, loss)
  for variable, value in zip(model.variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)
  return text


@pytest.fixture
def poison(nested):
  kept = nested.get_weights()

  def put(layer: str, weight: int, value: float) -> None:
    part = nested.get_layer('backbone').get_layer(layer)
    weights = part.get_weights()
    weights[weight].flat[0] = value
    part.set_weights(weights)

  yield put
  nested.set_weights(kept)


def test_a_poisoned_weight_deep_inside_the_backbone_is_named(nested, poison, pixels):
  poison('block3a_expand_conv', 0, np.nan)
  text = ask(nested, pixels)
  assert text.startswith('block3a_expand_conv (Conv2D) is the first')
  assert 'Its kernel held such values already.' in text


def test_of_many_poisoned_layers_the_first_is_named_and_all_are_counted(nested, poison, pixels):
  poison('block6a_expand_conv', 0, np.nan)
  poison('block2a_project_bn', 1, np.inf)
  text = ask(nested, pixels)
  assert text.startswith('block2a_project_bn (BatchNormalization) is the first')
  assert f'2 of {len(nested.variables)} variables' in text


def test_statistics_that_are_bad_only_in_inference_are_found(nested, poison, pixels):
  # The variance of the moving average: in training mode the batch's own is used.
  poison('block3a_expand_bn', 3, -5.0)
  text = ask(nested, pixels)
  assert text.startswith('block3a_expand_bn (BatchNormalization)')
  assert 'as in inference' in text


def test_input_that_is_not_finite_is_told_apart(nested, pixels):
  pixels[4, 1, 2, 0] = np.inf
  pixels[5, 0, 0, 0] = np.nan
  text = ask(nested, pixels)
  assert text.startswith('The pixels themselves')
  assert '1 NaN and 1 infinite' in text
  assert '2 of 6 images of the batch, the first at position 4' in text
  labels = LABELS.copy()
  labels[1, 0] = np.nan
  pixels = np.zeros_like(pixels)
  assert ask(nested, pixels, labels=labels).startswith('The labels themselves')


def test_a_layer_that_divides_by_zero_is_named(pixels):
  text = ask(chain(Reciprocal(name='reciprocal')), pixels)
  assert text.startswith('reciprocal (Reciprocal) is the first')
  # 6 images of 30 x 30 after a valid 3 x 3 convolution, 2 channels.
  assert '10,800 infinite of 10,800 values' in text


def test_an_operation_that_is_no_layer_is_named(pixels):
  class Huge(keras.layers.Layer):
    def call(self, x):
      return x * 0.0 + 1e30

  inputs = keras.Input((SIZE, SIZE, 3))
  x = keras.layers.GlobalAveragePooling2D()(Huge(name='huge')(inputs))
  model = keras.Model(inputs, keras.layers.Dense(3)(x * x))
  assert '(Multiply) is the first' in ask(model, pixels)


def test_a_gradient_that_only_the_way_back_makes_bad_is_laid_to_its_layer(pixels):
  text = ask(chain(Root(name='root')), pixels)
  assert 'not every gradient' in text
  assert 'root (Root) is the first where the gradient that it passes back is not' in text


def test_the_loss_is_named_where_the_network_is_finite(pixels):
  class Logarithm(keras.losses.Loss):
    def call(self, labels, logits):
      return -keras.ops.sum(labels * keras.ops.log(logits * 0.0), axis=-1)

  text = ask(chain(keras.layers.ReLU()), pixels, loss=Logarithm(name='logarithm'))
  assert text.startswith('The loss itself (logarithm) is')


def test_a_sequential_model_is_walked_through_as_well(pixels):
  model = keras.Sequential(
    [
      keras.Input((SIZE, SIZE, 3)),
      keras.layers.GlobalAveragePooling2D(),
      keras.layers.Dense(4, name='hidden'),
      keras.layers.Dense(3, name='last'),
    ]
  )
  model.get_layer('last').bias.assign([0.0, np.nan, 0.0])
  text = ask(model, pixels)
  assert 'last (Dense) is the first' in text
  assert 'Its bias held such values already.' in text


def test_where_all_is_finite_it_says_so(nested, pixels):
  assert ask(nested, pixels).startswith('Nothing that is not finite was found')
