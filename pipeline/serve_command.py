"""`sightline serve` and `sightline predict`: the embedded server and its client."""

import contextlib
import dataclasses
import importlib.util
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import library_output
from schemas.errors import ConfigError, ExportError
from schemas.loader import load_config

if TYPE_CHECKING:
  from serving.servable import Servable

TENSORFLOW, OPENVINO = 'tensorflow', 'openvino'


@dataclasses.dataclass(frozen=True)
class Models:
  """What is to be served: exactly one of the first three.

  Attributes:
    config_path: of an experiment, whose published model it is.
    directory: with one folder a version.
    model_config_file: of TensorFlow Serving.
    name: of the model, with a directory.
    overrides: of the experiment.
  """

  config_path: pathlib.Path | None = None
  directory: pathlib.Path | None = None
  model_config_file: pathlib.Path | None = None
  name: str | None = None
  overrides: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Listening:
  """Where clients are answered.

  Attributes:
    host: address.
    port: of REST; 0 for a free one.
    grpc_port: of gRPC; 0 for a free one.
    grpc_socket_path: of a Unix socket for gRPC; '' for none.
    tls: key, certificate and, where clients must bring one, who vouches for theirs.
  """

  host: str
  port: int
  grpc_port: int
  grpc_socket_path: str = ''
  tls: tuple[pathlib.Path, pathlib.Path, pathlib.Path | None] | None = None


def tls_files(
  key: pathlib.Path | None, certificate: pathlib.Path | None, client_ca: pathlib.Path | None
) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path | None] | None:
  """Returns the files of TLS, or None where nothing was given.

  Raises:
    ConfigError: a key without a certificate, or the other way round.
  """
  if key is None and certificate is None and client_ca is None:
    return None
  if key is None or certificate is None:
    raise ConfigError(
      'serve: expected --ssl-key and --ssl-certificate together. Received: '
      f'{"no key" if key is None else "no certificate"}.'
    )
  return key, certificate, client_ca


def serve(
  models: Models,
  listening: Listening,
  poll_seconds: float,
  drain_seconds: float,
  batching: bool,
  batching_parameters_file: pathlib.Path | None = None,
  fallback_previous: bool = False,
  fallback_label: str = '',
  backend: str = TENSORFLOW,
) -> None:
  """Serves until it is told to stop.

  Raises:
    ConfigError: not exactly one of config, directory and model config file is given, or
      there is no such backend.
    ExportError: the package of the backend is not installed.
    ServingError: there is no version to serve, or a port is taken.
  """
  _check_one(models)
  _check_backend(backend)
  if batching_parameters_file is not None and not batching:
    raise ConfigError('serve: expected --batching with --batching-parameters-file.')
  console = Console(file=library_output.terminal(), highlight=False, soft_wrap=True)
  source = models.model_config_file or _directory(models)
  console.print(f'loading the newest version in {source} ...')

  loading = contextlib.ExitStack()

  def ready(running) -> None:
    # From here on, what the server prints is meant for whoever started it.
    loading.close()
    for name in running.models.names:
      console.print(f'serving {name} at {running.url}/v1/models/{name}')
    console.print(f'gRPC at {running.settings.host}:{running.grpc_port}; Ctrl-C stops it')

  with loading:
    loading.enter_context(library_output.held_back())
    # TensorFlow is loaded here, seconds after the arguments were checked.
    from serving import batching_parameters, model_config, server
    from serving.fallback import Fallback
    from serving.tls import Tls

    if models.model_config_file is not None:
      config = model_config.read(models.model_config_file)
    else:
      directory = _directory(models)
      config = model_config.single(models.name or directory.resolve().name, directory)
      if fallback_previous:
        policy = config.model_config_list.config[0].model_version_policy
        policy.latest.num_versions = 2
    parameters = None
    if batching_parameters_file is not None:
      parameters = batching_parameters.read(batching_parameters_file)
    elif batching:
      parameters = batching_parameters.BatchingParameters()
    settings = server.Settings(
      listening.host,
      listening.port,
      listening.grpc_port,
      listening.grpc_socket_path,
      poll_seconds=poll_seconds,
      model_config_file=models.model_config_file,
      batching=parameters,
      tls=Tls(*listening.tls) if listening.tls else None,
      fallback=Fallback(fallback_previous, fallback_label),
      load=_loader(backend),
    )
    server.serve(config, settings, drain_seconds, ready)


def _check_backend(backend: str) -> None:
  if backend not in (TENSORFLOW, OPENVINO):
    raise ConfigError(f'--backend: expected {TENSORFLOW} or {OPENVINO}. Received: {backend}.')
  if backend == OPENVINO and importlib.util.find_spec(OPENVINO) is None:
    raise ExportError(
      '--backend openvino: expected the package openvino. Received: none. Install it: pip install '
      "'sightline[fast]'"
    )


def _loader(backend: str) -> 'Callable[[pathlib.Path], Servable]':
  """Returns what makes a servable of a version's folder; TensorFlow is loaded here."""
  if backend == OPENVINO:
    from serving.openvino_servable import OpenVinoServable

    return OpenVinoServable
  from serving.servable import Servable

  return Servable


def _check_one(models: Models) -> None:
  given = [
    name
    for name, value in (
      ('CONFIG', models.config_path),
      ('--directory', models.directory),
      ('--model-config-file', models.model_config_file),
    )
    if value is not None
  ]
  if len(given) != 1:
    raise ConfigError(
      'serve: expected exactly one of CONFIG, --directory and --model-config-file. Received: '
      f'{" and ".join(given) or "none"}.'
    )


def _directory(models: Models) -> pathlib.Path:
  if models.directory is not None:
    return models.directory
  assert models.config_path is not None
  config = load_config(models.config_path, models.overrides)
  assert config.publish.directory is not None  # the loader fills it in
  return config.publish.directory / config.model_name


def predict(files: Sequence[pathlib.Path], url: str, model_name: str) -> None:
  """Prints what a server answers about each file."""
  from serving import client

  table = Table(box=None, padding=(0, 1), pad_edge=False)
  table.add_column('file', overflow='fold')
  for heading in ('label', 'probability', 'version', 'note'):
    table.add_column(heading, no_wrap=True)
  for answer in client.predict(files, url, model_name):
    table.add_row(
      escape(str(answer.path)),
      escape(answer.label),
      f'{answer.probability:.4f}',
      answer.model_version,
      _note(answer.low_confidence, answer.foreign),
    )
  Console().print(table)


def _note(low_confidence: bool | None, foreign: bool | None) -> str:
  """Says why a person should look; an export of earlier days says neither."""
  said = {'low confidence': low_confidence, 'unlike the images of train': foreign}
  return ', '.join(note for note, holds in said.items() if holds)
