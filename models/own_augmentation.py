"""A user's own augmentation, augment.fn: what it is given, and what it must return.

`fn(pixels, labels, seed) -> (pixels, labels)` with pixels float32 [N, H, W, 3],
0..255, labels float32 [N, K] whose rows sum to 1, and seed int64 [2]; both come
back with the same shape, dtype, range and sum. It runs inside a graph, as TensorFlow
code, and draws from the seed by tf.random.stateless_*.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from models import dotted_path
from schemas.errors import ConfigError, TrainingError

_FIELD = 'augment.fn'
# A fault that depends on what is drawn may show with one seed and not with another.
_TRIALS = 4
# Of a sum of shares in float32.
_TOLERANCE = 1e-3


def apply(
  path: str, pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Calls the function; the first call for a size tries it on made-up batches before.

  Args:
    path: package.module.function.
    pixels: float32 [N, H, W, 3], 0..255; H and W are known.
    labels: float32 [N, K]; K is known.
    seed: int64 [2].

  Returns:
    What the function returns.

  Raises:
    ConfigError: the path names no function.
    TrainingError: what it returns is not what it must return.
  """
  check(path, *pixels.shape[1:3], labels.shape[1])
  changed, changed_labels = _graph_function(path)(pixels, labels, seed)
  return tf.ensure_shape(changed, pixels.shape), tf.ensure_shape(changed_labels, labels.shape)


@functools.lru_cache(maxsize=8)
def check(path: str, height: int, width: int, classes: int) -> None:
  """Tries the function on made-up batches; once for each path and size.

  Raises:
    ConfigError: the path names no function.
    TrainingError: it fails, or what it returns is not what it must return.
  """
  # Also while a graph is traced, as in a map of tf.data.
  with tf.init_scope():
    for trial in range(_TRIALS):
      pixels, labels = _batch(height, width, classes, trial)
      seed = tf.constant([trial, 1], tf.int64)
      one = _call(path, pixels, labels, seed)
      _check_pixels(path, one[0], pixels.shape)
      _check_labels(path, one[1], labels.shape)
      again = _call(path, pixels, labels, seed)
      if not all(np.array_equal(a, b) for a, b in zip(one, again, strict=True)):
        raise TrainingError(
          f'{_FIELD}: expected the same result for the same seed. Received: two results from '
          f'{path}. Draw by tf.random.stateless_* from the seed that it is given.'
        )


def _batch(height: int, width: int, classes: int, trial: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns noise, black, white and a gradient: both ends of the range are there."""
  rng = np.random.default_rng(trial)
  gradient = np.broadcast_to(np.linspace(0, 255, width)[:, np.newaxis], [height, width, 3])
  noise = rng.uniform(0, 255, [height, width, 3])
  pixels = np.stack([noise, np.zeros_like(noise), np.full_like(noise, 255), gradient])
  labels = np.eye(classes)[rng.integers(classes, size=len(pixels))]
  return tf.constant(pixels, tf.float32), tf.constant(labels, tf.float32)


@functools.lru_cache(maxsize=8)
def _graph_function(path: str) -> Callable:
  # In a graph as in training, and with AutoGraph, also where the caller is without.
  return tf.function(dotted_path.load(path, _FIELD))


def _call(
  path: str, pixels: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  try:
    returned = _graph_function(path)(pixels, labels, seed)
  except ConfigError:
    raise
  except Exception as error:
    # Whatever the user's code does.
    raise TrainingError(
      f'{_FIELD}: {path} failed on a made-up batch of {len(pixels)} images with '
      f'{type(error).__name__}: {error}'
    ) from error
  if not isinstance(returned, tuple | list) or len(returned) != 2:
    raise TrainingError(
      f'{_FIELD}: expected a pair (pixels, labels) from {path}. '
      f'Received: {type(returned).__name__}.'
    )
  return tuple(returned)


def _check_pixels(path: str, pixels: tf.Tensor, shape: tf.TensorShape) -> None:
  _check_form(path, 'pixels', pixels, shape)
  low, high = float(tf.reduce_min(pixels)), float(tf.reduce_max(pixels))
  if not (low >= 0 and high <= 255):
    raise TrainingError(
      f'{_FIELD}: expected pixels of 0..255 from {path}. Received: {low:g} to {high:g}. '
      'Clip them, and mind the range: it is not 0..1.'
    )


def _check_labels(path: str, labels: tf.Tensor, shape: tf.TensorShape) -> None:
  _check_form(path, 'labels', labels, shape)
  low = float(tf.reduce_min(labels))
  sums = tf.reduce_sum(labels, axis=1)
  off = float(tf.reduce_max(tf.abs(sums - 1.0)))
  if not (low >= 0 and off <= _TOLERANCE):
    raise TrainingError(
      f'{_FIELD}: expected shares that sum to 1 in each row of the labels from {path}. '
      f'Received: sums of {float(tf.reduce_min(sums)):g} to {float(tf.reduce_max(sums)):g}, '
      f'and a smallest share of {low:g}.'
    )


def _check_form(path: str, name: str, tensor: tf.Tensor, shape: tf.TensorShape) -> None:
  received = f'{tensor.dtype.name} {tensor.shape.as_list()}' if tf.is_tensor(tensor) else tensor
  if received != f'float32 {shape.as_list()}':
    raise TrainingError(
      f'{_FIELD}: expected {name} of float32 {shape.as_list()} from {path}. Received: {received}.'
    )
