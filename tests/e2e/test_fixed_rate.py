"""The load generator at a fixed rate: against the embedded server, and one that is too slow."""

import http.server
import json
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from tests.unit.serving import exports

GENERATOR = pathlib.Path(__file__).parents[2] / 'benchmarks/load_generator.py'
SECONDS_EACH = 0.05


def load(port, path, image, rate, *more):
  address = ('rest', f'127.0.0.1:{port}', path, str(image))
  command = [sys.executable, str(GENERATOR), *address, '--rate', str(rate), *more]
  done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
  return json.loads(done.stdout)


@pytest.fixture
def image(tmp_path):
  path = tmp_path / 'photo.png'
  path.write_bytes(exports.encoded(3, 'PNG', 40))
  return path


def test_every_request_that_was_due_is_answered_by_the_embedded_server(tmp_path, image):
  exports.write_image_model(tmp_path / 'colours/1')
  with exports.served(tmp_path / 'colours', 'colours') as server:
    found = load(server.port, '/v1/models/colours:predict', image, 40, '--seconds', '1')
  # 40 a second for one second; a slow machine answers them later, and answers them all.
  assert (found['requests'], found['failures']) == (40, 0)
  assert 0 < found['p50'] <= found['p95'] <= found['p99'] <= found['longest']
  # None is sent before it is due, the last after 975 ms.
  assert found['seconds'] > 0.975


def test_an_image_that_is_none_is_a_failure_and_no_latency(tmp_path):
  exports.write_image_model(tmp_path / 'colours/1')
  bad = tmp_path / 'bad.jpg'
  bad.write_bytes(b'no image')
  with exports.served(tmp_path / 'colours', 'colours') as server:
    found = load(server.port, '/v1/models/colours:predict', bad, 20, '--seconds', '0.5')
  assert (found['requests'], found['failures'], found['p99']) == (0, 10, None)


class Slow(http.server.BaseHTTPRequestHandler):
  """Answers one request at a time, each after 50 ms: 20 a second, no more."""

  protocol_version = 'HTTP/1.1'
  turn = threading.Lock()

  def do_POST(self):
    self.rfile.read(int(self.headers['Content-Length']))
    with self.turn:
      time.sleep(SECONDS_EACH)
    self.send_response(200)
    self.send_header('Content-Length', '2')
    self.end_headers()
    self.wfile.write(b'{}')

  def log_message(self, *_):
    pass


@pytest.mark.parametrize('clients', [1, 4])
def test_a_server_that_is_too_slow_shows_in_the_latency(image, clients):
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Slow)
  server.daemon_threads = True
  threading.Thread(target=server.serve_forever, daemon=True).start()
  try:
    port = server.server_address[1]
    found = load(port, '/', image, 40, '--seconds', '1', '--clients', str(clients))
  finally:
    server.shutdown()
    server.server_close()
  assert (found['requests'], found['failures']) == (40, 0)
  # 40 answers of 50 ms take 2 s, and the last was due after 0.975 s. Counted from when it was
  # sent, with one client each would have taken its 50 ms and nobody had noticed.
  assert found['longest'] >= 40 * SECONDS_EACH * 1000 - 975
  assert found['p50'] >= 10 * SECONDS_EACH * 1000 / 2
