"""GetModelMetadata, by REST and by gRPC.

What is expected is written out by the JSON form of protocol buffers: field names as in
the .proto, every field without presence printed, int64 as a string.
"""

import grpc
import pytest
from google.protobuf import any_pb2
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from tests.e2e.conformance import models
from tests.e2e.conformance.client import RPC_SECONDS, error_of, fill, refused


def tensor(name: str, dtype: str, dims: list[str] | None) -> dict:
  shape = {'dim': [{'size': size, 'name': ''} for size in dims or []], 'unknown_rank': dims is None}
  return {'dtype': dtype, 'tensor_shape': shape, 'name': name}


X = tensor('x:0', 'DT_FLOAT', ['-1', '1'])
Y = tensor('y:0', 'DT_FLOAT', ['-1', '1'])
RECORDS = tensor('tf_example:0', 'DT_STRING', None)
OF_EXAMPLE = tensor('of_example:0', 'DT_FLOAT', None)
SIGNATURES = {
  'serving_default': {
    'inputs': {'x': X},
    'outputs': {'y': Y},
    'method_name': 'tensorflow/serving/predict',
  },
  'regress_x_to_y': {
    'inputs': {'inputs': RECORDS},
    'outputs': {'outputs': OF_EXAMPLE},
    'method_name': 'tensorflow/serving/regress',
  },
  'classify_x_to_y': {
    'inputs': {'inputs': RECORDS},
    'outputs': {'scores': OF_EXAMPLE},
    'method_name': 'tensorflow/serving/classify',
  },
  'regress_number': {
    'inputs': {'inputs': X},
    'outputs': {'outputs': Y},
    'method_name': 'tensorflow/serving/regress',
  },
}


def without_defaults(answer: dict) -> dict:
  """`defaults` is newer than many servers that are in use."""
  for signature in answer['metadata']['signature_def']['signature_def'].values():
    signature.pop('defaults', None)
  return answer


def test_rest_prints_every_signature(server):
  answer = server.get('/v1/models/half_plus_two/metadata')
  assert answer.headers['content-type'] == 'application/json'
  assert without_defaults(answer.json()) == {
    'model_spec': {'name': 'half_plus_two', 'signature_name': '', 'version': '123'},
    'metadata': {'signature_def': {'signature_def': SIGNATURES}},
  }


def test_rest_prints_the_defaults_that_there_are_not(server):
  answer = server.get('/v1/models/half_plus_two/metadata').json()
  for signature in answer['metadata']['signature_def']['signature_def'].values():
    assert signature['defaults'] == {}


def test_rest_of_a_model_of_tensorflow_2(server):
  answer = server.get('/v1/models/half_plus_two_tf2/metadata').json()
  found = answer['metadata']['signature_def']['signature_def']['serving_default']
  assert found['method_name'] == 'tensorflow/serving/predict'
  assert found['inputs']['x']['dtype'] == 'DT_FLOAT'
  assert found['inputs']['x']['tensor_shape']['dim'] == [{'size': '-1', 'name': ''}]
  assert list(found['outputs']) == ['y']


@pytest.mark.parametrize(
  ('which', 'version'),
  [('', '124'), ('/versions/123', '123'), (f'/labels/{models.STABLE}', '123')],
)
def test_rest_tells_the_version_that_it_is_of(server, which, version):
  answer = server.get(f'/v1/models/two_versions{which}/metadata').json()
  assert answer['model_spec']['version'] == version


@pytest.mark.parametrize(
  ('path', 'http_code', 'text'),
  [
    ('nobody/metadata', 404, 'Servable not found for request: Latest(nobody)'),
    (
      'half_plus_two/versions/7/metadata',
      404,
      'Servable not found for request: Specific(half_plus_two, 7)',
    ),
    ('half_plus_two/labels/none/metadata', 400, 'Unrecognized servable version label: none'),
  ],
)
def test_rest_of_what_is_unknown(server, path, http_code, text):
  assert error_of(server.get(f'/v1/models/{path}'), http_code) == text


def metadata(server, name: str, *fields: str, **which):
  request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
  if name:
    fill(request.model_spec, name, **which)
  return server.predictions.GetModelMetadata(request, RPC_SECONDS)


def test_grpc_packs_the_signatures(server):
  answer = metadata(server, 'half_plus_two', 'signature_def')
  assert (answer.model_spec.name, answer.model_spec.version.value) == ('half_plus_two', 123)
  assert list(answer.metadata) == ['signature_def']
  packed: any_pb2.Any = answer.metadata['signature_def']
  definitions = get_model_metadata_pb2.SignatureDefMap()
  assert packed.Unpack(definitions)
  assert set(definitions.signature_def) == set(SIGNATURES)
  found = definitions.signature_def['serving_default'].inputs['x']
  assert (found.name, found.dtype) == ('x:0', types_pb2.DT_FLOAT)


@pytest.mark.parametrize(
  ('fields', 'text'),
  [
    ((), 'GetModelMetadataRequest must specify at least one metadata_field'),
    (('weights',), 'Metadata field weights is not supported'),
    (('signature_def', 'weights'), 'Metadata field weights is not supported'),
  ],
)
def test_grpc_of_other_fields(server, fields, text):
  told = refused(
    lambda: metadata(server, 'half_plus_two', *fields), grpc.StatusCode.INVALID_ARGUMENT
  )
  assert told == text


def test_grpc_without_a_model_spec(server):
  told = refused(lambda: metadata(server, '', 'signature_def'), grpc.StatusCode.INVALID_ARGUMENT)
  assert told == 'Missing ModelSpec'


def test_grpc_of_an_unknown_model(server):
  refused(lambda: metadata(server, 'nobody', 'signature_def'), grpc.StatusCode.NOT_FOUND)
