"""`sightline predict`: asks a running server about files and folders."""

import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from rich import progress
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline import image_paths, library_output, prediction_file
from schemas.errors import ConfigError
from serving import client, file_answers
from serving.file_answers import FileAnswer
from serving.prediction import Prediction
from serving.target import Target

EXIT_FAILED = 1
# Of the files that were not answered, so many are told below a table or a summary.
_TOLD = 10


@dataclasses.dataclass(frozen=True)
class Output:
  """What is done with the answers.

  Attributes:
    file: a .csv or .json file, or -; None for a table.
    probabilities: whether those of every class are written.
  """

  file: str | None = None
  probabilities: bool = False


def tls_files(
  certificate: pathlib.Path | None, key: pathlib.Path | None
) -> tuple[pathlib.Path, pathlib.Path] | None:
  """Returns the client's own certificate and its key, or None where neither was given.

  Raises:
    ConfigError: one without the other.
  """
  if certificate is None and key is None:
    return None
  if certificate is None or key is None:
    raise ConfigError(
      'predict: expected --certificate and --key together. Received: '
      f'{"no certificate" if certificate is None else "no key"}.'
    )
  return certificate, key


def run(
  named: Sequence[pathlib.Path],
  target: Target,
  output: Output = Output(),
  together: int = 8,
  at_once: int = 4,
) -> int:
  """Asks, and writes or prints the answers.

  Args:
    named: files and folders.
    target: which model, and how it is asked.
    output: what is done with the answers.
    together: files in one request, at most.
    at_once: requests under way, at most.

  Returns:
    0, or 1 when a file was not answered: its row says why.

  Raises:
    ConfigError: there is no image, or the output has a name of no known ending.
    ServingError: the server is not there, or does not serve that model.
  """
  if output.file is not None:
    prediction_file.form_of(output.file)  # told before anything is asked
  elif output.probabilities:
    raise ConfigError('predict: expected --output with --probabilities: a table has no room.')
  found = image_paths.find(named)
  if not found.files:
    raise ConfigError(
      f'{", ".join(map(str, named))}: expected images. Received: no file that ends in one of '
      f'{" ".join(sorted(image_paths.SUFFIXES))}. A file of another name can be named itself.'
    )
  with contextlib.closing(_connected(target, at_once)) as asked:
    answers = _with_bar(file_answers.ask(found.files, asked, together, at_once), len(found.files))
    if output.file is None:
      tally = _print_table(answers)
    else:
      tally = _write(answers, output.file, output.probabilities)
  _print_summary(tally, found, output.file)
  return EXIT_FAILED if tally.failed else 0


def _connected(target: Target, at_once: int) -> file_answers.Client:
  # Over gRPC, this loads TensorFlow, which prints.
  with library_output.held_back() if target.is_grpc else contextlib.nullcontext():
    asked = client.connect(target, at_once)
  try:
    asked.check()
  except BaseException:
    asked.close()
    raise
  return asked


def _with_bar(answers: Iterable[FileAnswer], count: int) -> Iterator[FileAnswer]:
  """Shows on a terminal, and only there, how far it is."""
  console = Console(stderr=True)
  if not console.is_terminal or count < 2:
    yield from answers
    return
  columns = (
    progress.BarColumn(),
    progress.MofNCompleteColumn(),
    progress.TimeRemainingColumn(),
  )
  with progress.Progress(*columns, console=console, transient=True) as bar:
    yield from bar.track(answers, total=count)


class _Tally:
  """Counts what became of the files."""

  def __init__(self):
    self.answered = self.failed = self.unsure = self.foreign = self.instead = 0
    self.versions: collections.Counter[str] = collections.Counter()
    self.errors: list[str] = []

  def add(self, answer: FileAnswer) -> None:
    found = answer.prediction
    if found is None:
      self.failed += 1
      if self.failed <= _TOLD:
        self.errors.append(f'{answer.path}: {answer.error}')
      return
    self.answered += 1
    self.unsure += bool(found.low_confidence)
    self.foreign += bool(found.foreign)
    self.instead += bool(found.fallback)
    if found.model_version:
      self.versions[found.model_version] += 1


def _write(answers: Iterable[FileAnswer], output: str, probabilities: bool) -> _Tally:
  tally = _Tally()
  with prediction_file.opened(output, probabilities) as writer:
    for answer in answers:
      tally.add(answer)
      writer.add(answer)
  return tally


def _print_table(answers: Iterable[FileAnswer]) -> _Tally:
  table = Table(box=None, padding=(0, 1), pad_edge=False)
  table.add_column('file', overflow='fold')
  for heading in ('label', 'probability', 'version', 'note'):
    table.add_column(heading, no_wrap=True)
  tally = _Tally()
  for answer in answers:
    tally.add(answer)
    table.add_row(escape(str(answer.path)), *_cells(answer))
  Console().print(table)
  return tally


def _cells(answer: FileAnswer) -> Sequence[str]:
  found = answer.prediction
  if found is None:
    return '', '', '', 'no answer'
  return escape(found.label), f'{found.probability:.4f}', found.model_version, _note(found)


def _note(found: Prediction) -> str:
  """Says why a person should look; an export of earlier days says neither."""
  said = {
    'low confidence': found.low_confidence,
    'unlike the images of train': found.foreign,
    'answered by the version before': found.fallback == 'previous',
    'stated without the model': found.fallback == 'default',
  }
  return ', '.join(note for note, holds in said.items() if holds)


def _print_summary(tally: _Tally, found: image_paths.ImagePaths, output: str | None) -> None:
  # Standard output is the rows alone.
  console = Console(
    stderr=output == prediction_file.STANDARD_OUTPUT, highlight=False, soft_wrap=True, markup=False
  )
  if output is not None or len(found.files) > 1:
    console.print(_summary(tally, found))
  for error in tally.errors:
    console.print(f'no answer: {error}')
  if tally.failed > len(tally.errors):
    console.print(f'and {tally.failed - len(tally.errors)} more; --output FILE has them all')
  if output not in (None, prediction_file.STANDARD_OUTPUT):
    console.print(f'wrote {output}')


def _summary(tally: _Tally, found: image_paths.ImagePaths) -> str:
  parts = [f'{tally.answered} of {len(found.files)} files answered']
  for count, text in (
    (tally.unsure, 'with low confidence'),
    (tally.foreign, 'unlike the images of train'),
    (tally.instead, "answered in the model's place"),
    (found.passed_over, 'passed over in folders, no images by their names'),
  ):
    if count:
      parts.append(f'{count} {text}')
  if tally.versions:
    plural = 's' if len(tally.versions) > 1 else ''
    parts.append(f'version{plural} {", ".join(sorted(tally.versions))}')
  return '; '.join(parts)
