"""`sightline compile`: writes the pipeline for a cluster, and hands it over where that is asked."""

import dataclasses
import pathlib
from collections.abc import Sequence

from rich.console import Console

from pipeline import compilation, library_output, own_code
from pipeline.kubeflow import submission
from schemas import loader


@dataclasses.dataclass(frozen=True)
class Submission:
  """What a run is created with; see submission.Destination.

  Attributes:
    destination: where.
    parameters: NAME=VALUE rows.
  """

  destination: submission.Destination
  parameters: tuple[str, ...] = ()


def run(
  config_path: pathlib.Path,
  output: pathlib.Path,
  target: compilation.Target,
  pipeline_root: str | None,
  image: str | None,
  overrides: Sequence[str],
  submit: Submission | None,
) -> None:
  """Compiles one experiment and says what the file holds; creates a run if `submit` is given."""
  experiment = loader.load_config(config_path, overrides)
  own_code.make_importable(experiment, config_path)
  with library_output.held_back():
    compiled = compilation.compile_pipeline(experiment, output, pipeline_root, image, target)
  out = Console(highlight=False)
  for line in describe(compiled, target):
    out.print(line, soft_wrap=True, markup=False)
  if submit is None:
    return
  values = submission.parameters(submit.parameters, compiled.parameters)
  send = submission.to_vertex if target == 'vertex' else submission.to_kfp
  with library_output.held_back():
    made = send(compiled.path, experiment.name, compiled.pipeline_root, values, submit.destination)
  out.print(f'run {made} was created', soft_wrap=True, markup=False)


def describe(compiled: compilation.Compiled, target: compilation.Target) -> list[str]:
  """Returns what a person needs to know of a compiled file, a line each."""
  given = [name for name, default in compiled.parameters.items() if default is None]
  known = [
    f'{name}={default}' for name, default in compiled.parameters.items() if name not in given
  ]
  lines = [
    f'wrote {compiled.path} for {target}: {len(compiled.tasks)} steps in image {compiled.image}',
    f'run parameters: {", ".join(known) or "none"}',
  ]
  if given:
    lines.append(f'a run has to be given: {", ".join(given)}')
  return lines
