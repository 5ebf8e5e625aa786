"""gRPC by the official stubs: calls, who answered, errors, health and TLS."""

import concurrent.futures
import shutil
import ssl
import time

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
  get_model_status_pb2,
  model_management_pb2,
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from schemas.errors import ServingError
from schemas.weights_hash import weights_sha256
from serving import door, grpc_api, model_config
from serving.tls import Tls
from tests.unit.serving import exports


@pytest.fixture(scope='module')
def server(tmp_path_factory, image_model):
  base = tmp_path_factory.mktemp('base')
  shutil.copytree(image_model, base / '7')
  limits = door.Limits(body_bytes=100_000)
  with exports.served(base, 'digits', poll_seconds=3600, limits=limits) as running:
    yield running


@pytest.fixture(scope='module')
def channel(server):
  with grpc.insecure_channel(f'127.0.0.1:{server.grpc_port}') as opened:
    yield opened


def request(*images, name='digits', **filled):
  made = predict_pb2.PredictRequest(**filled)
  made.model_spec.name = name
  made.inputs['image_bytes'].CopyFrom(tf.make_tensor_proto(list(images), tf.string))
  return made


def predict(channel, made, **options):
  return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(made, **options)


def refused(call, *given):
  with pytest.raises(grpc.RpcError) as error:
    call(*given)
  return error.value.code(), error.value.details()


def test_it_answers_as_the_network_and_says_who(channel, image_model):
  stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
  answer, call = stub.Predict.with_call(
    request(exports.encoded(2)), metadata=[('x-request-id', 'mine-1')]
  )
  expected = exports.expected_probabilities(1, exports.picture(2))
  found = tf.make_ndarray(answer.outputs['probabilities'])
  np.testing.assert_allclose(found, expected[None], atol=1e-5)
  assert answer.model_spec.name == 'digits' and answer.model_spec.version.value == 7
  assert answer.model_spec.signature_name == 'serving_default'
  trailing = dict(call.trailing_metadata())
  assert trailing['x-model-version'] == '7' and trailing['x-request-id'] == 'mine-1'
  assert trailing['x-model-sha256'] == weights_sha256(image_model)


def test_only_the_outputs_that_are_wanted(channel):
  answer = predict(channel, request(exports.encoded(2), output_filter=['label']))
  assert list(answer.outputs) == ['label']
  code, text = refused(predict, channel, request(b'x', output_filter=['absent']))
  assert code == grpc.StatusCode.INVALID_ARGUMENT and 'absent' in text


def test_errors_have_their_codes(channel):
  status = grpc.StatusCode
  assert refused(predict, channel, request(b'x', name='other'))[0] == status.NOT_FOUND
  assert refused(predict, channel, request(b'x', name=''))[0] == status.INVALID_ARGUMENT
  code, text = refused(predict, channel, request(b'no image'))
  assert code == status.INVALID_ARGUMENT and 'not_an_image' in text
  wrong = request()
  wrong.inputs['image_bytes'].CopyFrom(tf.make_tensor_proto([1.0]))
  code, text = refused(predict, channel, wrong)
  assert code == status.INVALID_ARGUMENT and 'expected string. Received: float32' in text
  wrong = request(b'x')
  wrong.model_spec.signature_name = 'absent'
  assert refused(predict, channel, wrong) == (
    status.FAILED_PRECONDITION,
    'Serving signature key "absent" not found.',
  )
  assert refused(predict, channel, request(b'x' * 200_000))[0] == status.RESOURCE_EXHAUSTED


def test_a_tensor_of_few_bytes_and_many_values_is_not_made(channel):
  wrong = predict_pb2.PredictRequest()
  wrong.model_spec.name = 'digits'
  proto = wrong.inputs['image_bytes']
  proto.dtype = tf.string.as_datatype_enum
  proto.string_val.append(b'x')
  for _ in range(4):
    proto.tensor_shape.dim.add(size=100_000)
  code, text = refused(predict, channel, wrong)
  assert code == grpc.StatusCode.INVALID_ARGUMENT and 'expected at most' in text


def test_status_and_health(channel):
  models = model_service_pb2_grpc.ModelServiceStub(channel)
  asked = get_model_status_pb2.GetModelStatusRequest()
  asked.model_spec.name = 'digits'
  (row,) = models.GetModelStatus(asked).model_version_status
  states = get_model_status_pb2.ModelVersionStatus.State
  assert (row.version, row.state, row.status.error_code) == (7, states.AVAILABLE, 0)
  health = health_pb2_grpc.HealthStub(channel)
  for service in ('', 'tensorflow.serving.PredictionService', 'ModelService'):
    found = health.Check(health_pb2.HealthCheckRequest(service=service))
    assert found.status == health_pb2.HealthCheckResponse.SERVING
  asked = health_pb2.HealthCheckRequest(service='other')
  assert refused(health.Check, asked)[0] == grpc.StatusCode.NOT_FOUND


def test_the_config_is_changed_by_a_call(tmp_path):
  exports.write_affine_model(tmp_path / 'a/1')
  exports.write_affine_model(tmp_path / 'b/1')
  with (
    exports.served(tmp_path / 'a', 'a', poll_seconds=3600) as running,
    grpc.insecure_channel(f'127.0.0.1:{running.grpc_port}') as channel,
  ):
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    asked = model_management_pb2.ReloadConfigRequest()
    asked.config.CopyFrom(model_config.single('b', tmp_path / 'b'))
    assert models.HandleReloadConfigRequest(asked).status.error_code == 0
    assert httpx.get(f'{running.url}/v1/models/b').status_code == 200
    assert httpx.get(f'{running.url}/v1/models/a').status_code == 404
    asked.config.model_config_list.config[0].base_path = 'relative'
    code, text = refused(models.HandleReloadConfigRequest, asked)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and 'absolute' in text
    assert running.models.names == ['b']


def test_the_model_config_file_is_read_again_when_it_changes(tmp_path):
  exports.write_affine_model(tmp_path / 'm/1', slope=1.0, offset=0.0)
  exports.write_affine_model(tmp_path / 'm/2', slope=2.0, offset=0.0)
  path = tmp_path / 'models.config'
  config = model_config.single('m', tmp_path / 'm')
  model_config.write(path, config)
  with exports.served(tmp_path / 'm', 'm', poll_seconds=0.02, model_config_file=path) as running:
    url = f'{running.url}/v1/models/m/labels/stable:predict'
    assert httpx.post(url, json={'instances': [3.0]}).status_code == 400
    config.model_config_list.config[0].model_version_policy.specific.versions.extend([1, 2])
    config.model_config_list.config[0].version_labels['stable'] = 1
    model_config.write(path, config)
    until = time.monotonic() + 30
    while (answer := httpx.post(url, json={'instances': [3.0]})).status_code != 200:
      assert time.monotonic() < until, answer.text
      time.sleep(0.02)
    assert answer.json() == {'predictions': [3.0]}
    path.write_text('nonsense')
    time.sleep(0.1)
    assert httpx.post(url, json={'instances': [3.0]}).json() == {'predictions': [3.0]}


def test_many_at_once_are_answered_together_and_each_its_own(server, channel):
  expected = {s: exports.expected_probabilities(1, exports.picture(s)) for s in range(4)}

  def ask(number):
    answer = predict(channel, request(exports.encoded(number % 4)))
    return tf.make_ndarray(answer.outputs['probabilities'])[0]

  with concurrent.futures.ThreadPoolExecutor(16) as pool:
    for number, found in enumerate(pool.map(ask, range(64))):
      np.testing.assert_allclose(found, expected[number % 4], atol=1e-5)
  text = httpx.get(f'{server.url}/monitoring/prometheus/metrics').text
  assert ':sightline:serving:batch_size_count' in text
  assert 'entrypoint="GRPC"' in text and 'status="OK"' in text


def test_what_is_under_way_is_answered_before_it_stops(tmp_path):
  exports.write_affine_model(tmp_path / '1')
  running = exports.served(tmp_path, 'm')
  running.start()
  with (
    grpc.insecure_channel(f'127.0.0.1:{running.grpc_port}') as channel,
    concurrent.futures.ThreadPoolExecutor(1) as pool,
  ):
    health = health_pb2_grpc.HealthStub(channel)
    asked = health_pb2.HealthCheckRequest(service='')
    health.Check(asked)
    ending = pool.submit(running.stop, 1.0)
    until = time.monotonic() + 10
    while health.Check(asked).status == health_pb2.HealthCheckResponse.SERVING:
      assert time.monotonic() < until
    assert httpx.get(f'{running.url}/readyz').status_code == 503
    made = predict_pb2.PredictRequest()
    made.model_spec.name = 'm'
    made.inputs['x'].CopyFrom(tf.make_tensor_proto([2.0]))
    assert tf.make_ndarray(predict(channel, made).outputs['y']).tolist() == [3.0]
    ending.result()


def test_both_ports_speak_tls(tmp_path, certificates):
  exports.write_affine_model(tmp_path / '1')
  tls = Tls(certificates / 'key.pem', certificates / 'cert.pem')
  with exports.served(tmp_path, 'm', tls=tls) as running:
    assert running.url.startswith('https://')
    found = httpx.get(
      f'{running.url}/v1/models/m',
      verify=ssl.create_default_context(cafile=certificates / 'cert.pem'),
    )
    assert found.status_code == 200
    with pytest.raises(httpx.ConnectError):
      httpx.get(f'{running.url}/v1/models/m')
    trusted = grpc.ssl_channel_credentials((certificates / 'cert.pem').read_bytes())
    with grpc.secure_channel(f'localhost:{running.grpc_port}', trusted) as channel:
      found = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
      assert found.status == health_pb2.HealthCheckResponse.SERVING


def test_a_client_must_bring_a_certificate_where_it_is_asked_for(tmp_path, certificates):
  exports.write_affine_model(tmp_path / '1')
  key, cert = certificates / 'key.pem', certificates / 'cert.pem'
  with exports.served(tmp_path, 'm', tls=Tls(key, cert, client_ca=cert)) as running:
    with pytest.raises(httpx.TransportError):
      httpx.get(f'{running.url}/healthz', verify=ssl.create_default_context(cafile=cert))
    known = ssl.create_default_context(cafile=cert)
    known.load_cert_chain(cert, key)
    found = httpx.get(f'{running.url}/healthz', verify=known)
    assert found.status_code == 200


def test_files_of_tls_that_do_not_fit_are_told_before_anything_is_loaded(tmp_path, certificates):
  with pytest.raises(ServingError, match='cert.pem, .*expected a private key'):
    exports.served(tmp_path, 'm', tls=Tls(certificates / 'cert.pem', certificates / 'key.pem'))


def test_a_grpc_port_that_is_taken(tmp_path, server):
  exports.write_affine_model(tmp_path / '1')
  with pytest.raises(ServingError, match='--grpc-port'):
    exports.served(tmp_path, 'm', grpc_port=server.grpc_port).start()


@pytest.mark.parametrize(
  'array',
  [
    np.array([b'red', b'\xff\x00'], object),
    np.array([[b'a'], [b'b']], object),
    np.array(b'alone', object),
    np.array([], object),
    np.array(['text'], object),
    np.array([b'ab', b'c']),
    np.array([1, 2], np.float16),
  ],
  ids=['bytes', 'matrix', 'scalar', 'none', 'text', 'fixed', 'half'],
)
def test_strings_and_what_has_no_field_are_written_as_tensorflow_does(array):
  written = tf.make_tensor_proto(0)
  written.Clear()
  grpc_api._write(written, array)
  assert written == tf.make_tensor_proto(array)
