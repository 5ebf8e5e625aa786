"""Which models are served: TensorFlow Serving's model config file, in its own text format."""

import os
import pathlib
import secrets

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from schemas.errors import ServingError

PLATFORM = 'tensorflow'
# As FileSystemStoragePathSourceConfig has them; without one it is the newest.
LATEST, ALL, SPECIFIC = 'latest', 'all', 'specific'


def read(path: pathlib.Path | str) -> model_server_config_pb2.ModelServerConfig:
  """Reads a model config file.

  Raises:
    ServingError: it cannot be read, is not in the text format of ModelServerConfig, or
      asks for what cannot be served.
  """
  path = pathlib.Path(path)
  try:
    text = path.read_text(encoding='utf-8')
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
  except (OSError, UnicodeDecodeError) as error:
    raise ServingError(
      f'{path}: expected a model config file. Received: {error}. Write one with '
      "model_config_list { config { name: '...' base_path: '/...' model_platform: 'tensorflow' } }"
    ) from error
  except text_format.ParseError as error:
    raise ServingError(
      f'{path}: expected ModelServerConfig in its text format. Received: {error}.'
    ) from error
  if not text.strip():
    # Whoever overwrites a file empties it first; that is no wish to serve nothing.
    raise ServingError(
      f'{path}: expected ModelServerConfig in its text format. Received: an empty file. To serve '
      'no model, write model_config_list {}'
    )
  try:
    check(config)
  except ServingError as error:
    raise ServingError(f'{path}: {error}') from error
  return config


def write(path: pathlib.Path | str, config: model_server_config_pb2.ModelServerConfig) -> None:
  """Writes a model config file in one step: a server that polls it never sees half of it.

  Raises:
    ServingError: the config could not be served.
    OSError: the file cannot be written.
  """
  check(config)
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  temporary = path.with_name(f'.{path.name}.{secrets.token_hex(4)}')
  try:
    with open(temporary, 'w', encoding='utf-8') as stream:
      stream.write(text_format.MessageToString(config))
      stream.flush()
      os.fsync(stream.fileno())
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)


def single(name: str, base_path: pathlib.Path | str) -> model_server_config_pb2.ModelServerConfig:
  """Returns the config that serves the newest version of one model."""
  config = model_server_config_pb2.ModelServerConfig()
  config.model_config_list.config.add(
    name=name, base_path=str(pathlib.Path(base_path).absolute()), model_platform=PLATFORM
  )
  return config


def check(config: model_server_config_pb2.ModelServerConfig) -> None:
  """Refuses what cannot be served.

  Raises:
    ServingError: another kind of config, a model without a name or twice, a path that is
      not absolute, another platform, or a label for no version.
  """
  if config.WhichOneof('config') == 'custom_model_config':
    raise ServingError('expected model_config_list. Received: custom_model_config.')
  seen: set[str] = set()
  for model in config.model_config_list.config:
    if not model.name:
      raise ServingError('model_config_list: expected a name of each model. Received: none.')
    if model.name in seen:
      raise ServingError(f'Illegal to list model {model.name} multiple times in config list')
    seen.add(model.name)
    _check_model(model)


def _check_model(model: model_server_config_pb2.ModelConfig) -> None:
  if not pathlib.PurePosixPath(model.base_path).is_absolute():
    raise ServingError(
      f'Expected model {model.name} to have an absolute path or URI; '
      f'got base_path()={model.base_path}'
    )
  if model.model_platform != PLATFORM:
    raise ServingError(
      f'model {model.name}: expected model_platform: "{PLATFORM}". '
      f'Received: "{model.model_platform}".'
    )
  policy = model.model_version_policy
  if policy.WhichOneof('policy_choice') == SPECIFIC and not policy.specific.versions:
    raise ServingError(
      f'model {model.name}: expected versions of the policy specific. Received: none.'
    )
  for label, version in model.version_labels.items():
    if not label or version < 0:
      raise ServingError(
        f'model {model.name}: expected a label and the number of a version. '
        f'Received: {label!r}: {version}.'
      )


def wanted(policy, found: set[int]) -> list[int]:
  """Returns which of the versions that are there are to be served, the highest first.

  Args:
    policy: a ServableVersionPolicy: latest { num_versions }, all or specific { versions };
      the newest alone where it says nothing.
    found: numbers of the versions below the base path.
  """
  ordered = sorted(found, reverse=True)
  choice = policy.WhichOneof('policy_choice')
  if choice == ALL:
    return ordered
  if choice == SPECIFIC:
    return [version for version in ordered if version in policy.specific.versions]
  return ordered[: max(policy.latest.num_versions, 1)]
