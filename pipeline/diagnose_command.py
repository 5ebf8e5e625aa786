"""`sightline model diagnose`: why a model does otherwise in production than on test."""

import dataclasses
import json
import os
import pathlib
from typing import Any

from rich.table import Table

from pipeline import display, library_output, lineage
from pipeline.diagnosis.conclusion import NO_GAP, Conclusion
from pipeline.diagnosis.step import GAP, SERVING, Step
from schemas.errors import DataError
from schemas.loader import load_config

# As for a run whose gate refused: the command did its work, and the answer is no.
GAP_FOUND = 3
_STYLES = {GAP: 'bold red'}


def run(
  wanted: str,
  images: pathlib.Path,
  labels: pathlib.Path,
  server: str | None,
  config: pathlib.Path | None,
  model_name: str | None = None,
  json_file: pathlib.Path | None = None,
) -> int:
  """Compares, prints a table of the steps and the conclusion, and writes both as JSON.

  Returns:
    The exit code: 0 for no gap, GAP_FOUND for one.

  Raises:
    SightlineError: the run, the images, the server or the file to write cannot be used.
  """
  root = lineage.run_root(load_config(config)) if config else None
  # Before TensorFlow is loaded, and the terminal is redirected.
  console = library_output.console()
  with display.waiting(console, 'comparing production with what was evaluated ...'):
    with library_output.held_back():
      found = _diagnose(wanted, images, labels, server, root, model_name)
  for line in found['notes']:
    console.print(line)
  console.print(render(found['steps']))
  conclusion: Conclusion = found['conclusion']
  console.print(conclusion.sentence)
  if json_file:
    _write(json_file, found)
  return 0 if conclusion.kind == NO_GAP else GAP_FOUND


def _diagnose(
  wanted: str,
  images: pathlib.Path,
  labels: pathlib.Path,
  server: str | None,
  root: pathlib.Path | None,
  model_name: str | None,
) -> dict[str, Any]:
  from pipeline.diagnosis import conclusion, funnel, given_images, subject

  of_run = subject.find(wanted, root)
  given = given_images.read(images, labels)
  steps = funnel.steps(of_run, given, server, model_name)
  trained = funnel.in_train(of_run, given)
  asked = server or 'the embedded server, in a process of its own'
  notes = [
    f'run {of_run.run_id}, version {of_run.version or "none published"}; {len(given.images)} '
    f'images; asked: {asked}'
  ]
  if given.bad:
    reasons = ', '.join(f'{count} {reason}' for reason, count in given.bad.items())
    notes.append(f'rows not used: {sum(given.bad.values())} ({reasons}), such as {given.example}')
  if trained:
    notes.append(f'{trained} of the images are in train: on these the model is better than it is')
  return {
    'run_id': of_run.run_id,
    'version': of_run.version or None,
    'server': asked,
    'images': len(given.images),
    'bad_rows': dict(given.bad),
    'in_train': trained,
    'notes': notes,
    'steps': steps,
    'conclusion': conclusion.conclude(steps),
  }


def render(steps: list[Step]) -> Table:
  """Returns the steps as a table."""
  table = Table(box=None, padding=(0, 1), pad_edge=False)
  table.add_column('step', no_wrap=True)
  table.add_column('', no_wrap=True)
  table.add_column('found', overflow='fold')
  for step in steps:
    cause = f': {step.cause}' if step.cause and step.name in SERVING else ''
    table.add_row(step.name, step.outcome, step.found + cause, style=_STYLES.get(step.outcome))
  return table


def _write(path: pathlib.Path, found: dict[str, Any]) -> None:
  tree = {
    **found,
    'steps': [dataclasses.asdict(step) for step in found['steps']],
    'conclusion': dataclasses.asdict(found['conclusion']),
  }
  draft = path.with_name(f'.{path.name}')
  try:
    draft.write_text(json.dumps(tree, indent=2) + '\n', encoding='utf-8')
    os.replace(draft, path)
  except OSError as error:
    raise DataError(f'{path}: expected a file that can be written. Received: {error}.') from error
