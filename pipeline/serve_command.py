"""`sightline serve`: the embedded server."""

import contextlib
import dataclasses
import importlib.util
import pathlib
import shlex
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console

from pipeline import library_output
from schemas.config import RequestLogConfig
from schemas.errors import ConfigError, ExportError
from schemas.loader import load_config

if TYPE_CHECKING:
  from serving.servable import Servable

  Load = Callable[[pathlib.Path], Servable]

TENSORFLOW, OPENVINO, BINARY = 'tensorflow', 'openvino', 'tensorflow_model_server'
BACKENDS = (TENSORFLOW, OPENVINO, BINARY)


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
  log_folder: pathlib.Path | None = None,
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
    raise ConfigError(
      'serve: expected --batching-parameters-file without --no-batching. Received: both.'
    )
  console = library_output.console()
  directory, config_file = _sources(models)
  if backend == BINARY:
    _check_plain(listening, drain_seconds, fallback_previous or fallback_label, log_folder)
    config = _model_config(directory, config_file, models.name, False)
    _become_binary(config, listening, config_file, poll_seconds, batching_parameters_file, console)
  by_file = config_file is not None and (directory is None or config_file.exists())
  console.print(
    f'loading what {config_file} names ...'
    if by_file
    else f'loading the newest version in {directory} ...'
  )

  loading = contextlib.ExitStack()

  def ready(running) -> None:
    # From here on, what the server prints is meant for whoever started it.
    loading.close()
    for name in running.models.names:
      console.print(
        f'serving {name} at {running.url}/v1/models/{urllib.parse.quote(name, safe="")}'
      )
    console.print(f'gRPC at {running.settings.host}:{running.grpc_port}; Ctrl-C stops it')

  with contextlib.ExitStack() as until_stopped, loading:
    loading.enter_context(library_output.held_back())
    # TensorFlow is loaded here, seconds after the arguments were checked.
    from serving import batching_parameters, server
    from serving.fallback import Fallback
    from serving.tls import Tls

    config = _model_config(directory, config_file, models.name, fallback_previous)
    parameters = None
    if batching_parameters_file is not None:
      parameters = batching_parameters.read(batching_parameters_file)
    elif batching:
      parameters = batching_parameters.BatchingParameters()
    load, load_meanwhile = _loaders(backend)
    settings = server.Settings(
      listening.host,
      listening.port,
      listening.grpc_port,
      listening.grpc_socket_path,
      poll_seconds=poll_seconds,
      model_config_file=config_file,
      batching=parameters,
      tls=Tls(*listening.tls) if listening.tls else None,
      fallback=Fallback(fallback_previous, fallback_label),
      log=until_stopped.enter_context(_request_log(models, log_folder)),
      load=load,
      load_meanwhile=load_meanwhile,
    )
    server.serve(config, settings, drain_seconds, ready)


@contextlib.contextmanager
def _request_log(models: Models, folder: pathlib.Path | None) -> Iterator[Any]:
  """Opens the request log that the experiment or the command line asks for, if one does."""
  from serving import request_log

  settings = RequestLogConfig(rate=1.0 if folder else 0.0)
  if models.config_path is not None:
    found = load_config(models.config_path, models.overrides).serve.request_log
    settings = found if found.rate else settings
  if not settings.rate:
    yield None
    return
  with contextlib.closing(request_log.opened(settings, folder)) as log:
    yield log


def _check_backend(backend: str) -> None:
  if backend not in BACKENDS:
    raise ConfigError(f'--backend: expected {", ".join(BACKENDS)}. Received: {backend}.')
  if backend == OPENVINO and importlib.util.find_spec(OPENVINO) is None:
    raise ExportError(
      '--backend openvino: expected the package openvino. Received: none. Install it: pip install '
      "'sightline[fast]'"
    )


def _check_plain(listening: Listening, drain_seconds: float, *others: object) -> None:
  """Refuses what TensorFlow Serving's binary does not do."""
  if listening.host != '0.0.0.0':
    raise ConfigError(
      f'--backend {BINARY}: it listens on every address. Say so with --host 0.0.0.0. '
      f'Received: {listening.host}.'
    )
  if listening.tls or drain_seconds or any(others):
    raise ConfigError(
      f'--backend {BINARY}: expected no --ssl-..., --drain-seconds, --fallback-... and '
      '--request-log: the binary has none of them. Its own flags are in its --help.'
    )


def _become_binary(
  config: Any,
  listening: Listening,
  config_file: pathlib.Path | None,
  poll_seconds: float,
  batching_parameters_file: pathlib.Path | None,
  console: Console,
) -> NoReturn:
  from serving import tensorflow_model_server

  line = tensorflow_model_server.command(
    config,
    tensorflow_model_server.folder(),
    listening.port,
    listening.grpc_port,
    config_file,
    poll_seconds,
    batching_parameters_file,
    listening.grpc_socket_path,
  )
  console.print(shlex.join(line))
  tensorflow_model_server.become(line)


def _loaders(backend: str) -> 'tuple[Load, Load | None]':
  """Returns `load` and `load_meanwhile` of the server's settings."""
  if backend == OPENVINO:
    from serving.openvino_servable import OpenVinoServable

    return OpenVinoServable, None
  from serving import frozen_servable

  return frozen_servable.FrozenServable, frozen_servable.load_aside


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
  if models.name is not None and models.model_config_file is not None:
    raise ConfigError(
      'serve: expected no --name with --model-config-file, which names its models itself. '
      f'Received: {models.name}.'
    )


def _sources(models: Models) -> tuple[pathlib.Path | None, pathlib.Path | None]:
  """Returns the folder of the versions, and the model config file, as far as there are any.

  That of an experiment lies beside its versions once a label was set; it is looked for
  again and again, so that a first label needs no restart.
  """
  if models.config_path is None:
    return models.directory, models.model_config_file
  from pipeline.rollout import model_file

  config = load_config(models.config_path, models.overrides)
  return model_file.folder(config), model_file.path(config)


def _model_config(
  directory: pathlib.Path | None,
  config_file: pathlib.Path | None,
  name: str | None,
  previous: bool,
) -> Any:
  """Returns what is served: what the file says of the model, or its newest version.

  Args:
    directory: of the versions; None: all that the file names is served.
    config_file: see _sources.
    name: instead of that of the folder.
    previous: whether the version before the newest is kept too; a file says that itself.
  """
  from serving import model_config

  if directory is None:
    assert config_file is not None  # one of both is given
    return model_config.read(config_file)
  name = name or directory.resolve().name
  if config_file is not None and config_file.exists():
    config = model_config.read(config_file)
    if any(model.name == name for model in config.model_config_list.config):
      return config
  config = model_config.single(name, directory)
  if previous:
    config.model_config_list.config[0].model_version_policy.latest.num_versions = 2
  return config
