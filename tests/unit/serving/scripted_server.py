"""An HTTP server that answers as a test tells it, and keeps what it was asked."""

import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

AVAILABLE = {
  'model_version_status': [
    {
      'version': '7',
      'state': 'AVAILABLE',
      'status': {'error_code': 'OK', 'error_message': ''},
    }
  ]
}


class Said(NamedTuple):
  """One answer of the server; the body is text, JSON, or a function of what was asked."""

  code: int
  body: Any
  headers: Mapping[str, str] = {}
  seconds: float = 0.0


class ScriptedServer:
  """Gives one answer after the other, and the last of them for ever."""

  def __init__(self, port: int, script: list[Said]):
    self.url = f'http://127.0.0.1:{port}'
    self.script = script
    self.asked: list[tuple[str, str, Any]] = []
    self.lock = threading.Lock()

  def take(self) -> Said:
    with self.lock:
      return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@contextlib.contextmanager
def running(*script: Said) -> Iterator[ScriptedServer]:
  class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_GET(self):
      self.answer(None)

    def do_POST(self):
      body = self.rfile.read(int(self.headers['content-length']))
      self.answer(json.loads(body))

    def answer(self, body):
      with self.server.scripted.lock:
        self.server.scripted.asked.append((self.command, self.path, body))
      said = self.server.scripted.take()
      time.sleep(said.seconds)
      answered = said.body(body) if callable(said.body) else said.body
      text = answered if isinstance(answered, str) else json.dumps(answered)
      self.send_response(said.code)
      for name, value in said.headers.items():
        self.send_header(name, value)
      self.send_header('content-length', str(len(text)))
      self.end_headers()
      self.wfile.write(text.encode())

    def log_message(self, *_):
      pass

  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
  server.daemon_threads = True
  server.scripted = ScriptedServer(server.server_port, list(script))
  thread = threading.Thread(target=server.serve_forever, args=(0.01,))
  thread.start()
  try:
    yield server.scripted
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


def row(label: str = 'red', class_id: int = 0, probabilities: tuple[float, ...] = (0.75, 0.25)):
  """One prediction, as a Sightline export gives it."""
  return {
    'label': label,
    'class_id': class_id,
    'probabilities': list(probabilities),
    'probability': probabilities[class_id],
    'low_confidence': False,
    'ood_score': 0.5,
    'foreign': True,
  }
