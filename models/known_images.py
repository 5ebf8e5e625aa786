"""How far an image is from those that a network was trained on.

A network that knows ten digits calls a photo of a cat one of them, and is often sure of it.
Its pooled features give that away: they lie far from those of every class. What they were on
train is fitted by models/training/familiarity.py, and is part of the export.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class KnownImages(NamedTuple):
  """Features of train by class: a mean each, and one covariance that all of them share.

  The covariance is known by its largest axes; along all others its variance is one number
  (Tipping and Bishop, 1999).

  Attributes:
    means: float32 [K, d].
    axes: float32 [d, r], of length 1 and at right angles.
    deviations: float32 [r], along each of them, above 0.
    rest: float32 [], the standard deviation along all others, above 0.
  """

  means: np.ndarray
  axes: np.ndarray
  deviations: np.ndarray
  rest: np.ndarray


class Distance:
  """The ood_score of an export, as a graph of plain TensorFlow operations.

  The squared Mahalanobis distance to the nearest class mean (Lee et al., 2018), over d: about
  1 for an image like those of train.

  Attributes:
    variables: in a fixed order, so that equal values are stored as equal bytes.
  """

  def __init__(self, known: KnownImages):
    self._parts = {
      name: tf.Variable(np.asarray(value, np.float32), trainable=False, name=f'known_{name}')
      for name, value in known._asdict().items()
    }
    self.variables: list[tf.Variable] = list(self._parts.values())

  def __call__(self, features: tf.Tensor) -> tf.Tensor:
    """Returns the scores of pooled features.

    Args:
      features: float32 [N, d].

    Returns:
      float32 [N], at least 0; higher is more foreign.
    """
    means = tf.convert_to_tensor(self._parts['means'])
    # Squares of differences are got from products: they lose less about a point in the middle.
    middle = tf.reduce_mean(means, axis=0)
    images, classes = self._whiten(features - middle), self._whiten(means - middle)
    squares = (
      tf.reduce_sum(images**2, axis=1, keepdims=True)
      + tf.reduce_sum(classes**2, axis=1)
      - 2 * tf.matmul(images, classes, transpose_b=True)
    )
    nearest = tf.maximum(tf.reduce_min(squares, axis=1), 0.0)
    return nearest / tf.cast(tf.shape(features)[1], tf.float32)

  def _whiten(self, values: tf.Tensor) -> tf.Tensor:
    """Returns [N, d] whose Euclidean distances are those of Mahalanobis."""
    axes, rest = self._parts['axes'], self._parts['rest']
    along = tf.matmul(values, axes) * (1 / self._parts['deviations'] - 1 / rest)
    return values / rest + tf.matmul(along, axes, transpose_b=True)
