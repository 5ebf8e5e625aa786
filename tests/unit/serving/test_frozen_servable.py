"""Weights as constants: the same answers, and nothing that has a state is frozen."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from schemas import signatures
from schemas.errors import ExportError
from serving import frozen_graph, frozen_servable
from serving.frozen_servable import FrozenServable, load_aside
from serving.servable import Servable
from serving.warm_up import warm_up
from tests.unit.serving import exports


@pytest.fixture(autouse=True, scope='module')
def however_small():
  """The models of these tests are, and still go through the other process."""
  with pytest.MonkeyPatch.context() as patched:
    patched.setattr(frozen_servable, '_SMALL', 0)
    yield


@pytest.fixture(scope='module')
def loaded(image_model):
  """As it is, with constants, and with constants that another process made."""
  made = Servable(image_model), FrozenServable(image_model), load_aside(image_model)
  yield made
  for one in made:
    one.close()


def frozen_signatures(path) -> list[list[str]]:
  """Returns which signatures each part of a version answers."""
  return [sorted(part.calls) for part in frozen_graph.freeze(path).parts]


def operations(servable: FrozenServable) -> list[set[str]]:
  return [{one.type for one in part.graph.get_operations()} for part in servable._sessions]


VARIABLES = {'VarHandleOp', 'ReadVariableOp', 'VariableV2'}


def write_counting_model(path):
  """A model whose answer depends on how often it was asked."""
  module = tf.Module()
  module.count = tf.Variable(0.0)
  module.weight = tf.Variable(2.0)
  module.other = tf.Variable(3.0)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])
  def counted(x):
    return {'y': x * module.weight + module.count.assign_add(1.0)}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])
  def plain(x):
    return {'y': x * module.other}

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


def write_model_with_a_vocabulary(path):
  """A table that is read from a file of the export."""
  vocabulary = path.parent / 'fruit.txt'
  vocabulary.write_text('apple\npear\n')
  module = tf.Module()
  module.table = tf.lookup.StaticVocabularyTable(
    tf.lookup.TextFileInitializer(
      str(vocabulary),
      tf.string,
      tf.lookup.TextFileIndex.WHOLE_LINE,
      tf.int64,
      tf.lookup.TextFileIndex.LINE_NUMBER,
    ),
    num_oov_buckets=1,
  )

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name='x')])
  def looked_up(x):
    return {'y': module.table.lookup(x)}

  tf.saved_model.save(module, str(path), signatures={'looked_up': looked_up})
  vocabulary.unlink()
  return path


def test_the_answers_are_those_of_the_variables(loaded):
  images = np.array([exports.encoded(seed, width=9 + seed) for seed in range(5)], object)
  records = np.array([exports.example(image, 'a', 'red') for image in images], object)
  for name, inputs in (
    (signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: images}),
    (signatures.SERVING_EXAMPLES, {signatures.EXAMPLES: records}),
    (signatures.TRANSFORM_FEATURES, {signatures.EXAMPLES: records}),
  ):
    plain, *others = (one.run(name, inputs) for one in loaded)
    for frozen in others:
      assert plain.keys() == frozen.keys()
      for output, expected in plain.items():
        if expected.dtype.kind == 'f':
          np.testing.assert_allclose(frozen[output], expected, atol=1e-6)
        else:
          np.testing.assert_array_equal(frozen[output], expected)


def test_the_other_process_tells_all_of_it(loaded):
  plain, inside, aside = loaded
  assert plain.signatures == inside.signatures == aside.signatures
  assert operations(inside) == operations(aside)


def test_what_the_graph_refuses_it_refuses_here_too(loaded):
  broken = {signatures.IMAGE_BYTES: np.array([b'no image'], object)}
  said = []
  for one in loaded:
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
      one.run(signatures.SERVING_DEFAULT, broken)
    said.append(caught.value.message.split('[[')[0].rpartition('}} ')[2])
  assert said[0] == said[1] == said[2]


def test_no_variable_is_read_any_more(image_model):
  servable = FrozenServable(image_model)
  for found in operations(servable):
    assert 'Const' in found
    assert not found & VARIABLES
  servable.close()
  with pytest.raises(tf.errors.CancelledError, match='closed'):
    servable.run(
      signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: np.array([exports.encoded(1)], object)}
    )


def test_a_counter_counts_on(tmp_path):
  path = write_counting_model(tmp_path / '1')
  assert frozen_signatures(path) == [['plain'], ['counted']]
  servable = FrozenServable(path)
  one = {'x': np.ones(1, np.float32)}
  assert [float(servable.run('counted', one)['y'][0]) for _ in range(3)] == [3.0, 4.0, 5.0]
  assert float(servable.run('plain', one)['y'][0]) == 3.0
  servable.close()


@pytest.mark.parametrize('load', [FrozenServable, load_aside])
def test_a_table_is_no_weight(tmp_path, load):
  path = write_model_with_a_table(tmp_path / '1')
  assert frozen_signatures(path) == [['plain'], ['looked_up']]
  servable = load(path)
  numbers = servable.run('looked_up', {'x': np.array([b'red', b'pink'], object)})['y']
  np.testing.assert_allclose(numbers, [2.0, -2.0])
  np.testing.assert_allclose(servable.run('plain', {'x': np.ones(1, np.float32)})['y'], [2.0])
  servable.close()


def test_a_vocabulary_is_read_from_the_assets_of_the_version(tmp_path):
  path = write_model_with_a_vocabulary(tmp_path / '1')
  servable = FrozenServable(path)
  assert frozen_signatures(path) == [['looked_up']]
  numbers = servable.run('looked_up', {'x': np.array([b'pear', b'apple', b'fig'], object)})['y']
  np.testing.assert_array_equal(numbers, [1, 0, 2])
  servable.close()


def test_where_every_signature_is_frozen_one_graph_is_left(affine_model):
  servable = FrozenServable(affine_model)
  assert len(servable._sessions) == 1
  plain = Servable(affine_model)
  for name, signature in plain.signatures.items():
    inputs = {key: np.ones(2, np.float32) for key in signature.inputs}
    if any(info.dtype != tf.float32.as_datatype_enum for info in signature.inputs.values()):
      continue
    for output, expected in plain.run(name, inputs).items():
      np.testing.assert_allclose(servable.run(name, inputs)[output], expected)
  servable.close()
  plain.close()


def fail(*_):
  raise ValueError('unknown')


@pytest.mark.parametrize(('what', 'value'), [('_MOST_BYTES', 10), ('_constants', fail)])
def test_what_cannot_be_frozen_runs_as_it_was_exported(image_model, monkeypatch, what, value):
  monkeypatch.setattr(frozen_graph, what, value)
  servable = FrozenServable(image_model)
  assert VARIABLES & operations(servable)[0]
  plain = Servable(image_model)
  images = {signatures.IMAGE_BYTES: np.array([exports.encoded(1)], object)}
  answers = [one.run(signatures.SERVING_DEFAULT, images) for one in (servable, plain)]
  np.testing.assert_allclose(*(one[signatures.PROBABILITIES] for one in answers), atol=1e-6)
  servable.close()
  plain.close()


def test_what_tensorflow_serving_cannot_run_is_not_mended(unservable_model):
  servable = FrozenServable(unservable_model)
  with pytest.raises(tf.errors.FailedPreconditionError, match='Could not find variable'):
    warm_up(servable)
  servable.close()


def test_a_broken_version_is_refused_with_the_same_words(image_model, tmp_path):
  path = tmp_path / '1'
  shutil.copytree(image_model, path)
  (data,) = (path / 'variables').glob('*.data-*')
  data.write_bytes(data.read_bytes()[:-20])
  told = []
  for load in (FrozenServable, load_aside):
    with pytest.raises(
      ExportError, match='expected a SavedModel that a session can load'
    ) as caught:
      load(path)
    told.append((str(caught.value).splitlines()[0], type(caught.value.__cause__)))
  assert told[0] == told[1]
  with pytest.raises(ExportError, match='expected a SavedModel that a session can load'):
    load_aside(tmp_path / 'absent')


def test_what_the_init_operation_sets_counts(tmp_path):
  """As TensorFlow 1 exported a model whose main_op changes a variable."""
  path = tmp_path / '1'
  with tf.compat.v1.Session(graph=tf.Graph()) as session:
    x = tf.compat.v1.placeholder(tf.float32, [None], 'x')
    # Longer than a piece, so that its readers are in another.
    w = tf.compat.v1.Variable(tf.ones([400_000]), use_resource=False)
    y = x * tf.reduce_mean(w)
    session.run(tf.compat.v1.global_variables_initializer())
    builder = tf.compat.v1.saved_model.Builder(str(path))
    signature = tf.compat.v1.saved_model.predict_signature_def({'x': x}, {'y': y})
    builder.add_meta_graph_and_variables(
      session,
      [tf.saved_model.SERVING],
      {'serving_default': signature},
      main_op=tf.compat.v1.assign(w, tf.fill([400_000], 10.0)).op,
    )
    builder.save()
  servable = FrozenServable(path)
  assert servable.run('serving_default', {'x': np.ones(1, np.float32)})['y'] == [10.0]
  assert not VARIABLES & operations(servable)[0]
  servable.close()


def test_a_table_that_the_checkpoint_fills_is_filled(tmp_path):
  module = tf.Module()
  module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.float32, -1.0)
  module.table.insert(['a'], [7.0])

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name='x')])
  def looked_up(x):
    return {'y': module.table.lookup(x)}

  tf.saved_model.save(module, str(tmp_path / '1'), signatures={'serving_default': looked_up})
  servable = FrozenServable(tmp_path / '1')
  answer = servable.run('serving_default', {'x': np.array([b'a', b'b'], object)})['y']
  np.testing.assert_array_equal(answer, [7.0, -1.0])
  servable.close()


def test_what_one_signature_changes_the_others_see(tmp_path):
  module = tf.Module()
  module.count = tf.Variable(0.0)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])
  def bump(x):
    return {'y': x + module.count.assign_add(1.0)}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name='x')])
  def peek(x):
    return {'y': x + module.count}

  tf.saved_model.save(module, str(tmp_path / '1'), signatures={'bump': bump, 'peek': peek})
  servable = FrozenServable(tmp_path / '1')
  one = {'x': np.ones(1, np.float32)}
  assert servable.run('peek', one)['y'] == [1.0]
  servable.run('bump', one)
  assert servable.run('peek', one)['y'] == [2.0]
  servable.close()


def test_parts_that_do_not_fit_together_run_as_they_were_exported(affine_model):
  def freeze(path):
    found = frozen_graph.freeze(path)
    (part,) = found.parts
    (piece, *_) = part.pieces
    del piece.node[:], piece.library.function[:]
    return found

  servable = FrozenServable(affine_model, freeze)
  assert not servable._sessions and servable._session is not None
  assert servable.run('serving_default', {'x': np.array([2.0], np.float32)})['y'] == [3.0]
  servable.close()
