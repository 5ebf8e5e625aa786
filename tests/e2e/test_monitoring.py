"""A real Prometheus reads a real server; every panel of the dashboard has something to show."""

import contextlib
import json
import math
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import httpx
import pytest
import yaml

from serving import client
from tests.unit.serving import exports

DEPLOY = pathlib.Path(__file__).parents[2] / 'deploy'
PROMETHEUS = shutil.which('prometheus')
pytestmark = [
  pytest.mark.long,
  pytest.mark.skipif(
    PROMETHEUS is None, reason="needs prometheus on PATH; it is Debian's package prometheus"
  ),
]
# Where nothing fails on the server these are rightly empty.
EMPTY_WHEN_WELL = ('ALERTS', 'INTERNAL', 'fallback_count')


def free_port() -> int:
  with socket.socket() as taken:
    taken.bind(('127.0.0.1', 0))
    return taken.getsockname()[1]


@contextlib.contextmanager
def prometheus(folder: pathlib.Path, target: str):
  """Runs Prometheus on our configuration, with the target in place of Compose's names."""
  shutil.copytree(DEPLOY / 'monitoring/prometheus', folder / 'etc')
  path = folder / 'etc/prometheus.yml'
  config = yaml.safe_load(path.read_text())
  config['global'] = {'scrape_interval': '1s', 'evaluation_interval': '1s'}
  (job,) = config['scrape_configs']
  del job['dns_sd_configs']
  job['static_configs'] = [{'targets': [target]}]
  path.write_text(yaml.safe_dump(config))
  port = free_port()
  running = subprocess.Popen(
    [
      PROMETHEUS,
      f'--config.file={path}',
      f'--storage.tsdb.path={folder / "data"}',
      f'--web.listen-address=127.0.0.1:{port}',
    ],
    stderr=subprocess.DEVNULL,
  )
  try:
    yield f'http://127.0.0.1:{port}'
  finally:
    running.terminate()
    running.wait(20)


def values(url: str, expression: str) -> list[float]:
  text = expression.replace('$__rate_interval', '15s').replace('$model', '.*')
  found = httpx.get(f'{url}/api/v1/query', params={'query': text}).json()
  assert found['status'] == 'success', found
  return [float(row['value'][1]) for row in found['data']['result']]


def test_every_panel_and_rule_shows_what_happened(tmp_path):
  exports.write_image_model(tmp_path / 'digits/1700000000', seed=1)
  image = tmp_path / 'image.png'
  image.write_bytes(exports.encoded(4))
  bad = tmp_path / 'bad.png'
  bad.write_bytes(b'not an image')
  done = threading.Event()

  def traffic(url):
    while not done.is_set():
      client.predict([image], url, 'digits')
      httpx.post(f'{url}/v1/models/digits:predict', json={'instances': [{'b64': 'bm90'}]})
      time.sleep(0.2)

  with exports.served(tmp_path / 'digits', 'digits') as server:
    asking = threading.Thread(target=traffic, args=(server.url,))
    asking.start()
    try:
      with prometheus(tmp_path / 'prometheus', server.url.removeprefix('http://')) as url:
        time.sleep(20)
        panels = json.loads((DEPLOY / 'monitoring/grafana/dashboards/serving.json').read_text())
        shown = {
          target['expr']: values(url, target['expr'])
          for panel in panels['panels']
          for target in panel['targets']
        }
        errors = values(
          url,
          'sum(rate(:tensorflow:serving:request_count{status="INVALID_ARGUMENT"}[15s]))'
          ' / sum(rate(:tensorflow:serving:request_count[15s]))',
        )
        p99 = values(url, 'sightline:request_latency_seconds:p99')
        firing = values(url, 'ALERTS{alertstate="firing"}')
    finally:
      done.set()
      asking.join()
  empty = [expression for expression, found in shown.items() if not found]
  assert not [one for one in empty if not any(part in one for part in EMPTY_WHEN_WELL)]
  assert not any(math.isnan(value) for found in shown.values() for value in found)
  # Every second request was no image.
  assert errors == pytest.approx([0.5], abs=0.1)
  # In seconds: between a tenth of a millisecond and five seconds.
  assert 1e-4 < p99[0] < 5 and firing == []
