"""GetModelStatus, by REST and by gRPC."""

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2

from tests.e2e.conformance import models
from tests.e2e.conformance.client import RPC_SECONDS, error_of, fill, refused


def available(version: int) -> dict:
  return {
    'version': str(version),
    'state': 'AVAILABLE',
    'status': {'error_code': 'OK', 'error_message': ''},
  }


@pytest.mark.parametrize('path', ['half_plus_two', 'half_plus_two/versions/123'])
def test_rest_tells_the_state_of_a_version(server, path):
  answer = server.get(f'/v1/models/{path}')
  assert answer.headers['content-type'] == 'application/json'
  assert answer.json() == {'model_version_status': [available(123)]}


def test_rest_tells_of_every_version_the_newest_first(server):
  rows = server.get('/v1/models/two_versions').json()['model_version_status']
  assert rows == [available(124), available(123)]


def test_rest_tells_of_the_version_that_is_asked_for(server):
  rows = server.get('/v1/models/two_versions/versions/123').json()['model_version_status']
  assert rows == [available(123)]


@pytest.mark.embedded_only('its GetModelStatus does not look at the label: every version is told')
def test_rest_tells_of_the_version_of_a_label(server):
  rows = server.get(f'/v1/models/two_versions/labels/{models.STABLE}').json()
  assert rows == {'model_version_status': [available(123)]}


def test_rest_of_an_unknown_model(server):
  text = error_of(server.get('/v1/models/nobody'), 404)
  assert text == 'Could not find any versions of model nobody'


def test_rest_of_an_unknown_version(server):
  text = error_of(server.get('/v1/models/half_plus_two/versions/7'), 404)
  assert text == 'Could not find version 7 of model half_plus_two'


def status(server, name: str, **which):
  request = get_model_status_pb2.GetModelStatusRequest()
  fill(request.model_spec, name, **which)
  return server.models.GetModelStatus(request, RPC_SECONDS).model_version_status


def test_grpc_tells_of_every_version(server):
  rows = status(server, 'two_versions')
  assert {row.version for row in rows} == {123, 124}
  for row in rows:
    assert row.state == get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert (row.status.error_code, row.status.error_message) == (0, '')


def test_grpc_tells_of_the_version_that_is_asked_for(server):
  (row,) = status(server, 'two_versions', version=123)
  assert row.version == 123


@pytest.mark.parametrize('which', [{'name': 'nobody'}, {'name': 'two_versions', 'version': 125}])
def test_grpc_of_what_is_unknown(server, which):
  refused(lambda: status(server, **which), grpc.StatusCode.NOT_FOUND)


def test_grpc_without_a_model_spec(server):
  request = get_model_status_pb2.GetModelStatusRequest()
  text = refused(
    lambda: server.models.GetModelStatus(request, RPC_SECONDS), grpc.StatusCode.INVALID_ARGUMENT
  )
  assert text == 'Missing ModelSpec'
