"""Thousands of broken requests: each is answered or refused, and memory stays where it was."""

import logging
import shutil

import grpc
import httpx
import numpy as np
import pytest

from serving import door
from tests.unit.serving import exports, hostile

# What a client may be told of its own request; anything else is a fault of ours.
_ANSWERED = {200, 400, 404, 413}
_TOLD = {
  grpc.StatusCode.INVALID_ARGUMENT,
  grpc.StatusCode.FAILED_PRECONDITION,
  grpc.StatusCode.NOT_FOUND,
  grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_PREDICT = '/tensorflow.serving.PredictionService/Predict'
# MB more, after all of them, than when the server was warm.
_MOST_GROWTH = 150


@pytest.fixture(scope='module')
def server(tmp_path_factory, image_model):
  base = tmp_path_factory.mktemp('base')
  shutil.copytree(image_model, base / '1')
  limits = door.Limits(body_bytes=200_000, image_pixels=1_000_000)
  with exports.served(base, 'zoo', poll_seconds=3600, limits=limits) as running:
    yield running


@pytest.fixture(scope='module')
def post(server):
  with httpx.Client(base_url=server.url, timeout=60) as client:
    yield lambda body, verb='predict': client.post(f'/v1/models/zoo:{verb}', content=body)


@pytest.fixture(scope='module')
def call(server):
  with grpc.insecure_channel(f'127.0.0.1:{server.grpc_port}') as channel:
    # Bytes as they are: a stub would not send what it cannot parse itself.
    predict = channel.unary_unary(_PREDICT, lambda data: data, lambda data: data)

    def asked(data: bytes) -> str:
      try:
        predict(data, timeout=60)
      except grpc.RpcError as error:
        # gRPC's own code for a message that it cannot parse.
        if error.code() in _TOLD or 'deserializing' in (error.details() or ''):
          return error.code().name
        return f'{error.code().name}: {error.details()}'
      return 'OK'

    yield asked


def resident() -> float:
  with open('/proc/self/status', encoding='ascii') as status:
    return next(int(line.split()[1]) / 1e3 for line in status if line.startswith('VmRSS:'))


def check(post, call, seed: int, count: int, caplog) -> tuple[set, set]:
  """Sends `count` bodies and as many protos; returns what was said to them."""
  # gRPC tells of each message that it cannot parse.
  caplog.set_level(logging.CRITICAL, 'grpc._common')
  draw = np.random.default_rng(seed)
  codes, told = set(), set()
  for number, body in enumerate(hostile.bodies(draw, count)):
    verb = 'predict' if number % 5 else str(draw.choice(['classify', 'regress', 'predict']))
    answer = post(body, verb)
    codes.add(answer.status_code)
    assert answer.status_code in _ANSWERED, (seed, number, body[:300], answer.text)
    assert answer.status_code == 200 or answer.json()['error'], (seed, number)
  for number, data in enumerate(hostile.protos(draw, count, 'zoo')):
    said = call(data)
    told.add(said)
    assert ':' not in said, (seed, number, said, data[:300])
  return codes, told


def test_some_hundred_broken_requests(post, call, caplog):
  codes, told = check(post, call, 1, 300, caplog)
  # Some of them get through, else nothing behind the door was tried.
  assert {200, 400} <= codes and {'OK', 'INVALID_ARGUMENT'} <= told
  assert post(b'{"instances": [{"b64": "AA=="}]}').status_code == 400


@pytest.mark.long
def test_thousands_of_broken_requests_leave_memory_where_it_was(post, call, caplog):
  check(post, call, 2, 1_000, caplog)
  warm = resident()
  for seed in range(3, 8):
    check(post, call, seed, 1_000, caplog)
  assert resident() - warm < _MOST_GROWTH
