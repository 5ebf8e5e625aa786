"""What the model config file says of one model: the versions to load, and their labels.

The file is TensorFlow Serving's own (ModelServerConfig as text). It lies in the publish
directory, beside the folders of the models, and may hold further models: their entries
are kept as they are.
"""

import contextlib
import dataclasses
import fcntl
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from schemas.config import Config
from schemas.errors import ServingError
from serving import version_folders

FILE = 'models.config'
_LOCK = '.models.config.lock'


@dataclasses.dataclass(frozen=True)
class Entry:
  """One model of the file.

  Attributes:
    name: under which clients ask.
    base_path: of its versions, as the server sees it.
    versions: that are loaded, ascending; None: whatever the policy latest or all gives.
    labels: version by label.
  """

  name: str
  base_path: str
  versions: tuple[int, ...] | None
  labels: Mapping[str, int]


def path(config: Config) -> pathlib.Path:
  """Returns where the file of an experiment lies."""
  assert config.publish.directory is not None  # the loader fills it in
  return config.publish.directory / FILE


def folder(config: Config) -> pathlib.Path:
  """Returns the folder of the versions, as this machine sees it."""
  return path(config).parent / config.model_name


def read(file: pathlib.Path) -> Any:
  """Returns the ModelServerConfig of a file; an empty one where there is no file.

  Raises:
    ServingError: the file is none.
  """
  from tensorflow_serving.config import model_server_config_pb2

  from serving import model_config

  return model_config.read(file) if file.exists() else model_server_config_pb2.ModelServerConfig()


def entry(tree: Any, config: Config) -> Entry:
  """Returns what a ModelServerConfig says of the model; of one that is not in it, the default."""
  for model in tree.model_config_list.config:
    if model.name == config.model_name:
      specific = model.model_version_policy.WhichOneof('policy_choice') == 'specific'
      versions = sorted(model.model_version_policy.specific.versions)
      return Entry(
        model.name,
        model.base_path,
        tuple(versions) if specific else None,
        dict(model.version_labels),
      )
  return Entry(config.model_name, str(folder(config).resolve()), None, {})


def newest_alone(config: Config, base_path: str | None) -> Any:
  """Returns the ModelServerConfig of a server that has the model alone, its newest version."""
  from serving import model_config

  return model_config.single(config.model_name, base_path or str(folder(config).resolve()))


def replaced(tree: Any, new: Entry) -> Any:
  """Returns a copy of a ModelServerConfig with another entry for one model.

  Args:
    tree: stays as it is.
    new: its versions are named one by one.
  """
  made = type(tree)()
  made.CopyFrom(tree)
  models = made.model_config_list.config
  model = next((one for one in models if one.name == new.name), None)
  if model is None:
    model = models.add(name=new.name, model_platform='tensorflow')
  model.base_path = new.base_path
  model.ClearField('model_version_policy')
  model.model_version_policy.specific.versions.extend(new.versions or ())
  model.ClearField('version_labels')
  for label, version in new.labels.items():
    model.version_labels[label] = version
  return made


def written(file: pathlib.Path, tree: Any) -> None:
  """Writes the file: the old one or the new one is there at any moment.

  Raises:
    ServingError: it cannot be written.
  """
  from serving import model_config

  try:
    model_config.write(file, tree)
  except OSError as error:
    raise ServingError(
      f'{file}: expected a file that can be written. Received: {error}.'
    ) from error


@contextlib.contextmanager
def alone(file: pathlib.Path) -> Iterator[None]:
  """Keeps other commands from moving a label in the same file meanwhile.

  Raises:
    ServingError: one is at it, or the folder cannot be written.
  """
  try:
    lock = open(file.parent / _LOCK, 'w', encoding='utf-8')
  except OSError as error:
    raise ServingError(
      f'{file.parent}: expected the publish directory, writable. Received: {error}. '
      'Publish a model first: sightline run CONFIG'
    ) from error
  with lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise ServingError(
        f'{file}: expected to be alone. Received: another deploy command is at work. '
        'Try again when it has ended.'
      ) from error
    yield


def version_of(config: Config, text: str) -> tuple[int, pathlib.Path]:
  """Returns a published version by its number.

  Raises:
    ServingError: the folder holds no such version.
  """
  known = version_folders.complete_versions(folder(config))
  if not text.isascii() or not text.isdigit() or int(text) not in known:
    raise ServingError(
      f'{folder(config)}: expected one of the versions {", ".join(map(str, sorted(known)))}. '
      f'Received: {text}.'
      if known
      else f'{folder(config)}: expected a published version. Received: none. '
      'Publish one with: sightline run CONFIG'
    )
  return int(text), known[int(text)]
