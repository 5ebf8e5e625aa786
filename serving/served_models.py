"""Every model in service, by name, version and label."""

import contextlib
import dataclasses
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping

from tensorflow_serving.config import model_server_config_pb2

from schemas.errors import ServingError
from serving import model_config, warm_up
from serving.servable import Servable
from serving.status_error import FAILED_PRECONDITION, INVALID_ARGUMENT, NOT_FOUND, StatusError
from serving.versions import VersionNotFoundError, Versions, VersionStatus


@dataclasses.dataclass(frozen=True)
class Spec:
  """Which model a request asks for.

  Attributes:
    name: of the model.
    version: the number that it insists on.
    label: of the version, instead of a number. With neither it is the highest version.
  """

  name: str
  version: int | None = None
  label: str | None = None

  def __str__(self) -> str:
    if self.version is None:
      return f'Latest({self.name})'
    return f'Specific({self.name}, {self.version})'


@dataclasses.dataclass(frozen=True)
class Lent:
  """A version that is in use, and not unloaded as long as it is.

  Attributes:
    name: of the model.
    version: its number.
    servable: it, loaded.
  """

  name: str
  version: int
  servable: Servable


class ServedModels:
  """The models of a model config, loaded and kept up to date.

  Nothing is loaded before the first `poll` or `reload`.
  """

  def __init__(
    self,
    config: model_server_config_pb2.ModelServerConfig,
    load: Callable[[pathlib.Path], Servable] = Servable,
    prepare: Callable[[Servable], None] = warm_up.warm_up,
  ):
    """Takes the config.

    Args:
      config: see model_config.read.
      load: makes a Servable of a version's folder.
      prepare: makes its first request fast; a failure keeps the version out.

    Raises:
      ServingError: the config cannot be served.
    """
    model_config.check(config)
    self._load, self._prepare = load, prepare
    self._changing = threading.Lock()
    self._models: dict[str, Versions] = {}
    self._config = model_server_config_pb2.ModelServerConfig()
    self._config.CopyFrom(config)
    self._models = self._planned()

  def _planned(self) -> dict[str, Versions]:
    """Returns the models of the config: those of today where name and path are the same."""
    planned = {}
    for wanted in self._config.model_config_list.config:
      kept = self._models.get(wanted.name)
      if kept is None or kept.base_path != pathlib.Path(wanted.base_path):
        kept = Versions(wanted.base_path, self._load, self._prepare)
      planned[wanted.name] = kept
    return planned

  def poll(self) -> None:
    """Looks at the folders of every model once, and puts in service what is new.

    Raises:
      ServingError: files of a model cannot be read; the others were looked at.
    """
    with self._changing:
      failed = self._poll(self._models)
      for _, versions, labels in self._labels_of_config():
        if versions.labels() != labels:
          # A label waits for its version.
          with contextlib.suppress(VersionNotFoundError):
            versions.set_labels(labels)
      if failed:
        raise failed[0]

  def _poll(self, models: Mapping[str, Versions]) -> list[ServingError]:
    failed: list[ServingError] = []
    for wanted in self._config.model_config_list.config:
      versions = models[wanted.name]
      versions.policy = wanted.model_version_policy
      try:
        versions.poll()
      except ServingError as error:
        failed.append(error)
    return failed

  def reload(self, config: model_server_config_pb2.ModelServerConfig) -> None:
    """Puts another config in the place of the one before, and loads what it asks for.

    A model that it does not name goes out of service after its last request.

    Raises:
      StatusError: INVALID_ARGUMENT: the config cannot be served, the one before stays.
        FAILED_PRECONDITION: no version of a model could be loaded, or a label names a
        version that is not in service; the rest of the config holds.
    """
    try:
      model_config.check(config)
    except ServingError as error:
      raise StatusError(INVALID_ARGUMENT, str(error)) from error
    with self._changing:
      self._config.CopyFrom(config)
      before, planned = self._models, self._planned()
      # Loaded before requests are led there, and before what it replaces goes.
      self._poll(planned)
      self._models = planned
      for name, versions in before.items():
        if planned.get(name) is not versions:
          versions.close()
      for name in planned:
        if not planned[name].ready:
          raise StatusError(FAILED_PRECONDITION, self.why_not_ready(name))
      for _, versions, labels in self._labels_of_config():
        try:
          versions.set_labels(labels)
        except VersionNotFoundError as error:
          raise StatusError(FAILED_PRECONDITION, str(error)) from error

  def _labels_of_config(self) -> Iterator[tuple[str, Versions, dict[str, int]]]:
    for wanted in self._config.model_config_list.config:
      yield wanted.name, self._models[wanted.name], dict(wanted.version_labels)

  @contextlib.contextmanager
  def use(self, spec: Spec) -> Iterator[Lent]:
    """Lends the version that a request asks for.

    Raises:
      StatusError: NOT_FOUND: no such model or version is in service. INVALID_ARGUMENT:
        no such label.
    """
    versions = self._models.get(spec.name)
    if versions is None and spec.label is not None:
      raise StatusError(INVALID_ARGUMENT, f'Unrecognized servable version label: {spec.label}')
    if versions is None:
      raise StatusError(NOT_FOUND, f'Servable not found for request: {spec}')
    spec = self._with_version(spec, versions)
    with contextlib.ExitStack() as using:
      try:
        version, servable = using.enter_context(versions.use(spec.version))
      except VersionNotFoundError as error:
        raise StatusError(NOT_FOUND, f'Servable not found for request: {spec}') from error
      yield Lent(spec.name, version, servable)

  def _with_version(self, spec: Spec, versions: Versions) -> Spec:
    if spec.label is None:
      return spec
    labels = versions.labels()
    if spec.label not in labels:
      raise StatusError(INVALID_ARGUMENT, f'Unrecognized servable version label: {spec.label}')
    return Spec(spec.name, labels[spec.label])

  def status(self, spec: Spec) -> list[VersionStatus]:
    """Returns what is known of the versions that are asked for, the newest first.

    Raises:
      StatusError: NOT_FOUND: no such model or version was seen. INVALID_ARGUMENT: no such
        label.
    """
    versions = self._models.get(spec.name)
    if versions is not None:
      wanted = self._with_version(spec, versions).version
      found = [row for row in versions.status() if wanted in (None, row.version)]
      if found:
        return found
    which = 'any versions' if spec.version is None else f'version {spec.version}'
    raise StatusError(NOT_FOUND, f'Could not find {which} of model {spec.name}')

  @property
  def closed(self) -> int:
    """How many versions of today's models were closed after their last request."""
    return sum(versions.closed for versions in self._models.values())

  def lower(self, name: str, version: int) -> int | None:
    """Returns the next lower version in service, if there is one."""
    versions = self._models.get(name)
    below = [v for v in versions.in_service() if v < version] if versions else []
    return max(below, default=None)

  @property
  def names(self) -> list[str]:
    """The models of the config."""
    return list(self._models)

  @property
  def ready(self) -> bool:
    """Whether a version of every model is in service."""
    return bool(self._models) and all(versions.ready for versions in self._models.values())

  def ready_of(self, name: str) -> bool:
    """Whether a version of that model is in service."""
    return self._models[name].ready

  def why_not_ready(self, name: str) -> str:
    """Returns a sentence on why no version of a model is in service."""
    versions = self._models[name]
    failed = versions.status()
    if failed:
      return (
        f'{versions.base_path}/{failed[0].version}: expected a version that can be '
        f'served. Received: {failed[0].error_message}'
      )
    return (
      f'{versions.base_path}: expected a folder such as 1 with saved_model.pb. '
      'Received: none. Publish a model with: sightline run CONFIG'
    )

  def close(self) -> None:
    """Takes every model out of service; each is closed after its last request."""
    for versions in self._models.values():
      versions.close()
