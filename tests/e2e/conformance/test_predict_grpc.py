"""Predict by gRPC."""

import grpc
import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.e2e.conformance import models
from tests.e2e.conformance.client import RPC_SECONDS, predict_request, refused

X = {'x': np.float32([2.0])}


def predict(server, *given, **which) -> predict_pb2.PredictResponse:
  return server.predictions.Predict(predict_request(*given, **which), RPC_SECONDS)


@pytest.mark.parametrize(
  ('name', 'expected'),
  [
    ('half_plus_two', 3.0),
    ('half_plus_two_tf2', 3.0),
    ('half_plus_three', 4.0),
    (models.ODD_NAME, 4.0),
  ],
)
@pytest.mark.parametrize('output_filter', [(), ('y',)])
def test_it_answers(server, name, expected, output_filter):
  answer = predict(server, name, X, output_filter=output_filter)
  assert list(answer.outputs) == ['y']
  assert answer.outputs['y'].dtype == types_pb2.DT_FLOAT
  assert [dim.size for dim in answer.outputs['y'].tensor_shape.dim] == [1]
  # Clients read the field of the type, not the raw bytes of tensor_content.
  assert list(answer.outputs['y'].float_val) == [expected]


@pytest.mark.parametrize('signature_name', ['', 'serving_default'])
def test_the_answer_says_who_gave_it(server, signature_name):
  spec = predict(server, 'half_plus_two', X, signature_name).model_spec
  assert (spec.name, spec.version.value, spec.signature_name) == (
    'half_plus_two',
    123,
    'serving_default',
  )


@pytest.mark.parametrize(
  ('which', 'y', 'version'),
  [
    ({}, 4.0, 124),
    ({'version': 123}, 3.0, 123),
    ({'version': 124}, 4.0, 124),
    ({'label': models.STABLE}, 3.0, 123),
    ({'label': models.CANARY}, 4.0, 124),
  ],
)
def test_versions_and_labels(server, which, y, version):
  assert server.predict_y('two_versions', **which) == (y, version)


@pytest.mark.parametrize(
  ('signature', 'values', 'field'),
  [
    ('float32', np.float32([[1.5, 2.5], [3.5, 4.5]]), 'float_val'),
    ('float64', np.float64([[0.1, 0.2]]), 'double_val'),
    ('int32', np.int32([1, 2, 3]), 'int_val'),
    ('int64', np.int64([1 << 40, -1]), 'int64_val'),
    ('uint8', np.uint8([0, 255]), 'int_val'),
    ('bool', np.bool_([True, False]), 'bool_val'),
    ('string', np.array([b'one', b'\xff\x00'], object), 'string_val'),
  ],
)
def test_every_type_comes_back_in_its_field(server, signature, values, field):
  tensor = predict(server, 'kinds', {'value': values}, signature).outputs['value']
  assert [dim.size for dim in tensor.tensor_shape.dim] == list(values.shape)
  assert list(getattr(tensor, field)) == values.ravel().tolist()
  assert tensor.tensor_content == b''


def test_a_scalar(server):
  answer = predict(server, 'kinds', {'x': np.float32([1.0, 2.0])}, 'total')
  assert list(answer.outputs['total'].tensor_shape.dim) == []
  assert list(answer.outputs['total'].float_val) == [3.0]


def test_one_value_stands_for_all_of_a_shape(server):
  request = predict_request('half_plus_two', X)
  request.inputs['x'].tensor_shape.dim[0].size = 3
  answer = server.predictions.Predict(request, RPC_SECONDS)
  assert list(answer.outputs['y'].float_val) == [3.0, 3.0, 3.0]


def test_raw_bytes_are_read_as_well(server):
  request = predict_request('half_plus_two', X)
  request.inputs['x'].ClearField('float_val')
  request.inputs['x'].tensor_content = np.float32([2.0]).tobytes()
  answer = server.predictions.Predict(request, RPC_SECONDS)
  assert list(answer.outputs['y'].float_val) == [3.0]


def test_outputs_are_chosen_by_the_filter(server):
  text = {'text': np.array([b'three'], object)}
  assert set(predict(server, 'kinds', text).outputs) == {'text', 'text_bytes', 'length'}
  some = predict(server, 'kinds', text, output_filter=('length', 'text'))
  assert set(some.outputs) == {'length', 'text'}
  assert list(some.outputs['length'].int_val) == [5]


@pytest.mark.parametrize(
  ('output_filter', 'text'),
  [
    (('z',), 'output tensor alias not found in signature: z'),
    (('y', 'y'), 'duplicate output tensor alias: y'),
  ],
)
def test_a_filter_that_does_not_fit(server, output_filter, text):
  told = refused(
    lambda: predict(server, 'half_plus_two', X, output_filter=output_filter),
    grpc.StatusCode.INVALID_ARGUMENT,
  )
  assert text in told


@pytest.mark.parametrize(
  ('which', 'code', 'text'),
  [
    (
      {'name': 'nobody'},
      grpc.StatusCode.NOT_FOUND,
      'Servable not found for request: Latest(nobody)',
    ),
    (
      {'version': 7},
      grpc.StatusCode.NOT_FOUND,
      'Servable not found for request: Specific(half_plus_two, 7)',
    ),
    (
      {'label': 'none'},
      grpc.StatusCode.INVALID_ARGUMENT,
      'Unrecognized servable version label: none',
    ),
    (
      {'signature_name': 'nothing'},
      grpc.StatusCode.FAILED_PRECONDITION,
      'Serving signature key "nothing" not found.',
    ),
  ],
)
def test_what_is_unknown(server, which, code, text):
  given = {'name': 'half_plus_two', 'inputs': X} | which
  assert refused(lambda: predict(server, **given), code) == text


@pytest.mark.parametrize(
  ('inputs', 'extra', 'missing'),
  [
    ({}, '', 'x'),
    ({'x': X['x'], 'other': X['x']}, 'other', ''),
    ({'other': X['x']}, None, None),
  ],
  ids=['none', 'too many', 'another'],
)
def test_inputs_that_do_not_fit(server, inputs, extra, missing):
  told = refused(lambda: predict(server, 'half_plus_two', inputs), grpc.StatusCode.INVALID_ARGUMENT)
  if extra is not None:
    assert told.startswith('input size does not match signature: ')
    assert told.endswith(f'Sent extra: {{{extra}}}. Missing but required: {{{missing}}}.')


@pytest.mark.parametrize(
  'value', [np.int32([2]), np.float64([2.0]), np.array([b'2'], object)], ids=['int', 'double', 'b']
)
def test_a_value_of_another_type(server, value):
  refused(lambda: predict(server, 'half_plus_two', {'x': value}), grpc.StatusCode.INVALID_ARGUMENT)


def test_bytes_that_do_not_fill_the_shape(server):
  request = predict_request('half_plus_two', X)
  request.inputs['x'].ClearField('float_val')
  request.inputs['x'].tensor_content = b'123'
  refused(
    lambda: server.predictions.Predict(request, RPC_SECONDS), grpc.StatusCode.INVALID_ARGUMENT
  )


def test_what_the_graph_refuses(server):
  refused(
    lambda: predict(server, 'examples', {'inputs': np.array([b'no'], object)}, 'sum'),
    grpc.StatusCode.INVALID_ARGUMENT,
  )


@pytest.mark.parametrize('named', [False, True])
def test_without_a_model(server, named):
  request = predict_pb2.PredictRequest()
  if named:
    request.model_spec.signature_name = 'serving_default'
  refused(
    lambda: server.predictions.Predict(request, RPC_SECONDS), grpc.StatusCode.INVALID_ARGUMENT
  )


def test_a_signature_of_examples_is_predicted_too(server):
  answer = predict(server, 'examples', {'inputs': np.array([b''], object)}, 'sum')
  assert list(answer.outputs['outputs'].float_val) == [0.0]


def test_a_unix_socket(server):
  if not server.socket_path:
    pytest.skip('needs a server that was started here; its socket is not known')
  with grpc.insecure_channel(f'unix:{server.socket_path}') as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.Predict(predict_request('half_plus_two', X), RPC_SECONDS)
  assert list(answer.outputs['y'].float_val) == [3.0]
