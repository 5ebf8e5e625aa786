"""The images, the composition and the manifests where there is what they need."""

import base64
import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import time

import httpx
import pytest

from tests.unit.serving import exports

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / 'deploy'
VERSION = '1795681024'
SEED = 1


def run(*command: str, **options) -> str:
  done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, **options)
  assert done.returncode == 0, f'{" ".join(command)}\n{done.stdout}\n{done.stderr}'
  return done.stdout.strip()


@pytest.fixture(scope='module')
def docker() -> None:
  if shutil.which('docker') is None:
    pytest.skip('needs a Docker daemon: there is no docker command')
  found = subprocess.run(['docker', 'version'], capture_output=True, text=True)
  if found.returncode:
    pytest.skip(f'needs a Docker daemon: {found.stderr.strip()}')


@pytest.fixture(scope='module')
def cluster() -> None:
  if shutil.which('kubectl') is None:
    pytest.skip('needs a Kubernetes cluster: there is no kubectl command')
  found = subprocess.run(
    ['kubectl', 'version', '--request-timeout=5s'], capture_output=True, text=True
  )
  if found.returncode:
    pytest.skip(f'needs a Kubernetes cluster: {found.stderr.strip()}')


@pytest.fixture(scope='module')
def published(tmp_path_factory) -> pathlib.Path:
  """A folder of models, with one version of `digits` that anybody may read."""
  folder = tmp_path_factory.mktemp('published')
  exports.write_image_model(folder / 'digits' / VERSION, seed=SEED)
  for path in (folder, *folder.rglob('*')):
    path.chmod(0o755 if path.is_dir() else 0o644)
  for parent in folder.parents[:2]:
    parent.chmod(0o755)
  return folder


def free_port() -> int:
  with socket.socket() as taken:
    taken.bind(('127.0.0.1', 0))
    return taken.getsockname()[1]


@contextlib.contextmanager
def container(image: str, port: int, *options: str):
  """Runs an image as the manifests do: read-only, with no rights, REST at the port."""
  hardened = ('--read-only', '--tmpfs=/tmp', '--cap-drop=ALL', '--security-opt=no-new-privileges')
  name = run('docker', 'run', '-d', f'-p=127.0.0.1:{port}:8501', *hardened, *options, image)
  try:
    yield name
  finally:
    subprocess.run(['docker', 'rm', '-f', name], capture_output=True)


def wait_until_healthy(name: str) -> None:
  end = time.monotonic() + 180
  while time.monotonic() < end:
    state = json.loads(run('docker', 'inspect', '--format={{json .State}}', name))
    if state['Health']['Status'] == 'healthy':
      return
    assert state['Running'], run('docker', 'logs', name)
    time.sleep(1)
  raise AssertionError(run('docker', 'logs', name))


def ask(port: int) -> list[float]:
  encoded = base64.b64encode(exports.encoded(4)).decode()
  answer = httpx.post(
    f'http://127.0.0.1:{port}/v1/models/digits:predict',
    json={'instances': [{'b64': encoded}]},
    timeout=30,
  )
  assert answer.status_code == 200, answer.text
  return answer.json()['predictions'][0]['probabilities']


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_server_image_answers_and_stops_cleanly(docker, published):
  run('docker', 'build', '-f', 'deploy/server/Dockerfile', '-t', 'sightline-server:test', '.')
  port = free_port()
  with container('sightline-server:test', port, f'-v={published}:/models:ro') as name:
    wait_until_healthy(name)
    expected = exports.expected_probabilities(SEED, exports.picture(4))
    assert ask(port) == pytest.approx(expected.tolist(), abs=1e-5)
    assert run('docker', 'exec', name, 'id', '-u') == '10001'
    run('docker', 'stop', '--time=45', name)
    # 137 would say that it was killed.
    assert run('docker', 'inspect', '--format={{.State.ExitCode}}', name) == '0'


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_tensorflow_serving_image_answers_alike(docker, published):
  run(
    *('docker', 'build', '-f', 'deploy/tensorflow_serving/Dockerfile', '-t', 'digits-serving:test'),
    *('--build-arg', 'MODEL_NAME=digits', '--build-context', f'model={published}/digits', 'deploy'),
  )
  port = free_port()
  with container('digits-serving:test', port) as name:
    wait_until_healthy(name)
    expected = exports.expected_probabilities(SEED, exports.picture(4))
    assert ask(port) == pytest.approx(expected.tolist(), abs=1e-5)
    metrics = httpx.get(f'http://127.0.0.1:{port}/monitoring/prometheus/metrics').text
    assert ':tensorflow:serving:request_count{model_name="digits",status="OK"} 1' in metrics


@pytest.mark.docker
@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_composition_is_watched(docker, published):
  environment = {
    'PATH': '/usr/local/bin:/usr/bin:/bin',
    'HOME': str(published.parent),
    'SIGHTLINE_MODELS': str(published),
    'GRAFANA_PASSWORD': 'of-a-test',
  }
  compose = ('docker', 'compose', '-p', 'sightline-test', '-f', 'deploy/compose.yaml')
  try:
    run(*compose, 'up', '--build', '--detach', '--wait', env=environment)
    ask(8501)
    time.sleep(35)  # two readings
    found = httpx.get(
      'http://127.0.0.1:9090/api/v1/query',
      params={'query': 'sum(:tensorflow:serving:request_count{model_name="digits"})'},
    ).json()
    assert float(found['data']['result'][0]['value'][1]) >= 1
    board = httpx.get('http://127.0.0.1:3000/api/dashboards/uid/sightline-serving')
    assert board.json()['dashboard']['title'] == 'Sightline: serving'
  finally:
    subprocess.run([*compose, 'down', '--volumes'], cwd=ROOT, env=environment, capture_output=True)


@pytest.mark.cluster
@pytest.mark.parametrize(
  'place', ['kubernetes/models_volume.yaml', 'kubernetes/server', 'kubernetes/tensorflow_serving']
)
def test_a_cluster_would_take_it(cluster, place):
  run(
    *('kubectl', 'apply', '--dry-run=server', '--validate=strict', '--filename'),
    str(DEPLOY / place),
  )


@pytest.mark.cluster
@pytest.mark.parametrize('name', ['inference_service.yaml', 'tensorflow_serving.yaml'])
def test_a_cluster_with_kserve_would_take_it(cluster, name):
  crd = 'inferenceservices.serving.kserve.io'
  if subprocess.run(['kubectl', 'get', 'crd', crd], capture_output=True).returncode:
    pytest.skip(f'needs a cluster with KServe: it has no {crd}')
  run(
    *('kubectl', 'apply', '--dry-run=server', '--validate=strict', '--filename'),
    str(DEPLOY / 'kserve' / name),
  )
