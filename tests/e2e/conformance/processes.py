"""The servers that the cases are put to: Sightline's own, and TensorFlow Serving itself."""

import contextlib
import pathlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence

import httpx

from tests.e2e.conformance import client, models

TENSORFLOW_SERVING = 'tensorflow_model_server'
REPOSITORY = pathlib.Path(__file__).parents[3]
_REST = re.compile(r'serving .* at (http://[^/]+)/')
_GRPC = re.compile(r'gRPC at (\S+);')


@contextlib.contextmanager
def embedded(folder: pathlib.Path, *options: str) -> Iterator[tuple[subprocess.Popen, str, str]]:
  """Runs `sightline serve`; gives the process, the URL of REST and the address of gRPC."""
  command = ['serve', '--port', '0', '--grpc-port', '0', '--poll-seconds', '0.1', *options]
  log = folder / 'stderr.txt'
  with open(log, 'w', encoding='utf-8') as stream:
    process = subprocess.Popen(
      [sys.executable, '-m', 'pipeline', *command],
      stdout=subprocess.PIPE,
      stderr=stream,
      text=True,
      cwd=REPOSITORY,
    )
  try:
    yield process, *_addresses(process, log)
  finally:
    _stop(process)


def _addresses(process: subprocess.Popen, log: pathlib.Path) -> tuple[str, str]:
  said = ''
  for line in process.stdout:
    said += line
    if found := _GRPC.search(line):
      return _REST.search(said)[1], found[1]
  raise AssertionError(f'sightline serve ended: {said}{log.read_text()}')


@contextlib.contextmanager
def tensorflow_serving(
  folder: pathlib.Path, config_file: pathlib.Path, socket_path: str
) -> Iterator[tuple[str, str]]:
  """Runs tensorflow_model_server; gives the URL of REST and the address of gRPC."""
  rest_port, grpc_port = _free_port(), _free_port()
  monitoring = folder / 'monitoring.config'
  monitoring.write_text('prometheus_config { enable: true }\n')
  with open(folder / 'stderr.txt', 'w', encoding='utf-8') as stream:
    process = subprocess.Popen(
      [
        TENSORFLOW_SERVING,
        f'--rest_api_port={rest_port}',
        f'--port={grpc_port}',
        f'--grpc_socket_path={socket_path}',
        f'--model_config_file={config_file}',
        f'--monitoring_config_file={monitoring}',
        *FLAGS,
      ],
      stderr=stream,
    )
  url = f'http://127.0.0.1:{rest_port}'
  try:
    client.wait_for(lambda: process.poll() is not None or _answers(url), TENSORFLOW_SERVING)
    yield url, f'127.0.0.1:{grpc_port}'
  finally:
    _stop(process)


# A version that cannot be loaded is tried once, not for five minutes.
FLAGS: Sequence[str] = (
  '--file_system_poll_wait_seconds=1',
  '--max_num_load_retries=0',
  '--enable_grpc_healthcheck_service=true',
)


def _answers(url: str) -> bool:
  with contextlib.suppress(httpx.TransportError):
    return httpx.get(f'{url}/v1/models/examples').status_code == 200
  return False


def _free_port() -> int:
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    return listener.getsockname()[1]


def _stop(process: subprocess.Popen) -> None:
  if process.poll() is None:
    process.send_signal(signal.SIGTERM)
  try:
    process.wait(30)
  except subprocess.TimeoutExpired:
    process.kill()
    process.wait()
  if process.stdout:
    process.stdout.close()


def write_config(folder: pathlib.Path, base: pathlib.PurePath) -> pathlib.Path:
  path = folder / models.CONFIG_FILE
  models.write_config(path, models.config(base))
  return path
