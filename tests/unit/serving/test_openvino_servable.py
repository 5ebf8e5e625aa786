"""The same version by OpenVINO: the same answers, or no service and the reason."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from models.formats import openvino_file
from models.formats.export_graph import ExportGraph
from schemas import features, signatures
from schemas.errors import ExportError, ServingError
from serving import openvino_servable, versions
from serving.openvino_servable import OpenVinoServable
from serving.servable import Servable
from tests.unit.serving import exports

pytestmark = pytest.mark.skipif(
  importlib.util.find_spec('openvino') is None, reason="needs the extra 'fast'"
)


@pytest.fixture(scope='module')
def servable(image_model):
  loaded = OpenVinoServable(image_model)
  yield loaded
  loaded.close()


@pytest.fixture(scope='module')
def networks(image_model, other_image_model, tmp_path_factory):
  """The folder of each export's network: converted once, stored often."""
  folders = {}
  for export in (image_model, other_image_model):
    folders[export] = tmp_path_factory.mktemp('network')
    openvino_file.write(ExportGraph(export).network(), folders[export])
  return folders


def stored(image_model, folder, network, **facts):
  """A version with a network beside it."""
  path = folder / '7'
  shutil.copytree(image_model, path)
  inside = path / openvino_servable.FOLDER
  shutil.copytree(network, inside)
  identity = json.loads((path / 'assets.extra' / signatures.IDENTITY_FILE).read_text())
  content = {'precision': 'float32', 'weights_sha256': identity['weights_sha256'], **facts}
  (inside / 'sightline.json').write_text(json.dumps(content))
  return path


def ask(servable, images):
  return servable.run(
    signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: np.array(images, object)}
  )


def test_it_has_the_face_of_a_servable(servable, image_model):
  tensorflow = Servable(image_model)
  assert servable.signatures == tensorflow.signatures
  assert servable.weights_sha256 == tensorflow.weights_sha256
  assert (servable.path, servable.precision) == (image_model, 'float32')
  tensorflow.close()


def test_images_and_records_are_answered_as_the_network_says(servable):
  images = [exports.encoded(5), exports.encoded(6, 'JPEG', 40, 31)]
  found = ask(servable, images)
  assert sorted(found) == sorted(signatures.OUTPUTS)
  expected = exports.expected_probabilities(1, exports.picture(5))
  np.testing.assert_allclose(found['probabilities'][0], expected, atol=1e-5)
  assert found['label'][0] == exports.LABELS[expected.argmax()].encode()
  records = [exports.example(image, 'a', 'red') for image in images]
  by_record = servable.run(
    signatures.SERVING_EXAMPLES, {signatures.EXAMPLES: np.array(records, object)}
  )
  for name, values in found.items():
    np.testing.assert_array_equal(by_record[name], values)


def test_it_is_openvino_that_answers(servable, monkeypatch):
  asked = []
  network = servable._network
  monkeypatch.setattr(
    servable, '_network', lambda pixels: asked.append(pixels.shape) or network(pixels)
  )
  ask(servable, [exports.encoded(5)] * 3)
  assert asked == [(3, exports.SIDE, exports.SIDE, 3)]


def test_one_image_goes_through_a_network_of_its_own_and_is_answered_alike(servable, monkeypatch):
  images = [exports.encoded(5), exports.encoded(6, 'JPEG', 40, 31), exports.encoded(7)]
  together = ask(servable, images)
  monkeypatch.setattr(
    servable._network, '_many', lambda pixels: pytest.fail('it took the way of several images')
  )
  for row, image in enumerate(images):
    alone = ask(servable, [image])
    for name, values in together.items():
      assert alone[name].shape == values[row : row + 1].shape
    np.testing.assert_allclose(
      alone['probabilities'], together['probabilities'][row : row + 1], atol=1e-5
    )


def test_a_network_that_answers_otherwise_about_one_image_is_refused(
  image_model, networks, tmp_path, monkeypatch
):
  path = stored(image_model, tmp_path, networks[image_model])
  runner = openvino_file.load(path / openvino_servable.FOLDER)

  def off(pixels):
    found = runner(pixels)
    wrong = {'probabilities': found['probabilities'] + 0.01}
    return {**found, **wrong} if len(pixels) == 1 else found

  off.outputs = runner.outputs
  monkeypatch.setattr(openvino_file, 'load', lambda folder: off)
  with pytest.raises(ExportError, match='Received: a difference of 0.01 on made-up pictures'):
    OpenVinoServable(path)


def test_what_it_does_not_cover_tensorflow_answers(servable):
  record = np.array([exports.example(exports.encoded(7), 'a', 'red')], object)
  found = servable.run(signatures.TRANSFORM_FEATURES, {signatures.EXAMPLES: record})
  assert found[features.LABEL_ID].tolist() == [2]


def test_bad_requests_are_the_same_errors(servable):
  with pytest.raises(tf.errors.InvalidArgumentError):
    ask(servable, [b'no image'])
  with pytest.raises(ServingError, match='Missing: image_bytes'):
    servable.run(signatures.SERVING_DEFAULT, {})
  with pytest.raises(ServingError, match='serving_default'):
    servable.run('absent', {})


def test_a_stored_network_is_taken_instead_of_converting(
  image_model, networks, tmp_path, monkeypatch
):
  path = stored(image_model, tmp_path, networks[image_model])
  monkeypatch.setattr(openvino_file, 'convert', lambda network: pytest.fail('converted'))
  servable = OpenVinoServable(path)
  expected = exports.expected_probabilities(1, exports.picture(5))
  found = ask(servable, [exports.encoded(5)])
  np.testing.assert_allclose(found['probabilities'][0], expected, atol=1e-5)
  servable.close()


def test_a_stored_network_that_answers_otherwise_keeps_its_version_out_of_service(
  image_model, other_image_model, networks, tmp_path
):
  stored(image_model, tmp_path, networks[other_image_model])
  base = versions.Versions(tmp_path, load=OpenVinoServable)
  base.poll()
  (status,) = base.status()
  assert (status.version, status.state) == (7, versions.END)
  assert 'to answer as TensorFlow does, within 0.001' in status.error_message
  assert not base.ready


def test_a_stored_network_of_other_weights_is_refused(image_model, networks, tmp_path):
  path = stored(image_model, tmp_path, networks[image_model], weights_sha256='ab')
  with pytest.raises(ExportError, match='expected the network of these weights'):
    OpenVinoServable(path)


def test_eight_bits_are_held_to_what_they_said_when_they_were_measured(
  image_model, other_image_model, networks, tmp_path
):
  images = ExportGraph(image_model).decoder(signatures.SERVING_DEFAULT)(
    openvino_servable.pictures()
  )
  other = networks[other_image_model]
  said = openvino_file.load(other)(images)['probabilities'].tolist()
  facts = {'precision': 'int8', openvino_servable.GATE_ANSWERS: said}
  servable = OpenVinoServable(stored(image_model, tmp_path / 'a', other, **facts))
  assert servable.precision == 'int8'
  servable.close()
  with pytest.raises(ExportError, match='as when its accuracy was measured'):
    OpenVinoServable(stored(image_model, tmp_path / 'b', networks[image_model], **facts))
