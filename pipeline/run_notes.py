"""What is kept with a run in the metadata store: what it was for, and what came of it.

They are custom properties of its context there: goal, conclusions (JSON, a list of
time and text, the latest last), and the hashes of provenance.properties.
"""

import datetime
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from pipeline import metadata_store
from schemas.errors import RunError

GOAL = 'goal'
CONCLUSIONS = 'conclusions'

# Name that TFX gives in its store.
_RUN = 'pipeline_run'
_HEX_DIGITS = 12


def tidy(text: str) -> str:
  """Returns a sentence on one line, without blanks around it."""
  return ' '.join(text.split())


def at_start(
  connection, contexts, pipeline_name: str, run_id: str, notes: Mapping[str, str | int]
) -> None:
  """Writes notes before the first component runs; empty ones are left out.

  Args:
    connection: of the metadata store.
    contexts: of the first component, in TFX's representation. They are registered as
      its launcher does, which then finds them.
    pipeline_name: of the run.
    run_id: the name of the run.
    notes: by name.
  """
  from tfx.orchestration import metadata
  from tfx.orchestration.portable.mlmd import context_lib

  with metadata.Metadata(connection) as handle:
    if connection.WhichOneof('config') == 'postgresql':
      metadata_store.check(handle.store, pipeline_name, run_id)
    context_lib.prepare_contexts(handle, contexts)
    _add(handle.store, run_id, {name: value for name, value in notes.items() if value != ''})


def conclude(root: pathlib.Path, run_id: str, text: str) -> list[dict[str, str]]:
  """Adds a conclusion to a run; earlier ones stay.

  Args:
    root: of the runs.
    run_id: a run that the store knows.
    text: what came of it.

  Returns:
    All its conclusions, the latest last: `time` (UTC, ISO 8601) and `text`.

  Raises:
    RunError: there is no text, or the store cannot be written.
  """
  from ml_metadata import errors

  said = tidy(text)
  if not said:
    raise RunError(
      f'conclusion of run {run_id}: expected a sentence. Received: nothing. Put it in quotes.'
    )
  store = metadata_store.open_store(root, read_only=False)
  try:
    known = store.get_context_by_type_and_name(_RUN, run_id).custom_properties
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')
    earlier = conclusions({CONCLUSIONS: known[CONCLUSIONS].string_value})
    found = [*earlier, {'time': now, 'text': said}]
    _add(store, run_id, {CONCLUSIONS: json.dumps(found, ensure_ascii=False)})
  except (errors.StatusError, RuntimeError) as error:
    raise RunError(
      f'{metadata_store.place(root)}: expected a store that can be written. Received: {error}'
    ) from error
  return found


def goal(notes: Mapping[str, Any]) -> str:
  """Returns what a run was for; empty where nobody said."""
  return str(notes.get(GOAL) or '')


def conclusions(notes: Mapping[str, Any]) -> list[dict[str, str]]:
  """Returns the conclusions of a run, the latest last."""
  text = notes.get(CONCLUSIONS)
  return json.loads(text) if text else []


def conclusion(notes: Mapping[str, Any]) -> str:
  """Returns the latest conclusion of a run; empty where there is none."""
  return next((one['text'] for one in reversed(conclusions(notes))), '')


def in_words(notes: Mapping[str, Any]) -> dict[str, str]:
  """Returns what there is of them, by name, for a reader."""
  found = {}
  if goal(notes):
    found['goal'] = goal(notes)
  for place, said in enumerate(reversed(conclusions(notes))):
    name = 'earlier conclusion' if place else 'conclusion'
    name = f'{name} {place}' if place > 1 else name
    found[name] = f'{said["text"]} ({said["time"]})'
  if notes.get('git_sha'):
    dirty = ' and changes that are not committed' if notes.get('dirty') else ''
    found['code'] = f'commit {str(notes["git_sha"])[:_HEX_DIGITS]}{dirty}'
  return found


def _add(store, run_id: str, notes: Mapping[str, str | int]) -> None:
  context = store.get_context_by_type_and_name(_RUN, run_id)
  for name, value in notes.items():
    field = 'int_value' if isinstance(value, int) else 'string_value'
    setattr(context.custom_properties[name], field, value)
  # With its id it is an update, and of everything: what it had is in there.
  store.put_contexts([context])
