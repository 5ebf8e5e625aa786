"""Keras' random layers without their state.

Keras draws from a SeedGenerator, whose variable counts the calls: in a map that
runs in parallel, what an image gets would depend on which batch came first. Here
each seed is derived from one that is given, so that what is drawn is a pure
function of it.
"""

import concurrent.futures
from collections.abc import Callable

import keras
import tensorflow as tf


class Seeds(keras.random.SeedGenerator):
  """Gives one seed after the other, all derived from one.

  Made anew for each trace: the count is Python's and becomes a constant of the graph.

  Args:
    seed: int64 [2].
  """

  def __init__(self, seed: tf.Tensor):
    # Without Keras' own, which makes the variable.
    self._seed = seed
    self._given = 0

  def next(self, ordered=True):
    """Returns the next seed, int64 [2]."""
    self._given += 1
    # What is folded in decides the dtype: an int32 would leave half of the bits.
    count = tf.constant(self._given, tf.int64)
    return tf.random.experimental.stateless_fold_in(self._seed, count)


def build(make: Callable[[], keras.layers.Layer]) -> keras.layers.Layer:
  """Calls `make` where its layer may have variables, also while a graph is traced.

  The layer's own seeds are such variables, although nothing is drawn from them.
  """
  # A thread of its own has neither the graph nor the names and the dtype policy of
  # the model that is being trained.
  with concurrent.futures.ThreadPoolExecutor(1) as executor:
    return executor.submit(make).result()
