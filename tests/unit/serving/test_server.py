"""The server on loopback, asked by a client that knows nothing of it."""

import base64
import concurrent.futures
import json
import shutil
import socket
import time

import httpx
import pytest

from schemas.errors import ServingError
from schemas.weights_hash import weights_sha256
from serving import client, door
from serving import server as server_module
from serving.servable import Servable
from tests.unit.serving import exports

LIMITS = door.Limits(body_bytes=20_000, image_bytes=9_000, image_pixels=10_000, images=3)


def b64(data: bytes) -> dict:
  return {'b64': base64.b64encode(data).decode()}


@pytest.fixture(scope='module')
def server(tmp_path_factory, image_model):
  base = tmp_path_factory.mktemp('base')
  shutil.copytree(image_model, base / '7')
  with exports.served(base, 'digits', poll_seconds=3600, limits=LIMITS) as running:
    yield running


@pytest.fixture(scope='module')
def affine(tmp_path_factory):
  base = tmp_path_factory.mktemp('base')
  exports.write_affine_model(base / '3')
  with exports.served(base, 'half plus two', poll_seconds=3600) as running:
    yield running


def post(server, path, body):
  content = body if isinstance(body, bytes) else json.dumps(body)
  return httpx.post(server.url + path, content=content)


def predict(server, body, name='digits'):
  return post(server, f'/v1/models/{name}:predict', body)


def test_rows_are_answered_as_the_network_answers(server, image_model):
  answer = predict(server, {'instances': [b64(exports.encoded(1)), b64(exports.encoded(2))]})
  assert answer.status_code == 200
  expected = exports.expected_probabilities(1, exports.picture(2))
  row = answer.json()['predictions'][1]
  assert row['probabilities'] == pytest.approx(expected.tolist(), abs=1e-5)
  assert row['label'] == exports.LABELS[int(expected.argmax())]
  assert answer.headers['x-model-version'] == '7'
  assert answer.headers['x-model-sha256'] == weights_sha256(image_model)


def test_row_objects_and_columns_say_the_same(server):
  image = b64(exports.encoded(3))
  plain = predict(server, {'instances': [image]}).json()['predictions'][0]
  named = predict(server, {'instances': [{'image_bytes': image}]}).json()['predictions'][0]
  columns = predict(server, {'inputs': {'image_bytes': [image], 'ignored': 1}}).json()['outputs']
  assert plain == named == {key: value[0] for key, value in columns.items()}


def test_another_signature_by_name(server):
  record = b64(exports.example(exports.encoded(4), 'id'))
  answer = predict(server, {'signature_name': 'serving_examples', 'instances': [record]})
  direct = predict(server, {'instances': [b64(exports.encoded(4))]})
  assert answer.json() == direct.json()


@pytest.mark.parametrize(
  'body, part',
  [
    (b'{', 'JSON Parse error'),
    (b'[1]', 'expected an object'),
    ({}, 'exactly one'),
    ({'instances': [1], 'inputs': [1]}, 'exactly one'),
    ({'instances': []}, 'not empty'),
    ({'instances': 'x'}, 'not empty'),
    ({'instances': [{'wrong': 'x'}]}, 'exactly the keys image_bytes'),
    ({'instances': [7]}, 'expected a string'),
    ({'instances': [{'b64': '*'}]}, 'base64'),
    ({'instances': [{'b64': 1}]}, 'base64'),
    ({'instances': ['text']}, 'not_an_image'),
    ({'instances': [{'b64': ''}]}, 'empty_file'),
    ({'instances': [b64(exports.encoded(1, 'ICO'))]}, 'unsupported_format'),
    (
      {'instances': [b64(exports.encoded(1)), b64(exports.encoded(1)[:40])]},
      'expected the bytes|Expected|Incomplete|Invalid|decode',
    ),
    ({'instances': [b64(exports.encoded(1, 'JPEG', 120, 90))]}, 'too_many_pixels'),
    ({'instances': [b64(exports.encoded(1, 'BMP', 60, 60))]}, 'at most 9000 bytes'),
    ({'instances': [b64(exports.encoded(1))] * 4}, 'at most 3 images'),
    ({'signature_name': 'absent', 'instances': [1]}, '"absent" not found in signature def'),
    ({'signature_name': 'serving_examples', 'instances': ['no record']}, 'tf.Example'),
    (
      {
        'signature_name': 'serving_examples',
        'instances': [b64(exports.example(exports.encoded(1, 'ICO'), 'id'))],
      },
      'unsupported_format',
    ),
  ],
)
def test_a_bad_request_is_400_and_says_why(server, body, part):
  answer = predict(server, body)
  assert answer.status_code == 400, answer.text
  assert list(answer.json()) == ['error']
  assert any(word in answer.json()['error'] for word in part.split('|')), answer.text


def test_the_body_is_capped_with_and_without_its_length(server):
  body = json.dumps({'instances': [b64(b'x' * 30_000)]}).encode()
  assert predict(server, body).status_code == 413

  def parts():
    for start in range(0, len(body), 1000):
      yield body[start : start + 1000]

  answer = httpx.post(server.url + '/v1/models/digits:predict', content=parts())
  assert answer.status_code == 413
  assert '20000 bytes' in answer.json()['error']
  # The same bytes just below the cap get to the next check.
  assert predict(server, b'[' + b' ' * 19_998 + b']').status_code == 400


@pytest.mark.parametrize(
  'method, path, code, text',
  [
    ('GET', '/v1/models', 400, 'Missing model name in request.'),
    ('GET', '/v1/models/other', 404, 'Could not find any versions of model other'),
    (
      'GET',
      '/v1/models/digits/versions/8',
      404,
      'Could not find version 8 of model digits',
    ),
    ('GET', '/v1/nonsense', 400, 'Malformed request: GET /v1/nonsense'),
    ('GET', '/v1/models/digits:predict', 400, 'Malformed request'),
    ('POST', '/v1/models/other:predict', 404, 'Servable not found for request: Latest(other)'),
    (
      'POST',
      '/v1/models/digits/versions/8:predict',
      404,
      'Servable not found for request: Specific(digits, 8)',
    ),
    (
      'POST',
      '/v1/models/digits/labels/stable:predict',
      400,
      'Unrecognized servable version label: stable',
    ),
    ('POST', f'/v1/models/digits/versions/{2**70}:predict', 400, 'to numeric'),
    ('POST', '/v1/models/digits:classify', 400, "key 'examples' is expected"),
    ('GET', '/v1/models/other/metadata', 404, 'Servable not found for request: Latest(other)'),
    ('DELETE', '/v1/models/digits', 400, 'Malformed request: DELETE'),
    ('GET', '/elsewhere', 404, 'Not found'),
  ],
)
def test_paths(server, method, path, code, text):
  answer = httpx.request(method, server.url + path, content=b'{"instances": ["x"]}')
  assert answer.status_code == code
  assert text in answer.json()['error']


def test_status_and_health(server):
  row = {'version': '7', 'state': 'AVAILABLE', 'status': {'error_code': 'OK', 'error_message': ''}}
  for path in ('/v1/models/digits', '/v1/models/digits/versions/7', '/V1/Models/digits'):
    assert httpx.get(server.url + path).json() == {'model_version_status': [row]}
  assert httpx.get(server.url + '/healthz').status_code == 200
  assert httpx.get(server.url + '/readyz').status_code == 200


def test_a_name_with_a_space_is_decoded(affine):
  answer = predict(affine, {'instances': [1.0, 5]}, 'half%20plus%20two')
  assert answer.text == '{"predictions": [2.5, 4.5]}'


def test_numbers_types_and_shapes(affine):
  path = '/v1/models/half%20plus%20two/versions/3:predict'
  assert post(affine, path, {'inputs': [0.2]}).text == '{"outputs": [2.1]}'  # float32, shortest
  assert post(affine, path, b'{"instances": [NaN, Infinity]}').text == (
    '{"predictions": [NaN, Infinity]}'
  )
  assert post(affine, path, {'instances': [[1.0, 2.0], [3.0, 4.0]]}).json() == {
    'predictions': [[2.5, 3.0], [3.5, 4.0]]
  }
  two = {'signature_name': 'two', 'instances': [{'x': 1.5, 'count': 2}, {'x': 0, 'count': 3}]}
  assert post(affine, path, two).json() == {
    'predictions': [{'count': 3, 'sum': 3.5}, {'count': 4, 'sum': 3.0}]
  }
  kinds = {'signature_name': 'kinds', 'inputs': {'flag': [True], 'text': ['ü']}}
  assert post(affine, path, kinds).json() == {
    'outputs': {'not': [False], 'text': ['ü'], 'raw_bytes': [b64('ü'.encode())]}
  }
  raw = {'signature_name': 'kinds', 'inputs': {'flag': [True], 'text': [b64(b'\xff\xfe')]}}
  assert post(affine, path, raw).json()['outputs']['text'] == [b64(b'\xff\xfe')]


@pytest.mark.parametrize(
  'body, part',
  [
    ({'instances': ['1']}, 'a number'),
    ({'instances': [True]}, 'a number'),
    ({'instances': [None]}, 'a number'),
    ({'instances': [[1.0], [1.0, 2.0]]}, 'one shape'),
    ({'signature_name': 'two', 'instances': [1.0]}, 'expected objects'),
    ({'signature_name': 'two', 'instances': [{'x': 1.0}]}, 'exactly the keys count, x'),
    ({'signature_name': 'two', 'instances': [{'x': 1.0, 'count': 2.0}]}, 'an integer'),
    ({'signature_name': 'two', 'instances': [{'x': 1.0, 'count': 2**64}]}, 'does not fit'),
    ({'signature_name': 'two', 'inputs': {'x': [1.0]}}, 'Missing: count'),
    ({'signature_name': 'two', 'inputs': [1.0]}, 'expected an object'),
    ({'signature_name': 'kinds', 'inputs': {'flag': [1], 'text': ['x']}}, 'true or false'),
    ({'signature_name': 'uneven', 'instances': [1.0, 2.0]}, 'columnar'),
  ],
)
def test_wrong_values_are_400(affine, body, part):
  answer = predict(affine, body, 'half%20plus%20two')
  assert answer.status_code == 400
  assert part in answer.json()['error']


def states(server) -> dict[str, str]:
  rows = httpx.get(server.url + '/v1/models/m').json()['model_version_status']
  return {row['version']: row['state'] for row in rows}


def test_a_newer_version_takes_over_without_a_failed_request(
  tmp_path, image_model, other_image_model
):
  shutil.copytree(image_model, tmp_path / '1')
  versions = set()
  expected = {
    seed: exports.expected_probabilities(seed, exports.picture(1)).tolist() for seed in (1, 2)
  }
  with exports.served(tmp_path, 'm', poll_seconds=0.05) as server:
    body = json.dumps({'instances': [b64(exports.encoded(1))]})

    def ask(_):
      answer = httpx.post(server.url + '/v1/models/m:predict', content=body)
      assert answer.status_code == 200, answer.text
      seed = int(answer.headers['x-model-version'])
      versions.add(seed)
      assert answer.json()['predictions'][0]['probabilities'] == pytest.approx(
        expected[seed], abs=1e-5
      )
      return seed

    assert ask(0) == 1
    # Slowly, saved_model.pb last, as a copy without a rename would arrive.
    (tmp_path / '2').mkdir()
    shutil.copytree(other_image_model / 'variables', tmp_path / '2/variables')
    (tmp_path / 'partial-9').mkdir()
    time.sleep(0.2)
    assert ask(0) == 1
    shutil.copy(other_image_model / 'saved_model.pb', tmp_path / '2/new')
    (tmp_path / '2/new').rename(tmp_path / '2/saved_model.pb')
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
      deadline = time.monotonic() + 60
      while 2 not in versions and time.monotonic() < deadline:
        list(pool.map(ask, range(6)))
    assert versions == {1, 2}
    # The old one is unloaded after its last request.
    while (found := states(server)).get('1') == 'UNLOADING' and time.monotonic() < deadline:
      time.sleep(0.02)
    assert found == {'1': 'END', '2': 'AVAILABLE'}
    # The newest is taken away: the older one comes back.
    shutil.rmtree(tmp_path / '2')
    while ask(0) == 2 and time.monotonic() < deadline:
      time.sleep(0.05)
    assert ask(0) == 1


def test_a_version_that_cannot_run_never_replaces_one_that_can(
  tmp_path, image_model, unservable_model
):
  shutil.copytree(image_model, tmp_path / '1')
  with exports.served(tmp_path, 'm', poll_seconds=0.05) as server:
    shutil.copytree(unservable_model, tmp_path / 'new')
    (tmp_path / 'new').rename(tmp_path / '2')
    deadline = time.monotonic() + 60
    state = {}
    while state.get('2', {}).get('state') != 'END' and time.monotonic() < deadline:
      rows = httpx.get(server.url + '/v1/models/m').json()['model_version_status']
      state = {row['version']: row for row in rows}
      time.sleep(0.05)
    assert state['2']['status']['error_code'] == 'FAILED_PRECONDITION'
    assert 'Could not find variable' in state['2']['status']['error_message']
    answer = predict(server, {'instances': [b64(exports.encoded(1))]}, 'm')
    assert answer.headers['x-model-version'] == '1'


def test_a_version_that_comes_later_is_loaded_in_its_own_way(tmp_path, affine_model):
  shutil.copytree(affine_model, tmp_path / '1')
  asked: list[tuple[str, int]] = []

  def by(way):
    def load(path):
      asked.append((way, int(path.name)))
      return Servable(path)

    return load

  ways = {'load': by('alone'), 'load_meanwhile': by('meanwhile')}
  with exports.served(tmp_path, 'm', poll_seconds=0.05, **ways) as server:
    shutil.copytree(affine_model, tmp_path / 'new')
    (tmp_path / 'new').rename(tmp_path / '2')
    deadline = time.monotonic() + 60
    while states(server).get('2') != 'AVAILABLE' and time.monotonic() < deadline:
      time.sleep(0.02)
    assert asked == [('alone', 1), ('meanwhile', 2)]
    server.stop()
    shutil.copytree(affine_model, tmp_path / '3')
    with pytest.raises(ServingError, match='the server stops'):
      server.models.poll()
  assert asked == [('alone', 1), ('meanwhile', 2)]


@pytest.mark.parametrize('error', [OSError(116, 'Stale file handle'), ValueError('unheard of')])
def test_looking_for_versions_goes_on_after_a_failure(tmp_path, monkeypatch, caplog, error):
  exports.write_affine_model(tmp_path / '1')
  with exports.served(tmp_path, 'm', poll_seconds=0.02) as server:
    looks = []

    def fails(path):
      looks.append(path)
      raise error

    with monkeypatch.context() as patch:
      patch.setattr('serving.versions.complete_versions', fails)
      deadline = time.monotonic() + 30
      while len(looks) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(looks) >= 5
    # Said once, not at each look.
    assert [row.message for row in caplog.records if row.levelname == 'ERROR'] == [
      'Looking for a newer version failed; it is tried again.'
    ]
    exports.write_affine_model(tmp_path / 'new', slope=10.0)
    (tmp_path / 'new').rename(tmp_path / '2')
    found = {}
    while found.get('version') != '2' and time.monotonic() < deadline:
      found = httpx.get(server.url + '/v1/models/m').json()['model_version_status'][0]
      time.sleep(0.02)
    assert found['version'] == '2'


def test_a_base_path_that_cannot_be_read_is_an_error_at_the_start(tmp_path, monkeypatch):
  def fails(path):
    raise PermissionError(13, 'Permission denied', str(path))

  monkeypatch.setattr('serving.versions.complete_versions', fails)
  with pytest.raises(ServingError, match='Permission denied'):
    exports.served(tmp_path, 'm').start()


def test_nothing_to_serve_is_an_error_that_says_what_to_do(tmp_path, unservable_model):
  with pytest.raises(ServingError, match='sightline run'):
    exports.served(tmp_path, 'm').start()
  shutil.copytree(unservable_model, tmp_path / '1')
  with pytest.raises(ServingError, match='Could not find variable'):
    exports.served(tmp_path, 'm').start()


def test_answers_are_not_held_back_by_nagle():
  # asyncio sets TCP_NODELAY only on what says that it is TCP.
  with server_module._listen('127.0.0.1', 0) as listener:
    assert listener.proto == socket.IPPROTO_TCP


def test_a_port_that_is_taken(tmp_path, image_model):
  shutil.copytree(image_model, tmp_path / '1')
  with socket.socket() as taken:
    taken.bind(('127.0.0.1', 0))
    taken.listen()
    with pytest.raises(ServingError, match='--port'):
      exports.served(tmp_path, 'm', port=taken.getsockname()[1]).start()


def test_the_client_gives_one_answer_a_file(server, tmp_path, image_model):
  (tmp_path / 'a.png').write_bytes(exports.encoded(8))
  (tmp_path / 'b.jpg').write_bytes(exports.encoded(9, 'JPEG', 40, 30))
  first, second = client.predict([tmp_path / 'a.png', tmp_path / 'b.jpg'], server.url, 'digits')
  expected = exports.expected_probabilities(1, exports.picture(8))
  assert first.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
  assert first.label == exports.LABELS[first.class_id] == exports.LABELS[int(expected.argmax())]
  assert first.probability == max(first.probabilities)
  assert first.low_confidence is False
  # exports.py calls foreign what is not sure.
  assert first.ood_score == pytest.approx(1 - expected.max(), abs=1e-5)
  assert first.foreign is bool(1 - expected.max() > 0.6)
  assert (first.model_version, first.model_sha256) == ('7', weights_sha256(image_model))
  assert second.path == tmp_path / 'b.jpg'


def test_the_clients_errors_name_the_file_or_the_server(server, affine, tmp_path):
  image = tmp_path / 'a.png'
  image.write_bytes(exports.encoded(8))
  large = tmp_path / 'large.bmp'
  large.write_bytes(exports.encoded(8, 'BMP', 60, 60))
  with socket.socket() as free:
    free.bind(('127.0.0.1', 0))
    nobody = f'http://127.0.0.1:{free.getsockname()[1]}'
  with pytest.raises(ServingError, match='sightline serve'):
    client.predict([image], nobody, 'digits')
  with pytest.raises(ServingError, match='Latest\\(other\\)'):
    client.predict([image], server.url, 'other')
  with pytest.raises(ServingError, match='large.bmp: .* HTTP 400: .* at most 9000 bytes'):
    client.predict([large], server.url, 'digits')
  with pytest.raises(ServingError, match='absent.png'):
    client.predict([tmp_path / 'absent.png'], server.url, 'digits')
  with pytest.raises(ServingError, match='half%20plus%20two|a number'):
    client.predict([image], affine.url, 'half plus two')
