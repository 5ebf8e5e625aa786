"""`sightline data audit`: the page about a data set, without training."""

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from components.audit import outputs
from pipeline import datasets, display, draft, library_output
from schemas.config import Config
from schemas.errors import ConfigError
from schemas.loader import build_config, load_config

# As for a run whose gate refused: the command did its work, and the answer is no.
WOULD_STOP = 3
# Warnings that are printed; the page has all of them.
_SHOWN = 10


def run(
  config_path: pathlib.Path | None,
  data_root: pathlib.Path | None,
  output: pathlib.Path,
  overrides: Sequence[str] = (),
) -> int:
  """Audits a data set and prints where the page lies and what was found.

  Nothing is trained; nothing is written but the output folder.

  Returns:
    The exit code: 0, or WOULD_STOP where a run would not begin to train on it.

  Raises:
    ConfigError: not exactly one of config and data root is given, or the output
      cannot be written, or lies in the data.
    DataError: nothing can be read there.
  """
  config = _config(config_path, data_root, overrides)
  console = library_output.console()
  output = output.expanduser().resolve()
  with (
    _output_folder(output, config) as draft,
    display.waiting(console, 'looking at the images ...'),
  ):
    with library_output.held_back():
      summary = audit(config, draft)
  for line in describe(summary, output):
    console.print(line)
  return WOULD_STOP if summary['would_stop'] else 0


def audit(config: Config, output: pathlib.Path) -> dict[str, Any]:
  """Examines the data and writes the page; returns what audit.json holds."""
  import apache_beam as beam

  from components.audit import report
  from components.image_example_gen import ingest, spans
  from pipeline.create_pipeline import BEAM_ARGS

  data = spans.at(config.data)
  with tempfile.TemporaryDirectory(prefix='sightline-audit-') as folder:
    work = pathlib.Path(folder)
    found = ingest.Outputs({}, work / 'quarantine', work / 'dataset')
    found.dataset.mkdir()
    ingest.examine(data, found, work / 'state', lambda: beam.Pipeline(argv=list(BEAM_ARGS)))
    _point_to_output(found.dataset / ingest.SUMMARY_FILE, work / 'state')
    return report.write(config.name, found.dataset, found.quarantine, data, config.audit, output)


def _point_to_output(path: pathlib.Path, state: pathlib.Path) -> None:
  """Has dataset.json name files of the work folder, which goes, as they lie beside the page."""
  summary = json.loads(path.read_text(encoding='utf-8'))
  summary['would_stop'] = [
    text.replace(f'{state}{os.sep}', '') for text in summary.get('would_stop', [])
  ]
  path.write_text(json.dumps(summary, ensure_ascii=False), encoding='utf-8')


def describe(summary: dict[str, Any], output: pathlib.Path) -> list[str]:
  """Returns what the command prints."""
  lines = [
    f'{summary["images"]} images of {summary["classes"]} classes, '
    f'{summary["quarantined"]} rows not used',
    f'found      {outputs.in_words(summary)}',
  ]
  lines += [f'           {warning}' for warning in summary['warnings'][:_SHOWN]]
  if len(summary['warnings']) > _SHOWN:
    lines.append(f'           ... and {len(summary["warnings"]) - _SHOWN} more')
  for reason in summary['would_stop']:
    first, *further = reason.splitlines() or ['']
    lines.append(f'WOULD STOP {first}')
    lines += [f'           {line}' for line in further]
  if summary['quarantined']:
    lines.append(f'not used   {output / outputs.QUARANTINE}')
  lines.append(f'findings   {output / outputs.FINDINGS}')
  lines.append(f'page       {output / outputs.PAGE}')
  return lines


def _config(
  config_path: pathlib.Path | None, data_root: pathlib.Path | None, overrides: Sequence[str]
) -> Config:
  if (config_path is None) == (data_root is None):
    raise ConfigError(
      'data audit: expected either CONFIG or --data-root DIR. Received: '
      f'{"neither" if config_path is None else "both"}.'
    )
  if config_path is not None:
    config = load_config(config_path, overrides)
    if config.data.bundled and config.data.root is not None:
      datasets.write(config.data.bundled, config.data.root)
    return config
  assert data_root is not None
  root = data_root.expanduser().resolve()
  tree = {'name': draft.name_of(root), 'data': {'root': str(root)}}
  return build_config(tree, f'the audit of {root}', overrides)


@contextlib.contextmanager
def _output_folder(output: pathlib.Path, config: Config) -> Iterator[pathlib.Path]:
  """Yields a folder whose files come to lie in `output` at the end: all of them or none."""
  root = config.data.root
  if root is not None and output.is_relative_to(root.resolve()):
    raise ConfigError(
      f'--output: expected a folder outside the data. Received: {output}, which lies in '
      f'{root}. A later run would take it for a part of the data set.'
    )
  try:
    output.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(prefix='.audit-', dir=output)
  except OSError as error:
    raise ConfigError(
      f'--output: expected a folder that can be written. Received: {output} '
      f'({error.strerror or error}). Name another one.'
    ) from error
  with folder as name:
    yield pathlib.Path(name)
    for path in pathlib.Path(name).iterdir():
      os.replace(path, output / path.name)
