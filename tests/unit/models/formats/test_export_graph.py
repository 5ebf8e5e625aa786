"""An export is cut at its pixels: both halves against Pillow and the network itself."""

import numpy as np
import pytest
import tensorflow as tf

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


def test_the_decoder_carries_no_weights(graph, network):
  heavy = [node for node in network.graph.node if node.op == 'Const']
  assert max(len(node.attr['value'].tensor.tensor_content) for node in heavy) > 1000
  assert graph.network().graph.node[0].op == 'Placeholder'
  assert not [node for node in network.graph.node if 'Decode' in node.op]


def test_what_is_no_export_of_sightline_is_refused(tmp_path):
  affine = ExportGraph(exports.write_affine_model(tmp_path / 'affine'))
  with pytest.raises(ExportError, match='Received: 0 places'):
    affine.network()
  with pytest.raises(ExportError, match='expected the signature serving_examples'):
    affine.decoder(signatures.SERVING_EXAMPLES)
  with pytest.raises(ExportError, match='expected a SavedModel'):
    ExportGraph(tmp_path)
