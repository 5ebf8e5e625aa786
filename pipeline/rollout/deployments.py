"""Who made which version stable, when and why: the record of moves in the metadata store.

A move is an execution of the type `sightline.Deployment` in a context of the same type
that has the model's name; the PushedModel of the version is its input. It belongs to no
run, so the list of runs and TFX's resolvers do not see it. It is RUNNING while labels
move, and COMPLETE or FAILED afterwards.
"""

import contextlib
import dataclasses
import datetime
import getpass
import os
import pathlib
import platform
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline import lineage
from schemas.errors import RunError, ServingError
from serving.label_choice import STABLE

PROMOTE, ROLLBACK, LABEL_CANARY, REMOVE_CANARY = 'promote', 'rollback', 'canary', 'remove canary'
_TYPE = 'sightline.Deployment'
_PUSHED = 'PushedModel'


@dataclasses.dataclass(frozen=True)
class Deployment:
  """One move of a label.

  Attributes:
    action: promote, rollback, canary or remove canary.
    label: that moved.
    version: that it points to now; '' where the label is gone.
    from_version: that it pointed to before; '' where there was none.
    weights_sha256: of the version.
    who: user and machine, or the name that was given.
    why: a sentence; '' where nobody said.
    when: UTC, ISO 8601.
    servers: addresses that were asked whether it took place; '' where none was.
    state: COMPLETE, FAILED, or RUNNING of a command that was killed.
  """

  action: str
  label: str
  version: str
  from_version: str
  weights_sha256: str
  who: str
  why: str
  when: str
  servers: str
  state: str = 'RUNNING'


def planned(
  action: str,
  label: str,
  version: str,
  from_version: str,
  weights_sha256: str,
  who: str,
  why: str,
  servers: Sequence[str],
) -> Deployment:
  """Returns a move that begins now; `who` is found out where it is empty."""
  now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
  return Deployment(
    action,
    label,
    version,
    from_version,
    weights_sha256,
    who or _user(),
    ' '.join(why.split()),
    now,
    ' '.join(servers),
  )


@contextlib.contextmanager
def recorded(root: pathlib.Path, model: str, deployment: Deployment) -> Iterator[None]:
  """Writes a move into the record: before it begins, and how it ended.

  Args:
    root: run root with metadata.sqlite.
    model: its name.
    deployment: what is about to be done within the context.

  Raises:
    RunError: there is no record, or it cannot be written; nothing was moved.
  """
  from ml_metadata.proto import metadata_store_pb2 as mlmd

  with _store(root, write=True) as store:
    kind = store.put_execution_type(mlmd.ExecutionType(name=_TYPE))
    execution = mlmd.Execution(type_id=kind, last_known_state=mlmd.Execution.RUNNING)
    for name, value in dataclasses.asdict(deployment).items():
      if name != 'state':
        execution.custom_properties[name].string_value = value
    context = _context(store, model)
    events = [
      (mlmd.Artifact(id=key), _input(mlmd)) for key in _pushed(store, deployment.version)[-1:]
    ]
    # One transaction: the event needs the artifact as it is.
    artifacts = store.get_artifacts_by_id([one.id for one, _ in events])
    pairs = [(artifact, event) for artifact, (_, event) in zip(artifacts, events, strict=True)]
    execution_id, _, _ = store.put_execution(execution, pairs, [context])
  state = mlmd.Execution.FAILED
  try:
    yield
    state = mlmd.Execution.COMPLETE
  finally:
    with _store(root, write=True) as store:
      (execution,) = store.get_executions_by_id([execution_id])
      execution.last_known_state = state
      store.put_executions([execution])


def history(root: pathlib.Path, model: str) -> list[Deployment]:
  """Returns the moves of a model's labels, oldest first.

  Raises:
    RunError: there is no record.
  """
  from ml_metadata.proto import metadata_store_pb2 as mlmd

  with _store(root, write=False) as store:
    # A store that no command has written to knows no such type.
    if not any(kind.name == _TYPE for kind in store.get_context_types()):
      return []
    context = store.get_context_by_type_and_name(_TYPE, model)
    found = store.get_executions_by_context(context.id) if context else []
  return [
    Deployment(
      **{
        field.name: one.custom_properties[field.name].string_value
        for field in dataclasses.fields(Deployment)
        if field.name != 'state'
      },
      state=mlmd.Execution.State.Name(one.last_known_state),
    )
    for one in sorted(found, key=lambda one: one.id)
  ]


def stable_versions(moves: Sequence[Deployment]) -> list[Deployment]:
  """Returns the moves that made the stable versions, as they would be gone back through.

  The last is that of the version that is stable now. A rollback takes away what it went
  back over, so that another one goes further back.
  """
  stack: list[Deployment] = []
  for move in moves:
    if move.label != STABLE or move.state != 'COMPLETE':
      continue
    if move.action == ROLLBACK and any(one.version == move.version for one in stack):
      while stack[-1].version != move.version:
        stack.pop()
    elif not stack or stack[-1].version != move.version:
      stack.append(move)
  return stack


def _input(mlmd: Any) -> Any:
  event = mlmd.Event(type=mlmd.Event.INPUT)
  event.path.steps.add(key='pushed_model')
  event.path.steps.add(index=0)
  return event


def _context(store: Any, model: str) -> Any:
  from ml_metadata.proto import metadata_store_pb2 as mlmd

  kind = store.put_context_type(mlmd.ContextType(name=_TYPE))
  known = store.get_context_by_type_and_name(_TYPE, model)
  return known or mlmd.Context(type_id=kind, name=model)


def _pushed(store: Any, version: str) -> list[int]:
  return sorted(
    one.id
    for one in store.get_artifacts_by_type(_PUSHED)
    if version and one.custom_properties['pushed_version'].string_value == version
  )


@contextlib.contextmanager
def _store(root: pathlib.Path, write: bool) -> Iterator[Any]:
  from ml_metadata import errors
  from ml_metadata.metadata_store import metadata_store
  from ml_metadata.proto import metadata_store_pb2 as mlmd

  path = root / lineage.DATABASE
  if not path.exists():
    raise RunError(
      f'{path}: expected the record of the runs, where moves are written too. Received: no such '
      'file. Name the experiment that published the model, or start with: sightline run CONFIG'
    )
  connection = mlmd.ConnectionConfig()
  connection.sqlite.filename_uri = str(path)
  connection.sqlite.connection_mode = (
    mlmd.SqliteMetadataSourceConfig.READWRITE if write else mlmd.SqliteMetadataSourceConfig.READONLY
  )
  try:
    yield metadata_store.MetadataStore(connection)
  except (errors.StatusError, RuntimeError) as error:
    raise RunError(
      f'{path}: expected a store that can be {"written" if write else "read"}. Received: {error}'
    ) from error


def _user() -> str:
  try:
    name = getpass.getuser()
  except (KeyError, OSError, ImportError):  # A container's user may have no name.
    name = f'user {os.getuid()}'
  return f'{name} at {platform.node()}'


def previous(stack: Sequence[Deployment], current: str) -> Deployment:
  """Returns the move that made the stable version before the current one.

  Args:
    stack: of stable_versions.
    current: the stable version of the model config file; '' where there is none.

  Raises:
    ServingError: the record knows none before it, or another current one.
  """
  recorded_as = stack[-1].version if stack else ''
  if current != recorded_as:
    raise ServingError(
      f'rollback: expected the stable version of the record, {recorded_as or "none"}. Received: '
      f'the model config file says {current or "none"}; it was changed by other hands. '
      'Name the version yourself: sightline deploy promote CONFIG VERSION'
    )
  if len(stack) < 2:
    raise ServingError(
      f'rollback: expected a stable version before {current or "any"} in the record. '
      'Received: none. Name one yourself: sightline deploy promote CONFIG VERSION'
    )
  return stack[-2]
