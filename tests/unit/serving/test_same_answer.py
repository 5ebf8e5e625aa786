"""One file, three ways: ingest's record, the embedded server, TensorFlow Serving alone."""

import base64
import json
import shutil

import httpx
import numpy as np
import pytest
import tensorflow as tf

from models import decoder, image_file
from schemas import signatures
from serving.servable import Servable
from tests.unit.models import file_zoo
from tests.unit.models.test_orientation import PICTURES, block, with_exif
from tests.unit.serving import exports

FILES = {
  **file_zoo.animals(),
  **{
    f'{form} turned by {value}': file_zoo.Animal(
      data, file_zoo.by_pillow(data), in_graph=True, tolerance=2
    )
    for form in ('JPEG', 'PNG')
    for value in range(2, 9)
    for data in [with_exif(form, PICTURES['portrait'], block(value))]
  },
}
TAKEN = {name: animal for name, animal in FILES.items() if animal.pixels is not None}


@pytest.fixture(scope='module')
def server(tmp_path_factory, image_model):
  base = tmp_path_factory.mktemp('base')
  shutil.copytree(image_model, base / '1')
  with exports.served(base, 'zoo') as running:
    yield running


@pytest.fixture(scope='module')
def servable(image_model):
  loaded = Servable(image_model)
  yield loaded
  loaded.close()


def ask(server, data: bytes, signature: str = signatures.SERVING_DEFAULT) -> httpx.Response:
  body = {'signature_name': signature, 'instances': [{'b64': base64.b64encode(data).decode()}]}
  return httpx.post(f'{server.url}/v1/models/zoo:predict', content=json.dumps(body))


def run(servable, data: bytes) -> np.ndarray:
  inputs = {signatures.IMAGE_BYTES: np.array([data, None], object)[:1]}
  return servable.run(signatures.SERVING_DEFAULT, inputs)[signatures.PROBABILITIES][0]


@pytest.fixture(scope='module')
def network():
  return exports.network(1)


def of_pixels(network, pixels: np.ndarray) -> np.ndarray:
  side = exports.SIDE
  resized = tf.image.resize(pixels.astype(np.float32), [side, side], antialias=True)
  return network(tf.clip_by_value(resized, 0.0, 255.0)[None], training=False).numpy()[0]


@pytest.mark.parametrize('name', TAKEN)
def test_the_same_answer_three_ways(name, server, servable, network):
  animal = TAKEN[name]
  record = image_file.prepare(animal.data).encoded
  trained = of_pixels(network, decoder.decode(tf.constant(record)).numpy())
  # The pixels are those that the file should have, so the answers agree on the right one.
  np.testing.assert_allclose(
    trained, of_pixels(network, animal.pixels), atol=1e-5 + 0.02 * bool(animal.tolerance)
  )
  for answer in (
    ask(server, animal.data),
    ask(server, exports.example(animal.data, 'id'), signatures.SERVING_EXAMPLES),
  ):
    assert answer.status_code == 200, answer.text
    served = answer.json()['predictions'][0]['probabilities']
    np.testing.assert_allclose(served, trained, atol=1e-5)
  if animal.in_graph:
    np.testing.assert_allclose(run(servable, animal.data), trained, atol=1e-5)
  else:
    with pytest.raises(tf.errors.InvalidArgumentError, match='expected'):
      run(servable, animal.data)


@pytest.mark.parametrize('name', [name for name in FILES if name not in TAKEN])
def test_what_ingest_refuses_the_server_refuses(name, server, servable):
  animal = FILES[name]
  answer = ask(server, animal.data)
  assert answer.status_code == 400, answer.text
  assert animal.reason in answer.text or animal.reason == 'undecodable'
  if not animal.in_graph:
    with pytest.raises(tf.errors.OpError):
      run(servable, animal.data)
