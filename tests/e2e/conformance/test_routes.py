"""Which URLs there are, and what is told of all others."""

import pytest

from tests.e2e.conformance.client import error_of

BODY = '{"instances": [2.0]}'


@pytest.mark.parametrize(
  ('method', 'path'),
  [
    ('GET', '/v1/'),
    ('GET', '/v1/foo'),
    ('POST', '/v1/foo'),
    ('POST', '/v1/models'),
    ('GET', '/v1/models/debug/model_name'),
    ('GET', '/v1/models/half_plus_two:predict'),
    ('GET', '/v1/models/half_plus_two/version/50:predict'),
    ('GET', '/v1/models/half_plus_two/versions/abc'),
    ('POST', '/v1/models/half_plus_two'),
    ('POST', '/v1/models/half_plus_two/metadata'),
    ('POST', '/v1/models/half_plus_two/version/50:regress'),
    ('POST', '/v1/models/half_plus_two/versions/HELLO:regress'),
    ('POST', '/v1/models/half_plus_two/versions/-1:regress'),
    ('POST', '/v1/models/half_plus_two/label/some_label:regress'),
    ('POST', '/v1/models/half_plus_two/versions/50/labels/some_label:regress'),
    ('POST', '/v1/models/half_plus_two:multi_inference'),
    ('POST', '/v1/models/half_plus_two:predict/'),
    ('PUT', '/v1/models/half_plus_two:predict'),
    ('DELETE', '/v1/models/half_plus_two'),
  ],
)
def test_a_path_that_matches_nothing(server, method, path):
  answer = server.request(method, path, content=BODY if method in ('POST', 'PUT') else None)
  assert error_of(answer, 400) == f'Malformed request: {method} {path}'


@pytest.mark.parametrize('path', ['/v1/models', '/v1/models/metadata/metadata'])
def test_models_without_a_name(server, path):
  if path == '/v1/models':
    assert error_of(server.get(path), 400) == 'Missing model name in request.'
  else:
    # It is the name of a model, which there is not.
    error_of(server.get(path), 404)


@pytest.mark.parametrize('number', [1 << 63, (1 << 64) - 1, 10**30])
def test_a_version_that_is_too_large(server, number):
  for answer in (
    server.post(f'half_plus_two/versions/{number}:regress', BODY),
    server.get(f'/v1/models/half_plus_two/versions/{number}'),
  ):
    assert error_of(answer, 400) == f'Failed to convert version: {number} to numeric.'


@pytest.mark.parametrize('number', ['123', '00000123'])
def test_a_version_with_leading_zeros(server, number):
  assert server.answer(f'half_plus_two/versions/{number}:predict', BODY) == {'predictions': [3.0]}


@pytest.mark.parametrize('path', ['/', '/index', '/statuspage', '/v2/models/half_plus_two', '/v1'])
def test_what_is_not_of_the_api(server, path):
  assert server.get(path).status_code == 404
  assert server.request('POST', path, content=BODY).status_code == 404


@pytest.mark.parametrize('name', ['team%2Fhalf%20plus%20three', 'team%2fhalf plus%20three'])
def test_a_name_is_percent_decoded(server, name):
  assert server.answer(f'{name}:predict', BODY) == {'predictions': [4.0]}
  rows = server.get(f'/v1/models/{name}').json()['model_version_status']
  assert [row['version'] for row in rows] == ['123']
  metadata = server.get(f'/v1/models/{name}/metadata').json()
  assert metadata['model_spec']['name'] == 'team/half plus three'


def test_a_label_is_percent_decoded(server):
  answer = server.answer('two_versions/labels/%73table:predict', BODY)
  assert answer == {'predictions': [3.0]}


def test_the_fixed_parts_are_of_any_case(server):
  assert server.request('POST', '/V1/Models/half_plus_two:predict', content=BODY).json() == {
    'predictions': [3.0]
  }
  assert server.get('/V1/MODELS/half_plus_two/VERSIONS/123').status_code == 200


@pytest.mark.embedded_only(
  'its expression takes a verb of any case, and what comes after compares with lower case: 400'
)
def test_a_verb_is_of_any_case(server):
  assert server.answer('half_plus_two:PREDICT', BODY) == {'predictions': [3.0]}


def test_a_name_is_not_of_any_case(server):
  error_of(server.post('HALF_PLUS_TWO:predict', BODY), 404)


def test_a_query_is_ignored(server):
  assert server.answer('half_plus_two:predict?key=value', BODY) == {'predictions': [3.0]}
