"""Two versions on the real server: promote, canary and rollback under load, none of it lost."""

import base64
import contextlib
import json
import shutil
import threading
import time

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from pipeline import deploy_command, lineage
from schemas import loader
from schemas.weights_hash import weights_sha256
from serving import model_config
from serving.server import EmbeddedServer, Settings
from tests.unit.pipeline import run_store
from tests.unit.serving import exports

IMAGE = exports.encoded(5)


@pytest.fixture(scope='module')
def published(tmp_path_factory):
  """An experiment that published versions 100 and 200, and the path of its config."""
  root = tmp_path_factory.mktemp('rollout')
  path = root / 'fruit.yaml'
  path.write_text('name: fruit\nrun: {root: root}\n')
  config = loader.load_config(path)
  config.run.root.mkdir()
  store = run_store.Store(config.run.root)
  for seed, version in ((1, '100'), (2, '200')):
    made = exports.write_image_model(root / f'export-{seed}', seed=seed)
    folder = config.publish.directory / 'fruit' / version
    shutil.copytree(made, folder)
    pushed = store.artifact(
      'PushedModel', str(folder), pushed_version=version, weights_sha256=weights_sha256(folder)
    )
    run = f'2026110{seed}-120000'
    store.execution(run, 'Publisher', [], [pushed])
    (config.run.root / run).mkdir()
    accuracy = {'value': 0.9, 'n': 100, 'interval': [0.8, 0.95]}
    (config.run.root / run / lineage.SUMMARY).write_text(json.dumps({'accuracy': accuracy}))
  return path, config


@contextlib.contextmanager
def serving(config, **settings):
  file = config.publish.directory / 'models.config'
  file.unlink(missing_ok=True)
  shutil.rmtree(config.run.root / 'requests', ignore_errors=True)
  models = model_config.single('fruit', config.publish.directory / 'fruit')
  with EmbeddedServer(
    models, Settings(port=0, grpc_port=0, poll_seconds=0.1, **settings)
  ) as server:
    yield server


class Clients:
  """Ask for the label stable without a pause, by REST and by gRPC.

  Attributes:
    versions: that answered, in order, by client.
    failed: what came instead of an answer.
  """

  def __init__(self, server):
    self.versions, self.failed = {}, []
    self._stop = threading.Event()
    self._threads = [
      threading.Thread(target=self._ask, args=(f'{ask.__name__} {number}', ask, server))
      for number in range(2)
      for ask in (by_rest, by_grpc)
    ]

  def __enter__(self):
    for thread in self._threads:
      thread.start()
    return self

  def __exit__(self, *_):
    self._stop.set()
    for thread in self._threads:
      thread.join()

  def _ask(self, name, ask, server):
    found = self.versions[name] = []
    while not self._stop.wait(0.02):  # The processors are shared with the server.
      try:
        found.append(ask(server))
      except Exception as error:  # noqa: BLE001 - each failure is counted
        self.failed.append(repr(error))

  def wait_for(self, version):
    """Waits until each client was answered by a version."""
    deadline = time.monotonic() + 60
    while not all(found and found[-1] == version for found in self.versions.values()):
      assert time.monotonic() < deadline, self.failed
      time.sleep(0.05)


def by_rest(server, label='stable'):
  body = {'instances': [{'b64': base64.b64encode(IMAGE).decode()}]}
  answer = httpx.post(f'{server.url}/v1/models/fruit/labels/{label}:predict', json=body)
  answer.raise_for_status()
  return checked(int(answer.headers['x-model-version']), answer.json()['predictions'][0]['label'])


def by_grpc(server, label='stable'):
  request = predict_pb2.PredictRequest()
  request.model_spec.name, request.model_spec.version_label = 'fruit', label
  request.inputs['image_bytes'].CopyFrom(tf.make_tensor_proto([IMAGE]))
  with grpc.insecure_channel(f'127.0.0.1:{server.grpc_port}') as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request, timeout=60)
  label = tf.make_ndarray(response.outputs['label'])[0].decode()
  return checked(response.model_spec.version.value, label)


def checked(version, label):
  """Returns the version once its answer is the one of its own network."""
  assert label == EXPECTED[version]
  return version


EXPECTED = {
  version: exports.LABELS[int(np.argmax(exports.expected_probabilities(seed, exports.picture(5))))]
  for seed, version in ((1, 100), (2, 200))
}


@pytest.mark.parametrize('told', ['gRPC', pytest.param('by the file', marks=pytest.mark.long)])
def test_no_request_fails_while_labels_move(published, told, capfd):
  path, config = published
  file = config.publish.directory / 'models.config'
  with serving(config, model_config_file=file) as server:
    address = f'127.0.0.1:{server.grpc_port}' if told == 'gRPC' else server.url
    deploy_command.promote(path, '100', [address], why='first')
    with Clients(server) as clients:
      clients.wait_for(100)
      deploy_command.canary(path, '200', False, [address])
      assert by_rest(server, 'canary') == by_grpc(server, 'canary') == 200
      assert by_rest(server) == 100
      deploy_command.promote(path, '200', [address])
      clients.wait_for(200)
      capfd.readouterr()
      deploy_command.rollback(path, [address], why='more errors')
      clients.wait_for(100)
    said = capfd.readouterr().out.splitlines()
    deploy_command.status(path, [address])
    shown = [line.strip() for line in capfd.readouterr().out.splitlines()]
  assert clients.failed == []
  for found in clients.versions.values():
    # One way and back: a label does not flicker.
    changes = [found[0]] + [b for a, b in zip(found, found[1:], strict=False) if a != b]
    assert changes == [100, 200, 100]
  digest = weights_sha256(config.publish.directory / 'fruit/100')[:12]
  assert said == [
    'version 100 is AVAILABLE',
    'stable: 200 -> 100',
    f'asked stable at {address}: version 100, weights {digest} (an answer to a picture)',
  ]
  assert f'100  [stable]  AVAILABLE at {address}' in shown
  assert 'accuracy 0.9000 (n 100, 95 % interval 0.8000 to 0.9500)' in shown
  assert f'weights {digest}' in shown
  assert any(line.endswith('more errors') and 'stable 200 -> 100' in line for line in shown)
