"""Metrics, health, and the limits of a request."""

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import parser

from tests.e2e.conformance.client import RPC_SECONDS, error_of, predict_request, refused

METRICS = '/monitoring/prometheus/metrics'
REQUEST_COUNT = ':tensorflow:serving:request_count'
REQUEST_LATENCY = ':tensorflow:serving:request_latency'
RUNTIME_LATENCY = ':tensorflow:serving:runtime_latency'


def samples(server, metric: str):
  """Yields the samples of one metric; to parse the whole page takes a second."""
  page = server.get(METRICS).text.splitlines()
  text = ''.join(f'{line}\n' for line in page if metric in line)
  for family in parser.text_string_to_metric_families(text):
    yield from family.samples


def value(server, sample_name: str, **labels: str) -> float:
  """The sum of a metric's samples that have these labels."""
  return sum(
    sample.value
    for sample in samples(server, sample_name)
    if sample.name == sample_name and labels.items() <= sample.labels.items()
  )


def test_metrics_are_in_the_format_of_prometheus(server):
  answer = server.get(METRICS)
  assert answer.status_code == 200
  assert answer.headers['content-type'].startswith('text/plain')
  assert '# TYPE' in answer.text


def test_answers_and_refusals_are_counted(server):
  ok = {'model_name': 'half_plus_two', 'status': 'OK'}
  bad = {'model_name': 'half_plus_two', 'status': 'INVALID_ARGUMENT'}
  before = value(server, REQUEST_COUNT, **ok), value(server, REQUEST_COUNT, **bad)
  server.answer('half_plus_two:predict', {'instances': [2.0]})
  server.predict_y('half_plus_two')
  server.post('half_plus_two:predict', {'instances': ['x']})
  after = value(server, REQUEST_COUNT, **ok), value(server, REQUEST_COUNT, **bad)
  assert (after[0] - before[0], after[1] - before[1]) == (2, 1)


@pytest.mark.parametrize('entrypoint', ['REST', 'GRPC'])
def test_requests_are_timed_in_microseconds(server, entrypoint):
  labels = {'model_name': 'half_plus_two', 'entrypoint': entrypoint}
  count = value(server, f'{REQUEST_LATENCY}_count', **labels)
  total = value(server, f'{REQUEST_LATENCY}_sum', **labels)
  if entrypoint == 'REST':
    server.answer('half_plus_two:predict', {'instances': [2.0]})
  else:
    server.predict_y('half_plus_two')
  assert value(server, f'{REQUEST_LATENCY}_count', **labels) == count + 1
  # A tenth of a millisecond to ten seconds: in milliseconds it would be far less.
  assert 10 < value(server, f'{REQUEST_LATENCY}_sum', **labels) - total < 1e7


def test_the_buckets_grow_by_a_factor_of_1_8_from_10_microseconds(server):
  server.answer('half_plus_two:predict', {'instances': [2.0]})
  assert f'# TYPE {RUNTIME_LATENCY} histogram' in server.get(METRICS).text
  bounds = {float(sample.labels['le']) for sample in samples(server, f'{RUNTIME_LATENCY}_bucket')}
  finite = sorted(bounds - {float('inf')})
  assert finite == pytest.approx([10 * 1.8**power for power in range(len(finite))])
  assert float('inf') in bounds


def health(server, service: str) -> int:
  stub = health_pb2_grpc.HealthStub(server.channel)
  return stub.Check(health_pb2.HealthCheckRequest(service=service), RPC_SECONDS).status


@pytest.mark.parametrize('service', ['PredictionService', 'ModelService'])
def test_health_by_the_names_of_tensorflow_serving(server, service):
  assert health(server, service) == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.embedded_only('it knows the two short names alone')
@pytest.mark.parametrize(
  'service', ['', 'tensorflow.serving.PredictionService', 'tensorflow.serving.ModelService']
)
def test_health_by_the_names_of_grpc(server, service):
  assert health(server, service) == health_pb2.HealthCheckResponse.SERVING


def test_health_of_an_unknown_service(server):
  refused(lambda: health(server, 'nothing'), grpc.StatusCode.NOT_FOUND)


@pytest.mark.embedded_only('it has no such pages')
def test_probes(server):
  assert server.get('/healthz').status_code == 200
  assert server.get('/readyz').status_code == 200


def test_a_call_that_does_not_exist(server):
  call = server.channel.unary_unary('/tensorflow.serving.PredictionService/Nothing')
  refused(lambda: call(b'', timeout=RPC_SECONDS), grpc.StatusCode.UNIMPLEMENTED)


def test_a_request_of_a_megabyte(server):
  values = [0.5] * 200_000
  body = {'signature_name': 'float32', 'inputs': values}
  assert server.answer('kinds:predict', body) == {'outputs': values}
  request = predict_request('kinds', {'value': np.float32(values)}, 'float32')
  answer = server.predictions.Predict(request, RPC_SECONDS)
  assert list(answer.outputs['value'].float_val) == values


LARGEST = 64 << 20


@pytest.mark.embedded_only('it takes a body of any size')
@pytest.mark.parametrize('declared', [True, False])
def test_a_body_beyond_the_limit(server, declared):
  def parts():
    for _ in range(LARGEST >> 20):
      yield b' ' * (1 << 20)
    yield b' '

  content = b' ' * (LARGEST + 1) if declared else parts()
  error_of(server.request('POST', '/v1/models/half_plus_two:predict', content=content), 413)


@pytest.mark.embedded_only('it takes a message of up to 2 GiB')
def test_a_message_beyond_the_limit(server):
  request = predict_request('kinds', {'value': [b'x' * (LARGEST + 1)]}, 'string')
  refused(
    lambda: server.predictions.Predict(request, RPC_SECONDS), grpc.StatusCode.RESOURCE_EXHAUSTED
  )


@pytest.mark.embedded_only('its answers do not say which version gave them')
def test_an_answer_says_who_gave_it(server):
  answer = server.request(
    'POST',
    '/v1/models/two_versions/versions/123:predict',
    content='{"instances": [2.0]}',
    headers={'x-request-id': 'mine-1'},
  )
  assert answer.headers['x-model-version'] == '123'
  assert len(answer.headers['x-model-sha256']) == 64
  assert answer.headers['x-request-id'] == 'mine-1'
