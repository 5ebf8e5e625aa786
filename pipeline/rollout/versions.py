"""What is known of each published version: its labels, its state, and where it comes from."""

import dataclasses
import datetime
import pathlib
from collections.abc import Mapping, Sequence

from pipeline import lineage
from pipeline.rollout import model_file, servers
from schemas.config import Config
from schemas.errors import ExportError, ServingError
from schemas.weights_hash import weights_sha256
from serving import version_folders


@dataclasses.dataclass(frozen=True)
class Version:
  """One version in the serving folder.

  Attributes:
    number: of the version.
    labels: that point to it, by the model config file.
    states: what each server says, by its address.
    weights_sha256: of the files as they are; '' where they cannot be read.
    run_id: that published it; '' where the record does not know.
    accuracy: on test, in words; '' where the record does not know.
    published: UTC; None where the record does not know.
  """

  number: int
  labels: tuple[str, ...]
  states: Mapping[str, servers.State]
  weights_sha256: str
  run_id: str
  accuracy: str
  published: datetime.datetime | None


def overview(config: Config, asked: Sequence[servers.Server]) -> list[Version]:
  """Returns the versions in the serving folder, newest first.

  Raises:
    ServingError: a server is not there.
    RunError: the record cannot be read; one that is missing is none.
  """
  labels = model_file.entry(model_file.read(model_file.path(config)), config).labels
  states = {server.address: server.states(config.model_name) for server in asked}
  record = _record(config)
  found = []
  folders = version_folders.complete_versions(model_file.folder(config))
  for number in sorted(folders, reverse=True):
    known = _facts(record, str(number))
    found.append(
      Version(
        number,
        tuple(sorted(label for label, version in labels.items() if version == number)),
        {where: of[number] for where, of in states.items() if number in of},
        _hash(folders[number]),
        *known,
      )
    )
  return found


def checked(config: Config, text: str) -> tuple[int, str]:
  """Returns number and weights' hash of a version that holds what was published.

  Raises:
    ServingError: there is no such version, or its weights are other ones than its export,
      or the record, says.
  """
  number, path = model_file.version_of(config, text)
  digest = _hash(path)
  record = _record(config)
  said = record.published_weights(text) if record else ''
  if not digest or (said and said != digest):
    raise ServingError(
      f'{path}: expected the weights that were published, {said or "any"}. Received: '
      f'{digest or "none that can be read"}. Publish the model again: sightline run CONFIG'
    )
  return number, digest


def _facts(
  record: lineage.Record | None, version: str
) -> tuple[str, str, datetime.datetime | None]:
  if record is None or not record.published(version):
    return '', '', None
  run_id = record.run_id(version)
  found = lineage.figures(record.summary(run_id))
  return run_id, found.get('accuracy on test', ''), record.published_at(version)


def _record(config: Config) -> lineage.Record | None:
  root = lineage.run_root(config)
  if not (root / lineage.DATABASE).exists():
    return None
  return lineage.Record(root)


def _hash(path: pathlib.Path) -> str:
  try:
    return weights_sha256(path)
  except (ExportError, OSError):
    return ''
