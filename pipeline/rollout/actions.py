"""Promote, roll back, and set or take away the canary: each is checked, moved and recorded."""

import dataclasses
from collections.abc import Mapping

from pipeline import lineage
from pipeline.rollout import deployments, model_file, move, servers, versions
from schemas.errors import ServingError
from serving.label_choice import CANARY, STABLE


@dataclasses.dataclass(frozen=True)
class Person:
  """Who moves a label, and why; an empty name is found out."""

  who: str = ''
  why: str = ''


@dataclasses.dataclass(frozen=True)
class Moved:
  """What came of a move.

  Attributes:
    label: that moved.
    version: that it points to; '' where the label is gone.
    from_version: that it pointed to; '' where there was none.
    weights_sha256: of the version.
    answers: by label and server, which version answers there.
  """

  label: str
  version: str
  from_version: str
  weights_sha256: str
  answers: Mapping[str, servers.Answer]


def promote(place: move.Place, version: str, person: Person, say: move.Say) -> Moved:
  """Makes a version the stable one; where it was the canary, that label goes.

  Raises:
    ServingError: there is no such version, it does not hold what was published, it is
      stable already, or a server did not follow.
    RunError: there is no record to write to.
  """
  with model_file.alone(place.file):
    number, digest = versions.checked(place.config, version)
    labels = _labels(place)
    recorded = _stack(place)[-1:]
    # What another hand, or a command that was killed, has moved is taken into the record.
    if labels.get(STABLE) == number and recorded and recorded[0].version == str(number):
      raise ServingError(f'{place.file}: version {number} is stable already. Nothing was moved.')
    wanted = {STABLE: number}
    if labels.get(CANARY, number) != number:
      wanted[CANARY] = labels[CANARY]
    return _move(place, deployments.PROMOTE, STABLE, wanted, digest, person, say)


def rollback(place: move.Place, person: Person, say: move.Say) -> Moved:
  """Makes the version stable that was it before, by the record.

  Raises:
    ServingError: the record knows none, its folder is gone or holds other weights than
      when it was stable, or a server did not follow.
    RunError: there is no record.
  """
  with model_file.alone(place.file):
    labels = _labels(place)
    before = deployments.previous(_stack(place), str(labels.get(STABLE, '')))
    number, digest = versions.checked(place.config, before.version)
    if digest != before.weights_sha256:
      raise ServingError(
        f'{model_file.folder(place.config)}/{number}: expected the weights that were stable, '
        f'{before.weights_sha256}. Received: {digest}. Name another version: '
        'sightline deploy promote CONFIG VERSION'
      )
    wanted = {**labels, STABLE: number}
    if labels.get(CANARY) == number:
      del wanted[CANARY]
    return _move(place, deployments.ROLLBACK, STABLE, wanted, digest, person, say)


def canary(place: move.Place, version: str, person: Person, say: move.Say) -> Moved:
  """Puts the label canary on a version, beside the stable one.

  Raises:
    ServingError: there is no such version, none is stable, it is the stable one, or a
      server did not follow.
    RunError: there is no record to write to.
  """
  with model_file.alone(place.file):
    number, digest = versions.checked(place.config, version)
    labels = _labels(place)
    if STABLE not in labels:
      raise ServingError(
        f'{place.file}: expected a stable version beside the canary. Received: none. '
        'Name it first: sightline deploy promote CONFIG VERSION'
      )
    if number in labels.values():
      held = ', '.join(sorted(name for name, one in labels.items() if one == number))
      raise ServingError(f'{place.file}: version {number} is {held} already. Nothing was moved.')
    wanted = {**labels, CANARY: number}
    return _move(place, deployments.LABEL_CANARY, CANARY, wanted, digest, person, say)


def remove_canary(place: move.Place, person: Person, say: move.Say) -> Moved:
  """Takes the label canary away; its version is let go.

  Raises:
    ServingError: there is no canary, or a server did not follow.
    RunError: there is no record to write to.
  """
  with model_file.alone(place.file):
    labels = _labels(place)
    if CANARY not in labels:
      raise ServingError(f'{place.file}: expected a canary to take away. Received: none.')
    wanted = {name: version for name, version in labels.items() if name != CANARY}
    return _move(place, deployments.REMOVE_CANARY, CANARY, wanted, '', person, say)


def _stack(place: move.Place) -> list[deployments.Deployment]:
  history = deployments.history(lineage.run_root(place.config), place.config.model_name)
  return deployments.stable_versions(history)


def _labels(place: move.Place) -> dict[str, int]:
  return dict(model_file.entry(model_file.read(place.file), place.config).labels)


def _move(
  place: move.Place,
  action: str,
  label: str,
  wanted: Mapping[str, int],
  digest: str,
  person: Person,
  say: move.Say,
) -> Moved:
  version, before = (str(labels.get(label, '')) for labels in (wanted, _labels(place)))
  plan = deployments.planned(
    action,
    label,
    version,
    before,
    digest,
    person.who,
    person.why,
    [server.address for server in place.servers],
  )
  root = lineage.run_root(place.config)
  with deployments.recorded(root, place.config.model_name, plan):
    weights = {int(version): digest} if version else {}
    answers = move.labels(place, wanted, weights, say)
  return Moved(label, version, before, digest, answers)
