"""Moves a label from one version to another without a request that fails.

First the server loads the new version beside the old one; only when it says AVAILABLE
does the label move; only when the label is answered by the new version is the old one
let go. A label thus never points to a version that is not loaded. Whatever goes wrong
before the end puts the file back as it was.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.rollout import model_file, servers
from schemas.config import Config
from schemas.errors import ServingError

_LOOK_SECONDS = 0.2

Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Place:
  """What is moved, and who has to follow.

  Attributes:
    config: of the experiment.
    servers: that read the file; none: nobody is asked, the file alone is written.
    seconds: to wait for each step.
    base_path: of the versions as the servers see it; by default as in the file, or the
      folder on this machine.
  """

  config: Config
  servers: Sequence[servers.Server]
  seconds: float = 60.0
  base_path: str | None = None

  @property
  def file(self) -> pathlib.Path:
    return model_file.path(self.config)


def labels(
  place: Place, wanted: Mapping[str, int], weights: Mapping[int, str], say: Say
) -> dict[str, servers.Answer]:
  """Makes the labels those that are wanted, in steps.

  Call it within model_file.alone.

  Args:
    place: file and servers.
    wanted: version by label, all of them.
    weights: hash by version, as far as a server that names another is to be refused.
    say: is told each step.

  Returns:
    Which version answers for each label, by `<label> at <address>`.

  Raises:
    ServingError: a server did not follow; the file is as it was.
  """
  before = model_file.read(place.file)
  entry = model_file.entry(before, place.config)
  if place.base_path:
    entry = dataclasses.replace(entry, base_path=place.base_path)
  new = tuple(sorted(set(wanted.values())))
  if not place.servers:
    _write(place, before, dataclasses.replace(entry, versions=new, labels=dict(wanted)))
    return {}
  existed = place.file.exists()
  loaded = tuple(sorted({*new, *_loaded(place, entry)}))
  try:
    _write(place, before, dataclasses.replace(entry, versions=loaded))
    for version in new:
      _until_available(place, version)
      say(f'version {version} is AVAILABLE')
    _write(place, before, dataclasses.replace(entry, versions=loaded, labels=dict(wanted)))
    found = _until_answered(place, wanted, weights)
    if set(loaded) != set(new):
      _write(place, before, dataclasses.replace(entry, versions=new, labels=dict(wanted)))
    return found
  except BaseException:
    _restore(place, before, existed)
    raise


def _write(place: Place, before: Any, entry: model_file.Entry) -> None:
  tree = model_file.replaced(before, entry)
  model_file.written(place.file, tree)
  for server in place.servers:
    server.tell(tree, place.seconds)


def _restore(place: Place, before: Any, existed: bool) -> None:
  if existed:
    model_file.written(place.file, before)
  else:
    place.file.unlink(missing_ok=True)
    before = model_file.newest_alone(place.config, place.base_path)
  for server in place.servers:
    try:
      server.tell(before, place.seconds)
    except ServingError:
      continue  # What stopped the move is said; this server reads the file when it is back.


def _loaded(place: Place, entry: model_file.Entry) -> set[int]:
  """Returns what must stay loaded: the versions of the file, or those that servers have."""
  if entry.versions is not None:
    return set(entry.versions)
  found: set[int] = set()
  for server in place.servers:
    states = server.states(entry.name)
    found |= {number for number, one in states.items() if one.state == servers.AVAILABLE}
  return found


def _until_available(place: Place, version: int) -> None:
  model = place.config.model_name

  def missing() -> str:
    for server in place.servers:
      found = server.states(model).get(version)
      if found is None or found.state != servers.AVAILABLE:
        words = 'not there' if found is None else f'{found.state} {found.error}'.strip()
        return f'{server.address}: version {version} is {words}'
    return ''

  _wait(place, missing, f'version {version} to become AVAILABLE')


def _until_answered(
  place: Place, wanted: Mapping[str, int], weights: Mapping[int, str]
) -> dict[str, servers.Answer]:
  model = place.config.model_name
  found: dict[str, servers.Answer] = {}

  def missing() -> str:
    for server in place.servers:
      for label, version in wanted.items():
        answer = server.answering(model, label)
        if answer is None or answer.version != version:
          said = 'unknown' if answer is None else f'version {answer.version}'
          return f'{server.address}: the label {label} is {said}'
        _check_weights(server, answer, weights.get(version, ''))
        found[f'{label} at {server.address}'] = answer
    return ''

  _wait(place, missing, 'the labels to move')
  return found


def _check_weights(server: servers.Server, answer: servers.Answer, wanted: str) -> None:
  # TensorFlow Serving names no hash; then that of the folder is all there is.
  if answer.weights_sha256 and wanted and answer.weights_sha256 != wanted:
    raise ServingError(
      f'{server.address}: expected version {answer.version} with the weights {wanted}. Received: '
      f'{answer.weights_sha256}. That server reads another folder; nothing was moved.'
    )


def _wait(place: Place, missing: Callable[[], str], what: str) -> None:
  deadline = time.monotonic() + place.seconds
  while text := missing():
    if time.monotonic() > deadline:
      raise ServingError(
        f'expected {what} within {place.seconds:g} s. Received: {text}. '
        f'{place.file} is as it was. A server that is not told by gRPC has to poll it.'
      )
    time.sleep(_LOOK_SECONDS)
