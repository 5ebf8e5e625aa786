"""Keras' random layers, with seeds that are given."""

import keras
import numpy as np
import tensorflow as tf

from models import stateless_layers


def seeds(*seed: int) -> stateless_layers.Seeds:
  return stateless_layers.Seeds(tf.constant(seed, tf.int64))


def test_seeds_follow_from_the_first_and_differ():
  one, same, other = seeds(1, 2), seeds(1, 2), seeds(1, 3)
  drawn = [tuple(generator.next().numpy()) for generator in (one, one, one, other)]
  assert len(set(drawn)) == 4
  assert tuple(same.next().numpy()) == drawn[0]
  assert one.next().dtype == tf.int64 and one.next().shape == [2]


def test_keras_draws_from_them_and_nothing_is_left_behind():
  def draw(*seed):
    return keras.random.uniform([8], seed=seeds(*seed)).numpy()

  np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
  assert not np.array_equal(draw(1, 2), draw(1, 3))


def test_a_layer_with_variables_is_built_while_a_graph_is_traced():
  made = []

  @tf.function
  def graph(images):
    made.append(stateless_layers.build(lambda: keras.layers.MixUp(seed=0, dtype='float32')))
    return images

  # Two traces: TensorFlow forbids variables from the second on.
  graph(tf.zeros([1, 2, 2, 3]))
  graph(tf.zeros([2, 2, 2, 3]))
  assert [type(layer) for layer in made] == [keras.layers.MixUp] * 2


def test_building_leaves_the_names_of_the_model_alone():
  keras.utils.clear_session()
  before = keras.layers.MixUp(seed=0).name
  stateless_layers.build(lambda: keras.layers.MixUp(seed=0))
  after = keras.layers.MixUp(seed=0).name
  assert (before, after) == ('mix_up', 'mix_up_1')
