"""`sightline data schema`: the curated schema of a data set over its life."""

import pathlib
from typing import Annotated

import typer
from rich.console import Console

from schemas.errors import ConfigError

# As of a run whose model was refused: nothing is broken, and a person has to look.
EXIT_DIFFERENT = 3

app = typer.Typer(help='The schema that data has to keep to.', no_args_is_help=True)

ConfigArgument = Annotated[
  pathlib.Path, typer.Argument(metavar='CONFIG', help='The experiment, a YAML file.')
]
SetOption = Annotated[
  list[str], typer.Option('--set', metavar='KEY=VALUE', help='Override, e.g. data.span=2.')
]


@app.command()
def infer(
  config: Annotated[
    pathlib.Path | None, typer.Argument(metavar='[CONFIG]', help='The experiment, a YAML file.')
  ] = None,
  data_root: Annotated[
    pathlib.Path | None, typer.Option(help='Instead of CONFIG: a folder of images.')
  ] = None,
  output: Annotated[
    pathlib.Path | None, typer.Option(help='The file to write; by default data.schema.')
  ] = None,
  force: Annotated[bool, typer.Option(help='Replace the file where there is one.')] = False,
  overrides: SetOption = [],  # noqa: B006 - typer copies it
):
  """Write the schema that the images say, without training anything."""
  data = _data(config, data_root, overrides)
  path = output or data.schema_path
  if path is None:
    raise ConfigError(
      'data schema infer: expected where to write. Received: neither --output nor data.schema. '
      'Add --output schema.pbtxt'
    )
  from pipeline import library_output

  with library_output.held_back():
    from pipeline import schema_review

    lines = schema_review.infer(data, path, force)
  _print(lines)


@app.command()
def diff(config: ConfigArgument, overrides: SetOption = []):  # noqa: B006
  """Compare the schema with what the data say now. Exit code 0: no difference; 3: differences."""
  data = _data(config, None, overrides)
  from pipeline import library_output

  with library_output.held_back():
    from pipeline import schema_review

    with schema_review.review(data) as found:
      lines = schema_review.describe(found)
  _print(lines or [f'{data.schema_path}: no difference'])
  raise typer.Exit(EXIT_DIFFERENT if lines else 0)


@app.command()
def accept(
  config: ConfigArgument,
  names: Annotated[
    list[str] | None, typer.Argument(metavar='[FEATURE]...', help='By default all that differ.')
  ] = None,
  overrides: SetOption = [],  # noqa: B006
):
  """Write what the data say now into the schema: labels, domains, limits, comparators."""
  data = _data(config, None, overrides)
  from pipeline import library_output

  with library_output.held_back():
    from pipeline import schema_review

    with schema_review.review(data) as found:
      lines = schema_review.accept(found, names or [])
  _print(lines)


def _data(config_path: pathlib.Path | None, data_root: pathlib.Path | None, overrides: list[str]):
  """Returns the section `data`; bundled data are written where they are not there yet."""
  from pipeline import datasets
  from schemas.loader import build_config, load_config

  if (config_path is None) == (data_root is None):
    raise ConfigError(
      'data schema: expected either CONFIG or --data-root DIR. Received: '
      f'{"neither" if config_path is None else "both"}.'
    )
  if config_path is not None:
    data = load_config(config_path, overrides).data
  else:
    tree = {'name': 'schema', 'data': {'root': str(data_root)}}
    data = build_config(tree, 'data schema', overrides).data
  if data.bundled and data.root is not None:
    datasets.write(data.bundled, data.root)
  return data


def _print(lines: list[str]) -> None:
  out = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
  for line in lines:
    out.print(line)
