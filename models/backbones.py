"""The functions that build a backbone, of the table or a user's own, and what it has to hold to."""

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

# Keras exports the sized models only; their factory takes any width, depth and
# drop-connect rate.
from keras.src.applications import efficientnet, efficientnet_v2

from models import backbone_table, dotted_path
from schemas.config import ModelConfig
from schemas.errors import ConfigError

# Standard deviation of what the first layer with weights may see of noise over 0..255. Any
# data set's own statistics lie within; pixels as they are (74) and those that were
# divided by 255 after they were standardised (0.02 and less) do not.
_NORMALISED = (0.05, 20.0)


def name_of(model: ModelConfig) -> str:
  """Returns what a record calls the backbone: its row of the table, or a build_fn's dotted path."""
  return model.build_fn or model.backbone


def build(
  name: str,
  height: int,
  width: int,
  mean: np.ndarray,
  variance: np.ndarray,
  drop_connect: float = 0.0,
) -> keras.Model:
  """Builds a backbone with random weights.

  It takes pixels as decoded and normalises them itself, once.

  Args:
    name: a row of models.backbone_table.
    height: of the input, pixels.
    width: of the input, pixels.
    mean: float [3], of the training pixels on the 0..1 scale.
    variance: float [3], likewise.
    drop_connect: rate of stochastic depth at the last block, in [0, 1).

  Returns:
    A model from float32 [N, height, width, 3], 0..255, to feature maps
    [N, h, w, C], named `backbone`.

  Raises:
    ConfigError: the input is smaller than the row accepts, or a network without
      stochastic depth is asked for it.
  """
  backbone_table.check_size(name, height, width)
  row = backbone_table.find(name)
  shape = (height, width, 3)
  if row.family == 'resnet_v2':
    model = _resnet_v2(name, row, shape, drop_connect)
  else:
    options = dict(
      width_coefficient=row.width,
      depth_coefficient=row.depth,
      default_size=row.size,
      drop_connect_rate=drop_connect,
      include_top=False,
      weights=None,
      input_shape=shape,
    )
    if row.family == 'efficientnet':
      model = efficientnet.EfficientNet(name='backbone', **options)
    else:
      body = efficientnet_v2.EfficientNetV2(
        name=row.variant, include_preprocessing=False, **options
      )
      model = _with_normalization(body, shape)
  _set_normalization(model, mean, variance)
  return model


def build_own(
  path: str,
  height: int,
  width: int,
  mean: np.ndarray,
  variance: np.ndarray,
  drop_connect: float = 0.0,
) -> keras.Model:
  """Builds a backbone by a user's function and holds it to what every row holds to.

  Args:
    path: of the function, `package.module.function`. It is called as
      `function(height, width, mean, variance, drop_connect)`, with the arguments
      of `build`, and returns what `build` returns, under any name.
    height: of the input, pixels.
    width: of the input, pixels.
    mean: float [3], of the training pixels on the 0..1 scale.
    variance: float [3], likewise.
    drop_connect: rate of stochastic depth at the last block, in [0, 1).

  Returns:
    The model, named `backbone`.

  Raises:
    ConfigError: there is no such function, it fails, or `check` refuses its model.
  """
  function = dotted_path.load(path, 'model.build_fn')
  try:
    model = function(height, width, mean, variance, drop_connect)
  # Whatever a function that is not ours raises.
  except Exception as error:
    raise ConfigError(
      f'model.build_fn: {path}(height={height}, width={width}, mean, variance, '
      f'drop_connect={drop_connect}) failed with {type(error).__name__}: {error}'
    ) from error
  check(model, height, width, f'model.build_fn: {path}')
  model.name = 'backbone'
  _keep_in_float32(model)
  return model


def _resnet_v2(
  name: str, row: backbone_table.Backbone, shape: tuple[int, int, int], drop_connect: float
) -> keras.Model:
  if drop_connect:
    raise ConfigError(
      f'model.drop_connect: {name} has no stochastic depth. Expected: 0. Received: {drop_connect}.'
    )
  body = getattr(keras.applications.resnet_v2, str(row.variant))(
    include_top=False, weights=None, input_shape=shape
  )
  return _with_normalization(body, shape)


def _with_normalization(body: keras.Model, shape: tuple[int, int, int]) -> keras.Model:
  # These families leave the normalisation to their caller; the same two layers as
  # EfficientNet has inside.
  inputs = keras.Input(shape)
  x = keras.layers.Rescaling(1.0 / 255.0)(inputs)
  x = keras.layers.Normalization(axis=-1)(x)
  return keras.Model(inputs, body(x), name='backbone')


def _set_normalization(model: keras.Model, mean: np.ndarray, variance: np.ndarray) -> None:
  _keep_in_float32(model)
  for layer in normalizations(model):
    layer.adapt_mean.assign(np.asarray(mean, np.float32))
    layer.adapt_variance.assign(np.asarray(variance, np.float32))
    layer.finalize_state()


def _keep_in_float32(model: keras.Model) -> None:
  """Whole steps of 0..255 would be lost in the 8 bits of bfloat16's mantissa."""
  for layer in model._flatten_layers(include_self=False):
    if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
      layer.dtype_policy = keras.DTypePolicy('float32')


def normalizations(model: keras.Model) -> list[keras.layers.Normalization]:
  """Returns the layers that hold a data set's pixel statistics, those of nested models too."""
  return [
    layer
    for layer in model._flatten_layers(include_self=False)
    if isinstance(layer, keras.layers.Normalization)
  ]


def batch_norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
  """Returns the BatchNormalization layers, those of nested models too."""
  return [
    layer
    for layer in model._flatten_layers(include_self=False)
    if isinstance(layer, keras.layers.BatchNormalization)
  ]


def check(model: keras.Model, height: int, width: int, what: str = 'the backbone') -> None:
  """Holds a backbone to what the training and the export rely on.

  One input of pixels and one output of feature maps; finite features that depend on
  the image; pixels normalised once before the first layer with weights; nothing
  that training mode changes where the model is frozen. The model is left as it was.

  Args:
    model: the backbone.
    height: of the input, pixels.
    width: of the input, pixels.
    what: the backbone's name, for the text of an error.

  Raises:
    ConfigError: naming the first of these that does not hold.
  """
  if not isinstance(model, keras.Model):
    raise ConfigError(f'{what}: expected a keras.Model. Received: {type(model).__name__}.')
  expected = (None, height, width, 3)
  received = getattr(model, 'input_shape', None)
  if received != expected:
    raise ConfigError(
      f'{what}: expected one input of shape {expected}, made by keras.Input. Received: {received}.'
    )
  if not isinstance(model.output_shape, tuple) or len(model.output_shape) != 4:
    raise ConfigError(
      f'{what}: expected one output of feature maps, [N, h, w, C]; pooling follows after it. '
      f'Received: {model.output_shape}.'
    )
  if model.output_shape[-1] is None:
    raise ConfigError(f'{what}: expected feature maps of a known number of channels.')
  pixels = np.random.default_rng(0).uniform(0, 255, (2, height, width, 3)).astype(np.float32)
  _check_features(model, pixels, what)
  _check_normalised_once(model, pixels, what)
  _check_can_be_frozen(model, pixels, what)


def _check_features(model: keras.Model, pixels: np.ndarray, what: str) -> None:
  features = _features(model, pixels)
  if not np.isfinite(features).all():
    raise ConfigError(f'{what}: features of pixels of 0 to 255 are not finite.')
  if np.array_equal(features[0], features[1]):
    raise ConfigError(f'{what}: two different images have the same features.')
  # In a batch of the same size: in one of another size a deep network of random weights
  # makes a rounding error large.
  beside = _features(model, np.stack([pixels[0], 255 - pixels[1]]))
  if not np.allclose(features[0], beside[0], atol=0.01 * float(np.abs(features).max())):
    raise ConfigError(
      f'{what}: the features of an image depend on the other images of its batch, outside '
      'training, too.'
    )


def _features(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
  return np.asarray(keras.ops.cast(model(pixels, training=False), 'float32'))


def _check_normalised_once(model: keras.Model, pixels: np.ndarray, what: str) -> None:
  seen: list[np.ndarray] = []
  layers = [
    layer
    for layer in model._flatten_layers(include_self=False, recursive=True)
    if layer.weights and not isinstance(layer, keras.layers.Normalization | keras.Model)
  ]
  with contextlib.ExitStack() as recording:
    for layer in layers:
      recording.enter_context(_recorded(layer, seen))
    model(pixels, training=False)
  if not seen:
    raise ConfigError(f'{what}: expected layers with weights. Received: none that was called.')
  low, high = _NORMALISED
  deviation = float(seen[0].std())
  if not low <= deviation <= high:
    raise ConfigError(
      f'{what}: expected pixels that are normalised once, by (pixels / 255 - mean) / '
      'sqrt(variance), before the first layer with weights. Received: noise of 0 to 255 '
      f'arrives there with a standard deviation of {deviation:.3g} (limits {low:g} and {high:g}).'
    )


@contextlib.contextmanager
def _recorded(layer: keras.layers.Layer, seen: list[np.ndarray]) -> Iterator[None]:
  """Puts what the layer is called with into `seen`, if it is the first to be called."""
  call = layer.call

  def recording(*args, **kwargs):
    tensors = [one for one in keras.tree.flatten((args, kwargs)) if keras.ops.is_tensor(one)]
    if tensors and not seen:
      seen.append(np.asarray(keras.ops.cast(tensors[0], 'float32')))
    return call(*args, **kwargs)

  layer.call = recording
  try:
    yield
  finally:
    del layer.call


def _check_can_be_frozen(model: keras.Model, pixels: np.ndarray, what: str) -> None:
  trainable = [(layer, layer.trainable) for layer in model._flatten_layers()]
  before = [np.array(variable) for variable in model.weights]
  seeds = [
    (variable, np.array(variable))
    for variable in model.non_trainable_variables
    if not any(variable is weight for weight in model.weights)
  ]
  model.trainable = False
  try:
    model(pixels, training=True)
    changed = [
      variable.path
      for variable, value in zip(model.weights, before, strict=True)
      if not np.array_equal(np.array(variable), value)
    ]
  finally:
    # Setting it on a model sets it on what the model holds: from the outside in.
    for layer, value in trainable:
      layer.trainable = value
    for variable, value in seeds:
      variable.assign(value)
  if changed:
    raise ConfigError(
      f'{what}: expected weights that stay as they are where the model is not trainable, as '
      f"keras.layers.BatchNormalization's do. Changed: {', '.join(changed[:3])}."
    )
