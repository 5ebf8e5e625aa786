"""The server as a process of its own: started, asked, told to stop while it answers."""

import base64
import json
import shutil
import signal
import subprocess
import sys
import time

import httpx
import pytest

from schemas.errors import ServingError
from serving import client
from tests.unit.serving import exports

_SERVE = """
import sys
from serving import model_config, server
server.serve(model_config.single('digits', sys.argv[1]), server.FREE_PORTS,
      on_ready=lambda server: (sys.stdout.write(server.url + '\\n'), sys.stdout.flush()))
sys.stdout.write('stopped\\n')
"""


@pytest.fixture
def process(tmp_path):
  export = exports.write_image_model(tmp_path / 'export', seed=1)
  (tmp_path / 'serving').mkdir()
  shutil.copytree(export, tmp_path / 'serving/1700000000')
  running = subprocess.Popen(
    [sys.executable, '-c', _SERVE, str(tmp_path / 'serving')], stdout=subprocess.PIPE, text=True
  )
  yield running
  running.kill()
  running.wait()
  running.stdout.close()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_stops_cleanly_when_told(process, tmp_path, number):
  url = process.stdout.readline().strip()
  assert url.startswith('http://127.0.0.1:')
  image = tmp_path / 'image.png'
  image.write_bytes(exports.encoded(4))
  (answer,) = client.predict([image], url, 'digits')
  expected = exports.expected_probabilities(1, exports.picture(4))
  assert answer.probabilities == pytest.approx(expected.tolist(), abs=1e-5)
  assert answer.model_version == '1700000000'

  body = json.dumps(
    {'instances': [{'b64': base64.b64encode(exports.encoded(5)).decode()}]}
  ).encode()

  def told_in_the_middle():
    yield body[:50]
    time.sleep(0.2)  # for the server to have read the head
    process.send_signal(number)
    time.sleep(0.5)
    yield body[50:]

  late = httpx.post(f'{url}/v1/models/digits:predict', content=told_in_the_middle())
  assert late.status_code == 200
  assert process.stdout.readline() == 'stopped\n'
  assert process.wait(30) == 0
  with pytest.raises(ServingError, match='sightline serve'):
    client.predict([image], url, 'digits')
