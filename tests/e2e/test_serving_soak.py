"""Thirty thousand requests by both protocols: none fails, and memory stays where it was."""

import base64
import concurrent.futures
import pathlib
import re
import subprocess
import sys

import grpc
import httpx
import psutil
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.unit.serving import exports

REQUESTS = 30_000
# Before it, threads, buffers and the allocator's arenas reach their size.
WARM = 6_000
# A leak of 2 kB a request would add 47 MiB.
MAX_GROWTH_MIB = 24
CLIENTS = 8


@pytest.fixture
def server(tmp_path):
  exports.write_image_model(tmp_path / 'm/1')
  log = tmp_path / 'log'
  with open(log, 'w') as stream:
    process = subprocess.Popen(
      [sys.executable, '-m', 'pipeline', 'serve', '--directory', str(tmp_path / 'm')]
      + ['--port', '0', '--grpc-port', '0'],
      stdout=stream,
      stderr=subprocess.STDOUT,
    )
  try:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
      yield process, *pool.submit(_addresses, log, process).result(120)
  finally:
    process.terminate()
    process.wait(60)


def _addresses(log: pathlib.Path, process: subprocess.Popen) -> tuple[str, str]:
  while process.poll() is None:
    text = log.read_text()
    rest, rpc = re.search(r'at (http://\S+)/v1/', text), re.search(r'gRPC at ([^;\s]+)', text)
    if rest and rpc:
      return rest[1], rpc[1]
  raise AssertionError(log.read_text())


@pytest.mark.long
def test_thirty_thousand_requests_leave_memory_as_it_was(server):
  process, url, address = server
  bodies = [
    {'instances': [{'b64': base64.b64encode(exports.encoded(seed)).decode()}]} for seed in range(5)
  ]
  messages = []
  for seed in range(5):
    message = predict_pb2.PredictRequest()
    message.model_spec.name = 'm'
    message.inputs['image_bytes'].CopyFrom(tf.make_tensor_proto([exports.encoded(seed)]))
    messages.append(message)

  def rest(count):
    with httpx.Client(base_url=url) as client:
      for number in range(count):
        answer = client.post('/v1/models/m:predict', json=bodies[number % 5])
        assert answer.status_code == 200
        # Refusals are requests, too.
        assert client.post('/v1/models/m:predict', content=b'{').status_code == 400

  def rpc(count):
    with grpc.insecure_channel(address) as channel:
      stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
      for number in range(count):
        answer = stub.Predict(messages[number % 5])
        assert answer.model_spec.version.value == 1

  def all_of(count):
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
      each = count // CLIENTS
      asked = [pool.submit(rest, each // 2) for _ in range(CLIENTS // 2)]
      asked += [pool.submit(rpc, each) for _ in range(CLIENTS // 2)]
      for one in asked:
        one.result()

  all_of(WARM)
  before = psutil.Process(process.pid).memory_info().rss
  all_of(REQUESTS)
  after = psutil.Process(process.pid).memory_info().rss
  assert (after - before) / 2**20 < MAX_GROWTH_MIB
  found = httpx.get(f'{url}/monitoring/prometheus/metrics').text
  counts = re.findall(r':tensorflow:serving:request_count{[^}]*} (\S+)', found)
  assert sum(map(float, counts)) == REQUESTS + WARM
