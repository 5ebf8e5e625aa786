"""`sightline serve` and `sightline predict`: the embedded server and its client."""

import contextlib
import pathlib
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import library_output
from schemas.errors import ConfigError
from schemas.loader import load_config


def serve(
  config_path: pathlib.Path | None,
  directory: pathlib.Path | None,
  name: str | None,
  host: str,
  port: int,
  overrides: Sequence[str],
) -> None:
  """Serves until it is told to stop.

  Raises:
    ConfigError: neither or both of config and directory are given.
    ServingError: there is no version to serve, or the port is taken.
  """
  if (config_path is None) == (directory is None):
    raise ConfigError(
      'serve: expected either CONFIG or --directory. Received: '
      f'{"neither" if config_path is None else "both"}.'
    )
  if config_path is not None:
    config = load_config(config_path, overrides)
    assert config.publish.directory is not None  # the loader fills it in
    directory = config.publish.directory / config.model_name
  assert directory is not None
  console = Console(file=library_output.terminal(), highlight=False, soft_wrap=True)
  model_name = name or directory.resolve().name
  console.print(f'loading the newest version in {directory} ...')

  loading = contextlib.ExitStack()

  def ready(running) -> None:
    # From here on, what the server prints is meant for whoever started it.
    loading.close()
    console.print(f'serving {model_name} at {running.url}/v1/models/{model_name}; Ctrl-C stops it')

  with loading:
    loading.enter_context(library_output.held_back())
    # TensorFlow is loaded here, seconds after the arguments were checked.
    from serving import server

    server.serve(directory, model_name, host=host, port=port, on_ready=ready)


def predict(files: Sequence[pathlib.Path], url: str, model_name: str) -> None:
  """Prints what a server answers about each file."""
  from serving import client

  table = Table(box=None, padding=(0, 1), pad_edge=False)
  table.add_column('file', overflow='fold')
  for heading in ('label', 'probability', 'version', 'note'):
    table.add_column(heading, no_wrap=True)
  for answer in client.predict(files, url, model_name):
    table.add_row(
      escape(str(answer.path)),
      escape(answer.label),
      f'{answer.probability:.4f}',
      answer.model_version,
      _note(answer.low_confidence, answer.foreign),
    )
  Console().print(table)


def _note(low_confidence: bool | None, foreign: bool | None) -> str:
  """Says why a person should look; an export of earlier days says neither."""
  said = {'low confidence': low_confidence, 'unlike the images of train': foreign}
  return ', '.join(note for note, holds in said.items() if holds)
