"""`sightline run`: one run, from the config to a model that answered a request."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from pipeline import datasets, display, library_output, runner, summary
from schemas.config import Config
from schemas.errors import ConfigError, DataError, SightlineError
from schemas.loader import load_config


def run(
  config_path: pathlib.Path | None,
  data_root: pathlib.Path | None,
  overrides: Sequence[str],
  ask: bool,
) -> int:
  """Runs the pipeline and prints what came out.

  Returns:
    The exit code; see summary.exit_code.
  """
  config = _config(config_path, data_root, overrides)
  # The libraries print to the log file; the display keeps the terminal.
  console = Console(file=library_output.terminal(), highlight=False, soft_wrap=True)
  _prepare_data(config, console)
  with runner.open_run(config) as this_run:
    console.print(f'[bold]{escape(config.name)}[/] run {this_run.run_id}')
    console.print(f'library logs: {this_run.log}')
    _run(config, this_run, console)
    with library_output.to_log(this_run.log):
      found = summary.collect(config, this_run)
    if ask and found['outcome'] in summary.IN_SERVICE:
      found['answer'] = _ask(found, this_run.log, console)
    summary.write(found, this_run.folder)
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
      f'Received: {root}, which does not exist.'
    )


def _run(config: Config, this_run: runner.Run, console: Console) -> None:
  try:
    with display.Display(console) as shown, library_output.to_log(this_run.log):
      runner.execute(lambda: runner.compile_pipeline(config), this_run, shown)
  except SightlineError:
    pass  # run.error holds its text, and the report prints it
  except KeyboardInterrupt:
    console.print('interrupted')
  except Exception:
    if this_run.error is None:
      raise


def _ask(found: dict, log: pathlib.Path, console: Console) -> dict | None:
  """Serves the published model in a process of its own and asks it about a test image."""
  text = 'serving the published version and asking it about one test image ...'
  if not console.is_terminal:
    console.print(text)
  request = {
    'directory': found['paths']['serving'],
    'name': pathlib.Path(found['paths']['serving']).name,
    'version': found['published']['version'],
    'manifest': found['paths']['manifest'],
    'data_root': found['paths']['images'],
  }
  command = [sys.executable, '-m', 'pipeline.served_answer', json.dumps(request)]
  with open(log, 'ab') as stream, console.status(text):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=stream, check=False, text=True)
  if done.returncode:
    found['outcome'] = summary.STOPPED
    found['error'] = f'the published model did not answer; the reason is at the end of {log}'
    return None
  return json.loads(done.stdout.strip().splitlines()[-1])


def _report(found: dict, this_run: runner.Run, console: Console) -> None:
  console.print()
  for line in summary.in_words(found):
    console.print(escape(line))
  answer = found['answer']
  if answer:
    console.print(
      escape(
        f'answer     {answer["label"]} ({answer["probability"]:.4f}) for {answer["file"]}, '
        f'labelled {answer["expected"]}; by version {answer["model_version"]}'
      )
    )
  console.print(f'summary    {this_run.folder / summary.FILE}')
  console.print(f'metadata   {found["paths"]["metadata"]}')
  if found['published']:
    console.print(f'model      {found["published"]["directory"]}')
    for line in _next_steps(found):
      console.print(escape(line))


def _next_steps(found: dict) -> list[str]:
  serving = pathlib.Path(found['paths']['serving'])
  name = serving.name
  image = found['answer']['file'] if found['answer'] else 'IMAGE'
  return [
    '',
    'Serve it:',
    f'  sightline serve --directory {serving}',
    'or with TensorFlow Serving:',
    f'  docker run --rm -p 8501:8501 -v {serving}:/models/{name} -e MODEL_NAME={name} '
    'tensorflow/serving',
    'and ask:',
    f'  sightline predict --model {name} {image}',
    f'  curl -d \'{{"instances": [{{"b64": "\'$(base64 -w0 {image})\'"}}]}}\' '
    f'http://127.0.0.1:8501/v1/models/{name}:predict',
  ]
