"""`sightline model export`: a run's model for another runtime, proved equal."""

import pathlib
from collections.abc import Sequence

from rich.markup import escape

from pipeline import display, library_output, lineage
from schemas.config import FormatsConfig
from schemas.errors import ConfigError
from schemas.loader import load_config


def run(
  wanted: str,
  format_name: str,
  output: pathlib.Path | None,
  quantized: bool,
  into_version: bool,
  config_path: pathlib.Path | None,
  overrides: Sequence[str] = (),
) -> None:
  """Writes, proves and prints what was found.

  Args:
    wanted: run, version, or the folder of either.
    format_name: onnx, litert or openvino.
    output: the folder to write; by default one beside the working directory's others.
    quantized: OpenVINO in 8 bits.
    into_version: into the published version, for `sightline serve --backend openvino`.
    config_path: of the experiment, where runs/ does not hold it; its limits count.
    overrides: of the experiment.

  Raises:
    SightlineError: the run, a package or the folder cannot be used, or the format answers
      otherwise than the export.
  """
  if (quantized or into_version) and format_name != 'openvino':
    raise ConfigError(
      f'--int8 and --into-version: expected --format openvino. Received: {format_name}.'
    )
  if into_version and output is not None:
    raise ConfigError('expected either --output or --into-version. Received: both.')
  if overrides and config_path is None:
    raise ConfigError('--set: expected --config CONFIG beside it.')
  config = load_config(config_path, overrides) if config_path else None
  root = lineage.run_root(config) if config else None
  limits = config.formats if config else FormatsConfig()
  # Before TensorFlow is loaded, and the terminal is redirected.
  console = library_output.console()
  with display.waiting(console, f'writing {format_name} and comparing it with the export ...'):
    with library_output.held_back():
      from pipeline import other_formats
      from pipeline.diagnosis import subject

      of_run = subject.find(wanted, root)
      folder = _folder(of_run, format_name, output, quantized, into_version)
      found = other_formats.write(
        of_run, other_formats.Wanted(format_name, quantized, folder, into_version), limits
      )
  console.print(f'wrote {escape(str(found.folder))}: {found.size / 1e6:.2f} MB', soft_wrap=True)
  console.print(escape(found.parity.in_words()), soft_wrap=True)
  if found.loss is not None:
    console.print(
      f'8 bits against the export: {found.loss.verdict}, {escape(found.loss.in_words())}',
      soft_wrap=True,
    )


def _folder(
  of_run, format_name: str, output: pathlib.Path | None, quantized: bool, into_version: bool
) -> pathlib.Path:
  from serving import openvino_servable

  if into_version:
    if not of_run.version:
      raise ConfigError(
        f'--into-version: expected a published version. Received: run {of_run.run_id}, which '
        'published none.'
      )
    return of_run.published / openvino_servable.FOLDER
  if output is not None:
    return output
  precision = '-int8' if quantized else ''
  return pathlib.Path(
    f'{of_run.model_name}-{of_run.version or of_run.run_id}-{format_name}{precision}'
  )
