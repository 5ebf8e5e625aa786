"""Weights as constants: the same answers, and nothing that has a state is frozen."""

import numpy as np
import pytest
import tensorflow as tf

from schemas import signatures
from serving import frozen_servable
from serving.frozen_servable import FrozenServable
from serving.servable import Servable
from tests.unit.serving import exports


@pytest.fixture(scope='module')
def both(image_model):
  made = Servable(image_model), FrozenServable(image_model)
  yield made
  for one in made:
    one.close()


def graph_of(servable: Servable):
  return servable._session.graph.as_graph_def()


def write_counting_model(path):
  """A model whose answer depends on how often it was asked."""
  module = tf.Module()
  module.count = tf.Variable(0.0)
  module.weight = tf.Variable(2.0)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])
  def counted(x):
    return {'y': x * module.weight + module.count.assign_add(1.0)}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])
  def plain(x):
    return {'y': x * module.weight}

  tf.saved_model.save(module, str(path), signatures={'counted': counted, 'plain': plain})
  return path


def write_model_with_a_table(path):
  module = tf.Module()
  module.weight = tf.Variable(2.0)
  module.table = tf.lookup.StaticHashTable(
    tf.lookup.KeyValueTensorInitializer(['blue', 'red'], [0.0, 1.0]), default_value=-1.0
  )

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name='x')])
  def looked_up(x):
    return {'y': module.table.lookup(x) * module.weight}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])
  def plain(x):
    return {'y': x * module.weight}

  tf.saved_model.save(module, str(path), signatures={'looked_up': looked_up, 'plain': plain})
  return path


def test_the_answers_are_those_of_the_variables(both):
  images = np.array([exports.encoded(seed, width=9 + seed) for seed in range(5)], object)
  records = np.array([exports.example(image, 'a', 'red') for image in images], object)
  for name, inputs in (
    (signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: images}),
    (signatures.SERVING_EXAMPLES, {signatures.EXAMPLES: records}),
    (signatures.TRANSFORM_FEATURES, {signatures.EXAMPLES: records}),
  ):
    plain, frozen = (one.run(name, inputs) for one in both)
    assert plain.keys() == frozen.keys()
    for output, expected in plain.items():
      if expected.dtype.kind == 'f':
        np.testing.assert_allclose(frozen[output], expected, atol=1e-6)
      else:
        np.testing.assert_array_equal(frozen[output], expected)


def test_what_the_graph_refuses_it_refuses_here_too(both):
  broken = {signatures.IMAGE_BYTES: np.array([b'no image'], object)}
  said = []
  for one in both:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
      one.run(signatures.SERVING_DEFAULT, broken)
    said.append(caught.value.message.split('[[')[0].rpartition('}} ')[2])
  assert said[0] == said[1]


def test_no_variable_is_read_any_more(image_model):
  servable = FrozenServable(image_model)
  assert servable._frozen is not None
  operations = {one.type for one in servable._frozen.graph.get_operations()}
  assert 'Const' in operations
  assert not operations & {'VarHandleOp', 'ReadVariableOp', 'VariableV2'}
  servable.close()
  with pytest.raises(tf.errors.CancelledError, match='closed'):
    servable.run(
      signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: np.array([exports.encoded(1)], object)}
    )


def test_a_counter_counts_on(tmp_path):
  servable = FrozenServable(write_counting_model(tmp_path / '1'))
  graph = graph_of(servable)
  fit = {
    name: frozen_servable.only_reads_weights(graph, signature)
    for name, signature in servable.signatures.items()
  }
  assert fit == {'counted': False, 'plain': True}
  one = {'x': np.ones(1, np.float32)}
  assert [float(servable.run('counted', one)['y'][0]) for _ in range(3)] == [3.0, 4.0, 5.0]
  assert float(servable.run('plain', one)['y'][0]) == 2.0
  servable.close()


def test_a_table_is_no_weight(tmp_path):
  servable = FrozenServable(write_model_with_a_table(tmp_path / '1'))
  graph = graph_of(servable)
  fit = {
    name: frozen_servable.only_reads_weights(graph, signature)
    for name, signature in servable.signatures.items()
  }
  assert fit == {'looked_up': False, 'plain': True}
  numbers = servable.run('looked_up', {'x': np.array([b'red', b'pink'], object)})['y']
  np.testing.assert_allclose(numbers, [2.0, -2.0])
  np.testing.assert_allclose(servable.run('plain', {'x': np.ones(1, np.float32)})['y'], [2.0])
  servable.close()


def test_where_every_signature_is_frozen_the_variables_are_gone(affine_model):
  servable = FrozenServable(affine_model)
  plain = Servable(affine_model)
  with pytest.raises(RuntimeError, match='closed'):
    servable._session.run('anything')
  for name, signature in plain.signatures.items():
    inputs = {key: np.ones(2, np.float32) for key in signature.inputs}
    if any(info.dtype != tf.float32.as_datatype_enum for info in signature.inputs.values()):
      continue
    for output, expected in plain.run(name, inputs).items():
      np.testing.assert_allclose(servable.run(name, inputs)[output], expected)
  servable.close()
  plain.close()


def test_a_version_too_large_for_one_graph_runs_as_it_is(image_model, monkeypatch):
  monkeypatch.setattr(frozen_servable, '_MOST_BYTES', 10)
  servable = FrozenServable(image_model)
  assert servable._frozen is None
  images = {signatures.IMAGE_BYTES: np.array([exports.encoded(1)], object)}
  assert servable.run(signatures.SERVING_DEFAULT, images)[signatures.PROBABILITIES].shape == (1, 3)
  servable.close()


def test_a_graph_that_cannot_be_converted_runs_as_it_is(image_model, monkeypatch):
  def fail(*_):
    raise ValueError('unknown')

  monkeypatch.setattr(frozen_servable, '_freeze', fail)
  servable = FrozenServable(image_model)
  images = {signatures.IMAGE_BYTES: np.array([exports.encoded(1)], object)}
  assert servable.run(signatures.SERVING_DEFAULT, images)[signatures.PROBABILITIES].shape == (1, 3)
  servable.close()
