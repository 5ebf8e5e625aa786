"""Finds a run below a folder of run roots, by its id, by a version, or as the latest."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from pipeline import lineage, metadata_store
from schemas.errors import RunError


class Place(NamedTuple):
  """Where a run is recorded: the run root, and its id there."""

  root: pathlib.Path
  run_id: str


def find(runs: pathlib.Path, wanted: str | None) -> Place:
  """Returns the run that is meant.

  Args:
    runs: the folder with one run root an experiment, or a run root itself.
    wanted: a version, a run id or the unambiguous beginning of one; None: the latest.

  Raises:
    RunError: there is no such run, or several.
  """
  places = sorted(_places(runs), key=lambda place: (_started(place), str(place.root)))
  if not places:
    raise RunError(
      f'{runs}: expected the runs of an experiment. Received: none. '
      'Start one with: sightline run CONFIG, or name another folder: --runs FOLDER'
    )
  if wanted is None:
    return places[-1]
  found = (
    [place for place in places if place.run_id == wanted]
    or _published_as(runs, wanted)
    or [place for place in places if place.run_id.startswith(wanted)]
  )
  if len(found) != 1:
    latest = ', '.join(f'{place.root.name}/{place.run_id}' for place in places[-5:])
    raise RunError(
      f'{runs}: expected a run or a version, such as {latest}. Received: {wanted}, which names '
      f'{len(found)} runs. Name it in full, or one experiment: --runs {runs}/NAME'
    )
  return found[0]


def _roots(runs: pathlib.Path) -> Iterator[pathlib.Path]:
  if not runs.is_dir():
    return
  for root in (runs, *sorted(path for path in runs.iterdir() if path.is_dir())):
    # A run that stopped before its first component left a summary and no store.
    if metadata_store.exists(root) or any(root.glob(f'*/{lineage.SUMMARY}')):
      yield root


def _places(runs: pathlib.Path) -> Iterator[Place]:
  for root in _roots(runs):
    names = {path.parent.name for path in root.glob(f'*/{lineage.SUMMARY}')}
    if metadata_store.exists(root):
      names |= {run.run_id for run in lineage.Record(root).runs()}
    yield from (Place(root, name) for name in names)


def _published_as(runs: pathlib.Path, version: str) -> list[Place]:
  return [
    Place(root, lineage.Record(root).run_id(version))
    for root in _roots(runs)
    if metadata_store.exists(root) and lineage.Record(root).published(version)
  ]


def _started(place: Place) -> str:
  """Returns what sorts runs by time: an id of ours and one of TFX's runner begin with it."""
  return ''.join(filter(str.isdigit, place.run_id))
