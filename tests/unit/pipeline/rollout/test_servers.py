"""What a server says of its versions, by either protocol."""

import http.server
import json
import threading

import pytest

from pipeline.rollout import servers
from schemas.errors import ServingError
from tests.unit.pipeline.rollout.slow_server import SlowServer

STATUS = {
  'model_version_status': [
    {
      'version': '200',
      'state': 'END',
      'status': {'error_code': 'UNKNOWN', 'error_message': 'no such variable'},
    },
    {'version': '100', 'state': 'AVAILABLE', 'status': {'error_code': 'OK', 'error_message': ''}},
  ]
}
OF_LABEL = {'model_version_status': [{'version': '100', 'state': 'AVAILABLE', 'status': {}}]}


class Rest(http.server.BaseHTTPRequestHandler):
  """TensorFlow Serving's REST answers; `named` adds what the embedded server says beside."""

  named = False

  def do_GET(self):
    known = {'/v1/models/fruit': STATUS, '/v1/models/fruit/labels/stable': OF_LABEL}
    found = known.get(self.path)
    self._answer(200 if found else 404, found or {'error': 'Could not find any versions'})

  def do_POST(self):
    self.rfile.read(int(self.headers['content-length']))
    if self.path == '/v1/models/fruit/labels/stable:predict':
      self._answer(200, {'predictions': [1]}, self.named)
    else:
      self._answer(400, {'error': 'Unrecognized servable version label'})

  def _answer(self, code, body, named=False):
    self.send_response(code)
    if named:
      self.send_header('x-model-version', '300')
      self.send_header('x-model-sha256', 'ab')
    self.end_headers()
    self.wfile.write(json.dumps(body).encode())

  def log_message(self, *_):
    pass


@pytest.fixture(params=[False, True])
def rest(request):
  handler = type('Handler', (Rest,), {'named': request.param})
  with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield servers.connect(f'http://127.0.0.1:{server.server_port}/'), request.param
    server.shutdown()


def test_rest_gives_states_and_who_is_behind_a_label(rest):
  server, named = rest
  assert server.states('fruit') == {
    200: servers.State('END', 'no such variable'),
    100: servers.State('AVAILABLE'),
  }
  assert server.states('nuts') == {}
  expected = (
    servers.Answer(300, 'ab', 'an answer to a picture')
    if named
    else servers.Answer(100, '', 'the status of the label')
  )
  assert server.answering('fruit', 'stable') == expected
  assert server.answering('fruit', 'canary') is None
  assert server.tell(None, 1.0) is False


def test_grpc_gives_the_same():
  with SlowServer() as running:
    server = servers.connect(f'grpc://{running.address}')
    running.labels = {'stable': 100}
    running._left = {100: 0, 200: 9}
    assert server.states('fruit') == {
      100: servers.State('AVAILABLE'),
      200: servers.State('LOADING'),
    }
    # It has no PredictionService, as a server of another model would refuse a picture.
    assert server.answering('fruit', 'stable') == servers.Answer(100, '', 'the status of the label')
    assert server.answering('fruit', 'canary') is None


@pytest.mark.parametrize('address', ['http://127.0.0.1:1', '127.0.0.1:1'])
def test_a_server_that_is_not_there_is_an_error(address):
  with pytest.raises(ServingError, match=r'127\.0\.0\.1:1: expected a model server'):
    servers.connect(address).states('fruit')


@pytest.mark.parametrize('address', ['localhost', ':8500', 'host:port', ''])
def test_what_is_no_address_is_an_error(address):
  with pytest.raises(ServingError, match='--server: expected HOST:PORT'):
    servers.connect(address)
