"""TensorFlow Serving's own binary in the place of the embedded server, where there is one."""

import os
import pathlib
import shutil
import tempfile
from typing import NoReturn

from tensorflow_serving.config import model_server_config_pb2

from schemas.errors import ServingError
from serving import metrics, model_config

BINARY = 'tensorflow_model_server'


def command(
  config: model_server_config_pb2.ModelServerConfig,
  folder: pathlib.Path,
  port: int,
  grpc_port: int,
  config_file: pathlib.Path | None = None,
  poll_seconds: float = 1.0,
  batching_parameters_file: pathlib.Path | None = None,
  grpc_socket_path: str = '',
) -> list[str]:
  """Returns the command line that serves the same models on the same ports.

  Args:
    config: which models; written into `folder` where there is no file of it.
    folder: for the files that it reads: the models, and the switch of its metrics.
    port: of REST.
    grpc_port: of gRPC.
    config_file: of the models, looked at again as the embedded server does.
    poll_seconds: between two looks for a newer version.
    batching_parameters_file: in TensorFlow Serving's text format.
    grpc_socket_path: of a Unix socket for gRPC; '' for none.

  Raises:
    ServingError: there is no such binary, or a port is left to the system, which it
      does not offer.
  """
  binary = shutil.which(BINARY)
  if binary is None:
    raise ServingError(
      f'{BINARY}: expected the binary of TensorFlow Serving on PATH. Received: none. '
      'Install it, or serve with another --backend.'
    )
  if 0 in (port, grpc_port):
    raise ServingError(
      f'{BINARY}: expected the numbers of two ports. Received: {port} and {grpc_port}.'
    )
  if config_file is None or not config_file.exists():
    config_file = folder / 'models.config'
    model_config.write(config_file, config)
  monitoring = folder / 'monitoring.config'
  monitoring.write_text(f'prometheus_config {{ enable: true path: "{metrics.PATH}" }}\n')
  flags = {
    'port': grpc_port,
    'rest_api_port': port,
    'model_config_file': config_file,
    'model_config_file_poll_wait_seconds': max(1, round(poll_seconds)),
    'file_system_poll_wait_seconds': max(1, round(poll_seconds)),
    'monitoring_config_file': monitoring,
    'enable_grpc_healthcheck_service': 'true',
    # Labels of a config at the start name versions that are not loaded yet.
    'allow_version_labels_for_unavailable_models': 'true',
  }
  if batching_parameters_file is not None:
    flags |= {'enable_batching': 'true', 'batching_parameters_file': batching_parameters_file}
  if grpc_socket_path:
    flags['grpc_socket_path'] = grpc_socket_path
  return [binary, *(f'--{name}={value}' for name, value in flags.items())]


def become(line: list[str]) -> NoReturn:
  """Replaces this process: signals and the exit code are the binary's."""
  os.execv(line[0], line)


def folder() -> pathlib.Path:
  """Returns a new folder for the files of `command`, which outlive this process."""
  return pathlib.Path(tempfile.mkdtemp(prefix='tensorflow-serving-'))
