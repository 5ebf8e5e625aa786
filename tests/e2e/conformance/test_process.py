"""The embedded server as a process: how it starts, and how it stops.

TensorFlow Serving is not asked: the command line is our own, and it does not drain upon
SIGTERM.
"""

import concurrent.futures
import signal
import subprocess
import sys
import time

import httpx
import pytest

from tests.e2e.conformance import processes


@pytest.fixture(scope='module', autouse=True)
def refused_start(request, tmp_path_factory):
  """A start that fails, under way beside the other case: each takes seconds of imports."""
  if request.config.getoption('--server'):
    pytest.skip('--server: another server is asked')
  path = tmp_path_factory.mktemp('refused') / 'bad.config'
  path.write_text('this is no config', encoding='utf-8')
  process = subprocess.Popen(
    [sys.executable, '-m', 'pipeline', 'serve', '--model-config-file', str(path)],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    cwd=processes.REPOSITORY,
  )
  yield process, path
  process.kill()
  process.wait()
  process.stdout.close()


def test_it_answers_what_is_under_way_and_ends_by_sigterm(model_folder, tmp_path):
  config_file = processes.write_config(tmp_path, model_folder)
  with (
    processes.embedded(
      tmp_path, '--model-config-file', str(config_file), '--drain-seconds', '0.5'
    ) as (process, url, _),
    concurrent.futures.ThreadPoolExecutor() as threads,
  ):
    body = b'{"instances": [2.0]}'

    def slowly():
      yield body[:5]
      time.sleep(1.0)
      yield body[5:]

    path = f'{url}/v1/models/half_plus_two:predict'
    under_way = threads.submit(httpx.post, path, content=slowly(), timeout=20)
    time.sleep(0.2)  # for the head to arrive
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    # Load balancers are told first; whoever asks is answered.
    assert httpx.get(f'{url}/readyz').status_code == 503
    assert httpx.post(path, content=body).json() == {'predictions': [3.0]}
    assert under_way.result().json() == {'predictions': [3.0]}
    assert process.wait(20) == 0
    with pytest.raises(httpx.TransportError):
      httpx.get(f'{url}/healthz')


def test_a_config_file_that_is_none_ends_the_start(refused_start):
  process, path = refused_start
  said, _ = process.communicate(timeout=120)
  assert process.returncode != 0
  assert f'{path}: expected ModelServerConfig in its text format' in said
