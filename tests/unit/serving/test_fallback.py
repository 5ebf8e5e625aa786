"""What a client is told when the model itself fails."""

import base64
import shutil

import httpx
import pytest
import tensorflow as tf

from serving import model_config
from serving.fallback import Fallback
from serving.servable import Servable
from serving.server import EmbeddedServer, Settings
from tests.unit.serving import exports


@pytest.fixture
def serve(tmp_path, image_model):
  """Returns serve(fallback, failing): versions 1 and 2, of which those fail at each request."""
  for version in ('1', '2'):
    shutil.copytree(image_model, tmp_path / version)

  def load(failing):
    def made(path):
      servable = Servable(path)
      run = servable.run
      servable.run = lambda name, inputs: (  # type: ignore[method-assign]
        _fail() if path.name in failing and servable.warm else run(name, inputs)
      )
      servable.warm = False  # type: ignore[attr-defined]
      loaded.append(servable)
      return servable

    return made

  loaded: list = []

  def serve(fallback, *failing):
    config = model_config.single('m', tmp_path)
    config.model_config_list.config[0].model_version_policy.latest.num_versions = 2
    settings = Settings(port=0, grpc_port=0, fallback=fallback, load=load(failing))
    server = EmbeddedServer(config, settings)
    server.start()
    started.append(server)
    for servable in loaded:
      servable.warm = True
    return server

  started: list[EmbeddedServer] = []
  yield serve
  for server in started:
    server.stop()


def _fail():
  raise tf.errors.InternalError(None, None, 'out of order')


def ask(server, path='', instances=None):
  image = {'b64': base64.b64encode(exports.encoded(1)).decode()}
  body = {'instances': instances or [image, image]}
  return httpx.post(f'{server.url}/v1/models/m{path}:predict', json=body)


def test_the_version_before_answers_and_says_so(serve):
  server = serve(Fallback(previous=True), '2')
  answer = ask(server)
  assert answer.status_code == 200 and answer.headers['x-fallback'] == 'previous'
  assert answer.headers['x-model-version'] == '1'
  expected = exports.expected_probabilities(1, exports.picture(1)).tolist()
  found = answer.json()['predictions'][1]['probabilities']
  assert found == pytest.approx(expected, abs=1e-5)
  metrics = httpx.get(f'{server.url}/monitoring/prometheus/metrics').text
  assert ':sightline:serving:fallback_count{kind="previous",model_name="m"} 1.0' in metrics


def test_who_insists_on_a_version_gets_no_other(serve):
  answer = ask(serve(Fallback(previous=True), '2'), '/versions/2')
  assert answer.status_code == 500 and answer.json() == {'error': 'out of order'}


def test_a_stated_label_where_no_version_can(serve):
  answer = ask(serve(Fallback(previous=True, label='unknown'), '1', '2'))
  assert answer.status_code == 200 and answer.headers['x-fallback'] == 'default'
  rows = answer.json()['predictions']
  assert len(rows) == 2
  assert (rows[0]['label'], rows[0]['class_id'], rows[0]['probability']) == ('unknown', -1, 0.0)
  assert rows[0]['low_confidence'] is True and rows[0]['probabilities'] == [0.0, 0.0, 0.0]


def test_without_a_fallback_it_is_an_error(serve):
  answer = ask(serve(Fallback(), '2'))
  assert answer.status_code == 500 and answer.json() == {'error': 'out of order'}
  assert 'x-fallback' not in answer.headers


def test_a_request_at_fault_is_no_failure_of_the_model(serve):
  answer = ask(serve(Fallback(previous=True, label='unknown')), instances=['no image'])
  assert answer.status_code == 400 and 'not_an_image' in answer.json()['error']


def test_a_model_in_order_needs_none(serve):
  answer = ask(serve(Fallback(previous=True, label='unknown'), '1'))
  assert answer.status_code == 200 and 'x-fallback' not in answer.headers
  assert answer.headers['x-model-version'] == '2'
