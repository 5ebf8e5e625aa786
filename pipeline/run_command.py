"""`sightline run`: one run, from the config to a model that answered a request."""

import logging
import pathlib
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pipeline import (
  answer_process,
  beam_preflight,
  datasets,
  display,
  library_output,
  model_check,
  next_steps,
  own_code,
  provenance,
  run_notes,
  runner,
  summary,
)
from schemas.config import Config
from schemas.errors import ConfigError, DataError, ServingError, SightlineError
from schemas.loader import load_config

_log = logging.getLogger(__name__)


def run(
  config_path: pathlib.Path | None,
  data_root: pathlib.Path | None,
  overrides: Sequence[str],
  ask: bool,
  goal: str = '',
) -> int:
  """Runs the pipeline and prints what came out.

  Args:
    config_path: the experiment; or
    data_root: a folder of images, for a draft.
    overrides: of the config.
    ask: whether the published model is asked about a test image.
    goal: what the run is for, in a person's words.

  Returns:
    The exit code; see summary.exit_code.
  """
  config = _config(config_path, data_root, overrides)
  own_code.make_importable(config, config_path)
  # The libraries print to the log file; the display keeps the terminal.
  console = library_output.console()
  _prepare_data(config, console)
  _ask_workers(config, console)
  _fetch_weights(config, console)
  with runner.open_run(config) as this_run:
    this_run.goal = run_notes.tidy(goal)
    this_run.provenance = provenance.collect(config, sys.argv)
    # At once: a run that is killed has it, too.
    provenance.write(this_run.provenance, this_run.folder)
    console.print(Text.assemble((config.name, 'bold'), f' run {this_run.run_id}'))
    console.print(f'library logs: {this_run.log}')
    _run(config, this_run, console)
    with library_output.to_log(this_run.log):
      found = summary.collect(config, this_run)
    # Before the model is asked: what is published has a record, whatever happens then.
    summary.write(found, this_run.folder)
    provenance.write(
      provenance.complete(this_run.provenance, found['dataset'] or {}), this_run.folder
    )
    _write_page(found, this_run)
    if ask and found['outcome'] in summary.IN_SERVICE:
      _ask(found, this_run, console)
  _report(found, this_run, console)
  return summary.exit_code(found)


def _config(
  config_path: pathlib.Path | None, data_root: pathlib.Path | None, overrides: Sequence[str]
) -> Config:
  if (config_path is None) == (data_root is None):
    raise ConfigError(
      'run: expected either CONFIG or --data-root DIR. Received: '
      f'{"neither" if config_path is None else "both"}.'
    )
  if config_path is not None:
    return load_config(config_path, overrides)
  from pipeline import draft

  assert data_root is not None
  return draft.draft_config(data_root, overrides)


def _prepare_data(config: Config, console: Console) -> None:
  root = config.data.root
  assert root is not None  # the loader fills it in
  if config.data.bundled:
    datasets.write(config.data.bundled, root)
    console.print(f'data: {config.data.bundled} in {root}')
  if not root.is_dir():
    raise DataError(
      f'data.root: expected a folder with {config.data.labels}, or with one subfolder a class. '
      f'Received: {root}, which does not exist.{datasets.hint(root)}'
    )


def _ask_workers(config: Config, console: Console) -> None:
  if config.beam.engine != 'local':
    with display.waiting(console, f'asking the workers of beam.engine {config.beam.engine} ...'):
      beam_preflight.check(config)


def _fetch_weights(config: Config, console: Console) -> None:
  # With `auto` the training does with what there is.
  if config.model.weights == 'imagenet':
    with (
      display.waiting(console, 'looking for the ImageNet weights ...'),
      library_output.held_back(),
    ):
      model_check.fetch_imagenet_weights(config)


def _run(config: Config, this_run: runner.Run, console: Console) -> None:
  try:
    with display.Display(console) as shown, library_output.to_log(this_run.log):
      runner.execute(lambda: runner.compile_pipeline(config), this_run, shown)
  except SightlineError:
    pass  # run.error holds its text, and the report prints it
  except KeyboardInterrupt:
    console.print('interrupted')
  except Exception:
    # What a component raised is in run.error as well, whatever its kind.
    if this_run.error is None:
      raise


def _write_page(found: dict, this_run: runner.Run) -> None:
  """Writes the page about the run; the run is what it is, whether that succeeds or not."""
  from pipeline.report import material, page

  path = this_run.folder / page.FILE
  with library_output.to_log(this_run.log):
    try:
      page.write(material.read(this_run.folder.parent, this_run.run_id), path)
    except Exception:  # noqa: BLE001 - a defect of the page must not undo a run that ended well
      _log.exception('no page about the run was written')
      return
  found['paths']['report'] = str(path)
  summary.write(found, this_run.folder)


def _ask(found: dict, this_run: runner.Run, console: Console) -> None:
  """Puts the answer of the published model into the summary, or why there is none."""
  try:
    with display.waiting(
      console, 'serving the published version, asking it about a test image ...'
    ):
      found['answer'] = answer_process.ask(found, this_run.log)
  except ServingError as error:
    found['answer_error'] = str(error)
  except KeyboardInterrupt:
    found['answer_error'] = 'Interrupted before the published model answered.'
    console.print(f'interrupted; the model is published: {this_run.folder / summary.FILE}')
    raise
  finally:
    summary.write(found, this_run.folder)


def _report(found: dict, this_run: runner.Run, console: Console) -> None:
  console.print()
  for line in summary.in_words(found):
    console.print(Text(line, 'bold red' if line.startswith(summary.NO_ANSWER) else ''))
  answer = found['answer']
  if answer:
    console.print(
      f'answer     {answer["label"]} ({answer["probability"]:.4f}) for {answer["file"]}, '
      f'labelled {answer["expected"]}; by version {answer["model_version"]}'
    )
  console.print(f'summary    {this_run.folder / summary.FILE}')
  console.print(f'metadata   {found["paths"]["metadata"]}')
  if found['published']:
    console.print(f'model      {found["published"]["directory"]}')
    for line in _next_steps(found):
      console.print(line)


def _next_steps(found: dict) -> list[str]:
  serving = pathlib.Path(found['paths']['serving'])
  name = serving.name
  image = found['answer']['file'] if found['answer'] else 'IMAGE'
  return [
    '',
    'Serve it:',
    f'  {next_steps.serve(serving)}',
    'or with TensorFlow Serving:',
    f'  {next_steps.serve_in_docker(serving, name)}',
    'and ask:',
    f'  {next_steps.predict(name, image)}',
    f'  {next_steps.curl(name, image)}',
  ]
