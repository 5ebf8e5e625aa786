"""An export is cut at its pixels: both halves against Pillow and the network itself."""

import numpy as np
import pytest
import tensorflow as tf

from models.decoder import decode_and_resize, decode_batch
from models.formats.export_graph import ExportGraph
from schemas import signatures
from schemas.errors import ExportError
from tests.unit.serving import exports


def test_the_network_gives_every_output_but_the_name(network, pixels, answers):
  assert (network.height, network.width) == (exports.SIDE, exports.SIDE)
  assert network.outputs == tuple(sorted(answers))
  found = dict(zip(network.outputs, network.function()(tf.constant(pixels)), strict=True))
  for name, expected in answers.items():
    np.testing.assert_allclose(found[name], expected, atol=1e-5, err_msg=name)
  assert np.ptp(answers['probabilities']) > 0.05  # a constant answer proves nothing


def test_the_decoder_gives_the_pixels_that_pillow_sees(graph):
  decoder = graph.decoder(signatures.SERVING_DEFAULT)
  by_record = graph.decoder(signatures.SERVING_EXAMPLES)
  image = exports.encoded(5)
  read = np.asarray(exports.picture(5), np.float32)
  side = [exports.SIDE, exports.SIDE]
  expected = np.clip(tf.image.resize(read, side, antialias=True), 0, 255)
  found = decoder(np.array([image, image], object))
  assert found.shape == (2, *side, 3)
  np.testing.assert_allclose(found[1], expected, atol=1e-3)
  record = exports.example(image, 'id', 'red')
  np.testing.assert_array_equal(by_record(np.array([record], object)), found[:1])
  with pytest.raises(tf.errors.InvalidArgumentError, match='JPEG'):
    decoder(np.array([b'no image'], object))
  decoder.close()
  by_record.close()


def test_the_network_is_free_of_the_decoder(graph, network):
  heavy = [node for node in network.graph.node if node.op == 'Const']
  assert max(len(node.attr['value'].tensor.tensor_content) for node in heavy) > 1000
  assert graph.network().graph.node[0].op == 'Placeholder'
  assert not [node for node in network.graph.node if 'Decode' in node.op]


@pytest.fixture(scope='module')
def nested(tmp_path_factory):
  """An export whose records go to the images' function: a call waits for all its arguments."""
  model = exports.network(0)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)])
  def answer(image_bytes):
    return {signatures.PROBABILITIES: model(decode_batch(image_bytes, exports.IMAGE))}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.EXAMPLES)])
  def serve(examples):
    parsed = tf.io.parse_example(examples, {'image/encoded': tf.io.FixedLenFeature([], tf.string)})
    return answer(parsed['image/encoded'])

  path = tmp_path_factory.mktemp('nested') / '1'
  named = {signatures.SERVING_DEFAULT: answer, signatures.SERVING_EXAMPLES: serve}
  tf.saved_model.save(model, str(path), signatures=named)
  return ExportGraph(path)


def test_the_decoder_needs_no_weights(nested):
  image = exports.encoded(5)
  record = exports.example(image, 'id', 'red')
  by_image, by_record = map(
    nested.decoder, (signatures.SERVING_DEFAULT, signatures.SERVING_EXAMPLES)
  )
  for decoder in (by_image, by_record):
    for session in decoder._sessions:
      kinds = [operation.type for operation in session.graph.get_operations()]
      assert kinds.count('Placeholder') == 1 and len(kinds) < 40
    graphs = [session.graph.as_graph_def() for session in decoder._sessions]
    loops = [node for graph in graphs for node in graph.node if node.op == 'While']
    # Of several images, several at a time; of one, one step after the other.
    assert [loop.attr['_lower_using_switch_merge'].b for loop in loops] == [True, False]
  expected = by_image(np.array([image], object))
  assert np.ptp(expected) > 10
  np.testing.assert_array_equal(by_record(np.array([record], object)), expected)
  by_image.close()
  by_record.close()


def test_pixels_that_depend_on_weights_are_refused(tmp_path):
  module = tf.Module()
  module.scale = tf.Variable(0.5)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)])
  def answer(image_bytes):
    shape = [exports.SIDE, exports.SIDE, 3]
    pixels = tf.map_fn(
      lambda one: module.scale * decode_and_resize(one, exports.IMAGE),
      image_bytes,
      fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )
    return {signatures.PROBABILITIES: tf.ensure_shape(pixels, [None, *shape])[:, 0, 0]}

  tf.saved_model.save(module, str(tmp_path), signatures={signatures.SERVING_DEFAULT: answer})
  with pytest.raises(ExportError, match='pixels that depend on weights'):
    ExportGraph(tmp_path).decoder(signatures.SERVING_DEFAULT)


def test_a_network_keeps_its_own_functions_and_lookups(tmp_path):
  module = tf.Module()
  module.weights = tf.Variable([[1.0, 2.0, 3.0], [5.0, 7.0, 11.0]])

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)])
  def answer(image_bytes):
    means = tf.reduce_mean(decode_batch(image_bytes, exports.IMAGE), [1, 2])
    dark, bright = tf.unstack(tf.gather(module.weights, [0, 1]))
    with tf.experimental.function_executor_type('SINGLE_THREADED_EXECUTOR'):
      scaled = tf.cond(
        tf.reduce_mean(means) > 100,
        lambda: means * bright,
        lambda: means * dark,
      )
    return {signatures.PROBABILITIES: scaled}

  tf.saved_model.save(module, str(tmp_path), signatures={signatures.SERVING_DEFAULT: answer})
  network = ExportGraph(tmp_path).network()
  assert 0 < len(network.graph.library.function) < 6  # the decoder's are gone
  run = network.function()
  for level, weights in ((30.0, [1, 2, 3]), (200.0, [5, 7, 11])):
    pixels = tf.fill([2, exports.SIDE, exports.SIDE, 3], level)
    np.testing.assert_allclose(run(pixels)[0], [np.multiply(weights, level)] * 2, rtol=1e-5)


def test_exports_do_not_meet_in_one_process(tmp_path, nested, network):
  # A server reads one version after the other; their decoders' functions have the same names.
  for seed in (1, 2):
    other = ExportGraph(exports.write_image_model(tmp_path / str(seed), seed=seed))
    assert other.network().outputs == network.outputs
    other.decoder(signatures.SERVING_EXAMPLES).close()
  assert nested.network().outputs == (signatures.PROBABILITIES,)
  assert not network.graph.library.function


def test_one_image_is_decoded_like_several(graph):
  decoder = graph.decoder(signatures.SERVING_DEFAULT)
  images = np.array([exports.encoded(number) for number in range(12)], object)
  together = decoder(images)
  assert len({pixels.tobytes() for pixels in together}) == 12
  for number in range(12):
    np.testing.assert_array_equal(decoder(images[number : number + 1])[0], together[number])
  assert decoder(images[:0]).shape == (0, *together.shape[1:])
  for broken in ([b'no image'], [*images[:2], b'no image']):
    with pytest.raises(tf.errors.InvalidArgumentError, match='expected the bytes of a JPEG'):
      decoder(np.array(broken, object))
  decoder.close()


def test_what_is_no_export_of_sightline_is_refused(tmp_path):
  affine = ExportGraph(exports.write_affine_model(tmp_path / 'affine'))
  with pytest.raises(ExportError, match='Received: 0 places'):
    affine.network()
  with pytest.raises(ExportError, match='expected the signature serving_examples'):
    affine.decoder(signatures.SERVING_EXAMPLES)
  with pytest.raises(ExportError, match='expected a SavedModel'):
    ExportGraph(tmp_path)
