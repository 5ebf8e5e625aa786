"""`sightline model selftest`: whether each gate still catches what it is there for."""

import dataclasses
import json
import os
import pathlib
import re
import tempfile
from collections.abc import Sequence

from rich.table import Table

from pipeline import display, library_output
from pipeline.selftest.caught import Outcome
from schemas.errors import DataError

# As for a run whose gate refused: the command did its work, and the answer is no.
GAP_FOUND = 3
_NOT_CAUGHT = 'nobody'
# Of what a gate said; --json FILE has all of it.
_SHOWN = 180
# An image id is a sha256: its beginning tells which one.
_ID = re.compile(r'\b([0-9a-f]{12})[0-9a-f]{52}\b')


def run(json_file: pathlib.Path | None = None) -> int:
  """Plants every fault, prints who caught it, and writes it as JSON.

  Returns:
    The exit code: 0 where all were caught and the control was let pass, else GAP_FOUND.

  Raises:
    SightlineError: the folder for it, or the file, cannot be written.
  """
  # Before TensorFlow is loaded, and the terminal is redirected.
  console = library_output.console()
  with display.waiting(console, 'planting faults into a clean experiment ...'):
    with library_output.held_back(), tempfile.TemporaryDirectory(prefix='selftest-') as folder:
      outcomes = _outcomes(pathlib.Path(folder))
  console.print(render(outcomes))
  console.print(conclusion(outcomes))
  if json_file:
    _write(json_file, outcomes)
  return 0 if all(outcome.ok for outcome in outcomes) else GAP_FOUND


def _outcomes(folder: pathlib.Path) -> list[Outcome]:
  from pipeline.selftest import session

  return session.run(folder)


def render(outcomes: Sequence[Outcome]) -> Table:
  """Returns them as a table; what did not go as it should stands out."""
  table = Table(box=None, padding=(0, 1), pad_edge=False)
  for name in ('fault', 'caught by', 'what it said'):
    table.add_column(name, overflow='fold')
  for outcome in outcomes:
    table.add_row(
      outcome.fault,
      outcome.caught_by or (_NOT_CAUGHT if outcome.expected else ''),
      _short(outcome.said),
      style=None if outcome.ok else 'bold red',
    )
  return table


def conclusion(outcomes: Sequence[Outcome]) -> str:
  """Says how many were caught, and names every gap."""
  faults = [outcome for outcome in outcomes if outcome.expected]
  caught = [outcome for outcome in faults if outcome.ok]
  seconds = sum(outcome.seconds for outcome in outcomes)
  gaps = [_gap(outcome) for outcome in outcomes if not outcome.ok]
  return '\n'.join([f'{len(caught)} of {len(faults)} faults caught, in {seconds:.0f} s.', *gaps])


def _gap(outcome: Outcome) -> str:
  if not outcome.expected:
    return f'gap: {outcome.caught_by} refused what is clean; no fault was planted.'
  by = outcome.caught_by or _NOT_CAUGHT
  return f'gap: {outcome.fault} ({outcome.planted}): expected {outcome.expected}, caught by {by}.'


def _short(said: str) -> str:
  text = _ID.sub(r'\1...', ' '.join(said.split()))
  return text if len(text) <= _SHOWN else text[:_SHOWN].rsplit(' ', 1)[0] + ' ...'


def _write(path: pathlib.Path, outcomes: Sequence[Outcome]) -> None:
  tree = [dataclasses.asdict(outcome) | {'ok': outcome.ok} for outcome in outcomes]
  draft = path.with_name(f'.{path.name}')
  try:
    draft.write_text(json.dumps({'outcomes': tree}, indent=2) + '\n', encoding='utf-8')
    os.replace(draft, path)
  except OSError as error:
    raise DataError(f'{path}: expected a file that can be written. Received: {error}.') from error
