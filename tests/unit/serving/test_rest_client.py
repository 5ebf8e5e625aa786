import base64
import socket

import pytest

from schemas.errors import ConfigError, ServingError
from serving import backoff, rest_client
from serving.prediction import RejectedError
from serving.target import Target
from tests.unit.serving.scripted_server import AVAILABLE, Said, row, running


@pytest.fixture
def client():
  opened = []

  def connect(url, **settings):
    opened.append(rest_client.RestClient(Target(url, 'm', **settings)))
    return opened[-1]

  yield connect
  for one in opened:
    one.close()


@pytest.fixture
def waits(monkeypatch):
  found = []
  monkeypatch.setattr(backoff.patiently, '__defaults__', (found.append,))
  return found


def test_images_go_together_and_each_has_its_row(client):
  answer = {'predictions': [row('red'), row('blue', 1)]}
  with running(Said(200, answer, {'x-model-version': '7'})) as server:
    replies = client(server.url, label='canary').predict([b'one', b'two'])
    assert [reply.row['label'] for reply in replies] == ['red', 'blue']
    assert [reply.told.get('x-model-version') for reply in replies] == ['7', '7']
    ((method, path, body),) = server.asked
  assert (method, path) == ('POST', '/v1/models/m/labels/canary:predict')
  sent = [base64.b64decode(instance['b64']) for instance in body['instances']]
  assert sent == [b'one', b'two']


@pytest.mark.parametrize('code', [429, 503])
def test_a_busy_server_is_asked_again(client, waits, code):
  busy = Said(code, {'error': 'full'}, {'retry-after': '2'})
  with running(busy, busy, Said(200, {'predictions': [row()]})) as server:
    assert client(server.url, retries=2).predict([b'x'])[0].row == row()
    assert len(server.asked) == 3
  assert waits == [2.0, 2.0]


@pytest.mark.parametrize(
  ('code', 'error', 'kind'),
  [
    (400, 'no image', RejectedError),
    (413, 'too large', RejectedError),
    (500, 'broken', ServingError),
    (504, 'too late', ServingError),
  ],
)
def test_any_other_refusal_is_told_at_once(client, waits, code, error, kind):
  with running(Said(code, {'error': error})) as server:
    with pytest.raises(ServingError, match=f'model m: refused with HTTP {code}: {error}') as caught:
      client(server.url).predict([b'x'])
    assert type(caught.value) is kind
    assert len(server.asked) == 1
  assert waits == []


@pytest.mark.parametrize(
  'body', ['<html>', {'predictions': []}, {'predictions': [0.5]}, {'outputs': {}}, []]
)
def test_an_answer_that_holds_no_row_for_each_image_is_shown(client, body):
  with running(Said(200, body)) as server, pytest.raises(ServingError, match='Sightline model'):
    client(server.url).predict([b'x'])


def test_a_slow_server_is_given_up(client):
  with running(Said(200, {}, seconds=0.3)) as server:
    with pytest.raises(ServingError, match=r'within 0.05 s.*--timeout'):
      client(server.url, timeout_seconds=0.05).predict([b'x'])


def test_a_model_in_service_passes_the_check(client):
  with running(Said(200, AVAILABLE)) as server:
    client(server.url, version=7).check()
    assert server.asked == [('GET', '/v1/models/m/versions/7', None)]


def _state(state, message=''):
  return Said(
    200,
    {
      'model_version_status': [
        {'version': '3', 'state': state, 'status': {'error_code': 'OK', 'error_message': message}}
      ]
    },
  )


@pytest.mark.parametrize(
  ('said', 'told'),
  [
    (_state('END', 'it is broken'), r'Received: version 3 END \(it is broken\)'),
    (_state('LOADING'), r'Received: version 3 LOADING\. Wait until'),
    (
      Said(404, {'error': 'Could not find any versions of model m'}),
      'HTTP 404: Could not find .* `sightline serve` prints',
    ),
    (
      Said(400, {'error': 'Unrecognized servable version label: x'}),
      'label: x. Labels are set .* sightline deploy',
    ),
    (Said(404, '<html>Jupyter</html>'), 'HTTP 404 .*Jupyter.*check the port'),
    (Said(200, '<html>Streamlit</html>'), 'HTTP 200 .*Streamlit.*check the port'),
    (Said(200, {'name': 'm', 'ready': True}), "Serving's REST API.*check the port"),
  ],
)
def test_the_check_says_what_is_wrong_with_the_address(client, said, told):
  with running(said) as server, pytest.raises(ServingError, match=told):
    client(server.url).check()


def test_nobody_there_is_told_with_the_way_to_start_a_server(client):
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    url = f'http://127.0.0.1:{free.getsockname()[1]}'
    with pytest.raises(ServingError, match='expected a model server.*sightline serve'):
      client(url).check()


def test_tls_asked_of_plain_http_is_told(client):
  with running(Said(200, AVAILABLE)) as server:
    with pytest.raises(ServingError, match='speaks no TLS: ask http://'):
      client(server.url.replace('http:', 'https:')).check()


def test_a_file_of_tls_that_is_none_is_named(client, tmp_path):
  path = tmp_path / 'ca.pem'
  path.write_text('no certificate')
  with pytest.raises(ConfigError, match='ca.pem: expected certificates'):
    client('https://127.0.0.1:1', ca=path)
