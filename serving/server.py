"""The embedded server: models on REST and gRPC, as TensorFlow Serving answers them.

For laptops, for CI and for machines that TensorFlow Serving does not run on;
TensorFlow Serving itself serves the same folders by the same config file.
"""

import dataclasses
import logging
import os
import pathlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

import uvicorn
from tensorflow_serving.config import model_server_config_pb2

from schemas.errors import ServingError
from serving import batching_parameters, door, freezing_process, memory, metrics, model_config, rest
from serving.batching import Batcher
from serving.fallback import Fallback
from serving.frozen_servable import FrozenServable
from serving.grpc_server import GrpcServer
from serving.inference import Inference
from serving.request_log import RequestLog
from serving.servable import NotNowError, Servable
from serving.served_models import ServedModels
from serving.tls import Tls

LOOPBACK = '127.0.0.1'
PORT = 8501  # TensorFlow Serving's for REST
GRPC_PORT = 8500  # and for gRPC
POLL_SECONDS = 1.0
# Longest wait for requests that are under way when the server is told to stop.
_DRAIN_SECONDS = 20
_SWITCH_SECONDS = 0.0005
_LOADING_NICENESS = 10

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Settings:
  """How models are served.

  Attributes:
    host: to listen on; anything but loopback lets others in.
    port: of REST; 0 for a free one.
    grpc_port: of gRPC; 0 for a free one.
    grpc_socket_path: of a Unix socket that gRPC listens on as well; '' for none.
    poll_seconds: between two looks for a newer version, and for another config.
    model_config_file: that is looked at again and again; None where the config stays.
    limits: of a request.
    batching: how requests are put together; None where each runs alone.
    timeout_seconds: of a request of REST that waits for its turn.
    tls: keys and certificates for both ports; None for plain text.
    fallback: what answers when a model cannot.
    log: keeps a sample of the requests; whoever opened it closes it.
    load: makes a Servable of a version's folder.
    load_meanwhile: does so once requests are answered; None for `load`.
  """

  host: str = LOOPBACK
  port: int = PORT
  grpc_port: int = GRPC_PORT
  grpc_socket_path: str = ''
  poll_seconds: float = POLL_SECONDS
  model_config_file: pathlib.Path | None = None
  limits: door.Limits = door.Limits()
  batching: batching_parameters.BatchingParameters | None = batching_parameters.BatchingParameters()
  timeout_seconds: float = 30.0
  tls: Tls | None = None
  fallback: Fallback = Fallback()
  log: RequestLog | None = None
  load: Callable[[pathlib.Path], Servable] = FrozenServable
  load_meanwhile: Callable[[pathlib.Path], Servable] | None = None


# On free ports, for whoever starts a server of its own.
FREE_PORTS = Settings(port=0, grpc_port=0)


class EmbeddedServer:
  """Serves the models of a config.

  A context manager that stops what it started:

  ```python
  config = model_config.single('digits', 'runs/digits/serving/digits')
  with EmbeddedServer(config, FREE_PORTS) as server:
    httpx.get(f'{server.url}/v1/models/digits')
  ```

  Attributes:
    port: of REST that it listens on.
    url: scheme, host and port of REST.
    grpc_port: of gRPC that it listens on.
    models: in service.
    metrics: that count and time.
  """

  def __init__(
    self,
    config: model_server_config_pb2.ModelServerConfig,
    settings: Settings = Settings(),
  ):
    """Takes the settings; nothing is opened or loaded yet.

    Args:
      config: which models; see model_config.read and model_config.single.
      settings: how.

    Raises:
      ServingError: the config cannot be served, or a file of TLS cannot be used.
    """
    if settings.tls is not None:
      settings.tls.check()
    self.settings = settings
    self.models = ServedModels(config, self._load)
    self.metrics = metrics.Metrics()
    self.port, self.grpc_port = settings.port, settings.grpc_port
    batcher = None
    if settings.batching is not None:
      batcher = Batcher(
        settings.batching, lambda rows: self.metrics.observe(metrics.BATCH_SIZE, rows)
      )
      self.metrics.gauge(
        metrics.QUEUE_DEPTH, lambda: batcher.depth, 'Requests that wait for a batch.'
      )
    self._inference = Inference(
      self.models, settings.limits, batcher, self.metrics, settings.fallback, settings.log
    )
    if (log := settings.log) is not None:
      self.metrics.gauge(
        metrics.LOG_WRITTEN_COUNT, lambda: log.counts.written, 'Requests in the request log.'
      )
      self.metrics.gauge(
        metrics.LOG_DROPPED_COUNT,
        lambda: log.counts.dropped + log.counts.failed,
        'Requests drawn for the request log that are not in it.',
      )
    self._stop = threading.Event()
    self._draining = threading.Event()
    self._threads: list[threading.Thread] = []
    self._grpc: GrpcServer | None = None
    app = rest.create_app(
      self._inference, settings.timeout_seconds, lambda: not self._draining.is_set()
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
        **(settings.tls.of_uvicorn() if settings.tls else {}),
      )
    )

  @property
  def url(self) -> str:
    host = self.settings.host
    scheme = 'https' if self.settings.tls else 'http'
    return f'{scheme}://{f"[{host}]" if ":" in host else host}:{self.port}'

  @property
  def alive(self) -> bool:
    """Whether it is listening."""
    return bool(self._threads) and self._threads[0].is_alive()

  def start(self) -> None:
    """Loads what is wanted, then listens; returns when it answers.

    Raises:
      ServingError: a model has no version that can be read and served, or a port is
        taken.
    """
    self.models.poll()
    for name in self.models.names:
      if not self.models.ready_of(name):
        text = self.models.why_not_ready(name)
        self.models.close()
        raise ServingError(text)
    try:
      listener = _listen(self.settings.host, self.settings.port)
      try:
        self._grpc = GrpcServer(
          self._inference,
          self.settings.host,
          self.settings.grpc_port,
          self.settings.grpc_socket_path,
          self.settings.tls,
        )
      except ServingError:
        listener.close()
        raise
    except ServingError:
      self.models.close()
      raise
    self.port, self.grpc_port = listener.getsockname()[1], self._grpc.port
    self._threads = [
      threading.Thread(target=self._uvicorn.run, args=([listener],), name='http', daemon=True),
      threading.Thread(target=self._poll, name='versions', daemon=True),
    ]
    for thread in self._threads:
      thread.start()
    self._grpc.start()
    while not self._uvicorn.started:
      if not self.alive:
        raise ServingError(f'{self.url}: the server ended while it started; its log says why.')
      time.sleep(0.01)

  def stop(self, drain_seconds: float = 0.0) -> None:
    """Answers what is under way, then stops listening and frees the models.

    Args:
      drain_seconds: for which /readyz and gRPC's health already say no while requests
        are still taken, so that a load balancer can look elsewhere.
    """
    self._draining.set()
    if self._grpc is not None:
      self._grpc.drain()
    if drain_seconds:
      time.sleep(drain_seconds)
    self._stop.set()
    freezing_process.end()
    self._uvicorn.should_exit = True
    if self._grpc is not None:
      self._grpc.stop(_DRAIN_SECONDS)
    for thread in self._threads:
      thread.join()
    self.models.close()

  def __enter__(self) -> 'EmbeddedServer':
    self.start()
    return self

  def __exit__(self, *_) -> None:
    self.stop()

  def _load(self, path: pathlib.Path) -> Servable:
    if self._stop.is_set():
      raise NotNowError(f'{path}: the server stops')
    meanwhile = self.settings.load_meanwhile if self._threads else None
    return (meanwhile or self.settings.load)(path)

  def _poll(self) -> None:
    said = ''
    _yield_to_requests()
    watched = _Watched(self.settings.model_config_file)
    memory.settle()
    closed = self.models.closed
    while not self._stop.wait(self.settings.poll_seconds):
      try:
        if watched.changed():
          self.models.reload(model_config.read(watched.path))
          _LOG.info('%s was read again.', watched.path)
        self.models.poll()
        if closed != self.models.closed:
          closed = self.models.closed
          memory.give_back()
        said = ''
      except Exception as error:  # noqa: BLE001 - else no later version would ever be seen
        if str(error) != said and not self._stop.is_set():
          _LOG.exception('Looking for a newer version failed; it is tried again.')
        said = str(error)


def _yield_to_requests() -> None:
  """Lets this thread, which loads new versions, run behind those that answer.

  Optimising a graph takes seconds of one processor. TensorFlow's own threads are older
  than this one, and keep their priority.
  """
  try:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOADING_NICENESS)
  except (OSError, AttributeError):
    _LOG.info('This system gives no thread a priority of its own.')


class _Watched:
  """The model config file, and whether it is another one than before."""

  def __init__(self, path: pathlib.Path | None):
    self.path = path or pathlib.Path()
    self._given = path is not None
    self._seen = self._stamp()

  def changed(self) -> bool:
    stamp = self._stamp()
    if stamp is None or stamp == self._seen:
      return False
    self._seen = stamp
    return True

  def _stamp(self) -> tuple[int, int, int] | None:
    if not self._given:
      return None
    try:
      found = self.path.stat()
    except OSError:
      return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def serve(
  config: model_server_config_pb2.ModelServerConfig,
  settings: Settings = Settings(),
  drain_seconds: float = 0.0,
  on_ready: Callable[[EmbeddedServer], None] = lambda server: None,
) -> None:
  """Serves until SIGTERM or SIGINT, then stops cleanly and returns.

  Call it in the main thread, where Python delivers signals.

  Args:
    config: which models.
    settings: how they are served.
    drain_seconds: see EmbeddedServer.stop.
    on_ready: called once with the server when it answers; it has `url`.

  Raises:
    ServingError: there is no version that can be served, or a port is taken.
  """
  server = EmbeddedServer(config, settings)
  told = threading.Event()
  before = {
    number: signal.signal(number, lambda *_: told.set())
    for number in (signal.SIGTERM, signal.SIGINT)
  }
  # A version that is loaded holds Python's lock for long stretches: requests get it sooner.
  sys.setswitchinterval(_SWITCH_SECONDS)
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
  # The protocol said aloud: only then does asyncio switch Nagle's algorithm off, which
  # holds an answer back for 40 ms.
  listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
