"""The embedded server: one model, its newest version, on HTTP.

For a person at a terminal, for the demo and for tests; TensorFlow Serving itself
serves the same folder.
"""

import logging
import pathlib
import signal
import socket
import threading
import time
from collections.abc import Callable

import uvicorn

from schemas.errors import ServingError
from serving import door, rest
from serving.versions import Versions

LOOPBACK = '127.0.0.1'
PORT = 8501  # TensorFlow Serving's for REST
POLL_SECONDS = 1.0
# Longest wait for requests that are under way when the server is told to stop.
_DRAIN_SECONDS = 20

_LOG = logging.getLogger(__name__)


class EmbeddedServer:
  """Serves `base_path`/<version>, the newest, as `model_name`.

  A context manager that stops what it started:

  ```python
  with EmbeddedServer('runs/digits/serving/digits', 'digits', port=0) as server:
    httpx.get(f'{server.url}/v1/models/digits')
  ```

  Attributes:
    port: that it listens on; chosen by the system where 0 was asked for.
    url: scheme, host and port.
    versions: what is in service.
  """

  def __init__(
    self,
    base_path: pathlib.Path | str,
    model_name: str,
    host: str = LOOPBACK,
    port: int = PORT,
    poll_seconds: float = POLL_SECONDS,
    limits: door.Limits | None = None,
  ):
    """Takes the settings; nothing is opened or loaded yet.

    Args:
      base_path: holds a folder a version.
      model_name: under which clients ask.
      host: to listen on; anything but loopback lets others in.
      port: to listen on; 0 for a free one.
      poll_seconds: between two looks for a newer version.
      limits: of a request.
    """
    self.versions = Versions(base_path)
    self.model_name = model_name
    self.host, self.port = host, port
    self._poll_seconds = poll_seconds
    self._stop = threading.Event()
    self._draining = threading.Event()
    self._threads: list[threading.Thread] = []
    app = rest.create_app(
      self.versions, model_name, limits or door.Limits(), lambda: not self._draining.is_set()
    )
    # It runs in a thread of its own, where uvicorn leaves the signals alone; in the
    # main thread it would raise SIGTERM again after its own end and kill the rest.
    self._uvicorn = uvicorn.Server(
      uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan='off',
        timeout_graceful_shutdown=_DRAIN_SECONDS,
      )
    )

  @property
  def url(self) -> str:
    host = f'[{self.host}]' if ':' in self.host else self.host
    return f'http://{host}:{self.port}'

  @property
  def alive(self) -> bool:
    """Whether it is listening."""
    return bool(self._threads) and self._threads[0].is_alive()

  def start(self) -> None:
    """Loads the newest version, then listens; returns when it answers.

    Raises:
      ServingError: there is no version that can be read and served, or the port is
        taken.
    """
    self.versions.poll()
    if not self.versions.ready:
      raise ServingError(self._why_not_ready())
    try:
      listener = _listen(self.host, self.port)
    except ServingError:
      self.versions.close()
      raise
    self.port = listener.getsockname()[1]
    self._threads = [
      threading.Thread(target=self._uvicorn.run, args=([listener],), name='http', daemon=True),
      threading.Thread(target=self._poll, name='versions', daemon=True),
    ]
    for thread in self._threads:
      thread.start()
    while not self._uvicorn.started:
      if not self.alive:
        raise ServingError(f'{self.url}: the server ended while it started; its log says why.')
      time.sleep(0.01)

  def stop(self, drain_seconds: float = 0.0) -> None:
    """Answers what is under way, then stops listening and frees the model.

    Args:
      drain_seconds: for which /readyz already says 503 while requests are still
        taken, so that a load balancer can look elsewhere.
    """
    self._draining.set()
    if drain_seconds:
      time.sleep(drain_seconds)
    self._stop.set()
    self._uvicorn.should_exit = True
    for thread in self._threads:
      thread.join()
    self.versions.close()

  def __enter__(self) -> 'EmbeddedServer':
    self.start()
    return self

  def __exit__(self, *_) -> None:
    self.stop()

  def _poll(self) -> None:
    said = ''
    while not self._stop.wait(self._poll_seconds):
      try:
        self.versions.poll()
        said = ''
      except Exception as error:  # noqa: BLE001 - else no later version would ever be seen
        if str(error) != said:
          _LOG.exception('Looking for a newer version failed; it is tried again.')
        said = str(error)

  def _why_not_ready(self) -> str:
    failed = self.versions.status()
    if failed:
      return (
        f'{self.versions.base_path}/{failed[0].version}: expected a version that can be '
        f'served. Received: {failed[0].error_message}'
      )
    return (
      f'{self.versions.base_path}: expected a folder such as 1 with saved_model.pb. '
      'Received: none. Publish a model with: sightline run CONFIG'
    )


def serve(
  base_path: pathlib.Path | str,
  model_name: str,
  host: str = LOOPBACK,
  port: int = PORT,
  poll_seconds: float = POLL_SECONDS,
  limits: door.Limits | None = None,
  drain_seconds: float = 0.0,
  on_ready: Callable[[EmbeddedServer], None] = lambda server: None,
) -> None:
  """Serves until SIGTERM or SIGINT, then stops cleanly and returns.

  Call it in the main thread, where Python delivers signals.

  Args:
    base_path: holds a folder a version.
    model_name: under which clients ask.
    host: to listen on.
    port: to listen on; 0 for a free one.
    poll_seconds: between two looks for a newer version.
    limits: of a request.
    drain_seconds: see EmbeddedServer.stop.
    on_ready: called once with the server when it answers; it has `url`.

  Raises:
    ServingError: there is no version that can be served, or the port is taken.
  """
  server = EmbeddedServer(base_path, model_name, host, port, poll_seconds, limits)
  told = threading.Event()
  before = {
    number: signal.signal(number, lambda *_: told.set())
    for number in (signal.SIGTERM, signal.SIGINT)
  }
  try:
    server.start()
    on_ready(server)
    while server.alive and not told.wait(0.5):
      pass
    server.stop(drain_seconds if told.is_set() else 0.0)
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)


def _listen(host: str, port: int) -> socket.socket:
  family = socket.AF_INET6 if ':' in host else socket.AF_INET
  listener = socket.socket(family, socket.SOCK_STREAM)
  try:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
  except (OSError, OverflowError) as error:
    listener.close()
    raise ServingError(
      f'{host}:{port}: expected an address that is free. Received: {error}. '
      'Stop what listens there, or choose another with --port (0 for any free one).'
    ) from error
  return listener
