"""Writes answers about files as CSV or JSON, as they come."""

import abc
import contextlib
import csv
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import IO, Any

from schemas.errors import ConfigError
from serving.file_answers import FileAnswer

STANDARD_OUTPUT = '-'
COLUMNS = (
  'file',
  'label',
  'probability',
  'class_id',
  'low_confidence',
  'ood_score',
  'foreign',
  'model_version',
  'model_sha256',
  'fallback',
  'error',
)
# After which the probabilities stand, when they are wanted.
_BEFORE_PROBABILITIES = 'class_id'


class Writer(abc.ABC):
  """Takes the answers one by one.

  Args:
    stream: is written to.
    probabilities: whether those of every class are written.
  """

  def __init__(self, stream: IO[str], probabilities: bool):
    self._stream = stream
    self._probabilities = probabilities

  @abc.abstractmethod
  def add(self, answer: FileAnswer) -> None:
    """Writes a row."""

  @abc.abstractmethod
  def end(self) -> None:
    """Writes what comes after the last row."""


def form_of(output: str) -> type['Writer']:
  """Returns who writes that file.

  Raises:
    ConfigError: its name ends neither in .csv nor in .json.
  """
  if output == STANDARD_OUTPUT or output.lower().endswith('.csv'):
    return CsvWriter
  if output.lower().endswith('.json'):
    return JsonWriter
  raise ConfigError(
    f'--output: expected a name that ends in .csv or .json, or - for CSV on standard output. '
    f'Received: {output}.'
  )


@contextlib.contextmanager
def opened(output: str, probabilities: bool) -> Iterator[Writer]:
  """Opens a file that has its name only once it is complete; what is cut short is removed.

  Args:
    output: name of a .csv or .json file, or -.
    probabilities: whether those of every class are written.

  Raises:
    ConfigError: the name has another ending, or the file cannot be written.
  """
  form = form_of(output)
  if output == STANDARD_OUTPUT:
    writer = form(sys.stdout, probabilities)
    yield writer
    writer.end()
    return
  path = pathlib.Path(output)
  draft = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  try:
    # A name that is no UTF-8 keeps its bytes.
    stream = draft.open('w', encoding='utf-8', errors='surrogateescape', newline='')
  except OSError as error:
    raise ConfigError(f'{path}: expected a file that can be written. Received: {error}.') from error
  try:
    with stream:
      writer = form(stream, probabilities)
      yield writer
      writer.end()
    os.replace(draft, path)
  finally:
    draft.unlink(missing_ok=True)


class CsvWriter(Writer):
  """A header and a line a file; truth is `true` or `false`, and nothing is nothing."""

  def __init__(self, stream: IO[str], probabilities: bool):
    super().__init__(stream, probabilities)
    self._rows = csv.writer(stream, lineterminator='\n')
    # Until an answer says how many classes there are, the header has to wait.
    self._waiting: list[FileAnswer] | None = []

  def add(self, answer: FileAnswer) -> None:
    if self._waiting is None:
      self._write(answer)
      return
    self._waiting.append(answer)
    if not self._probabilities or answer.prediction is not None:
      self._begin()

  def end(self) -> None:
    if self._waiting is not None:
      self._begin()

  def _begin(self) -> None:
    waited, self._waiting = self._waiting or [], None
    last = waited[-1].prediction if waited else None
    self._classes = len(last.probabilities) if last and self._probabilities else 0
    self._rows.writerow(_in_order(COLUMNS, [f'probability_{k}' for k in range(self._classes)]))
    for answer in waited:
      self._write(answer)

  def _write(self, answer: FileAnswer) -> None:
    found: list[Any] = list(answer.prediction.probabilities) if answer.prediction else []
    # Another model may have taken over in between, of another number of classes.
    of_classes = (found + [''] * self._classes)[: self._classes]
    values = [_plain(value) for value in _values(answer).values()]
    self._rows.writerow(_in_order(values, of_classes))


class JsonWriter(Writer):
  """A list with an object a file: `null` is nothing, `probabilities` a list."""

  def __init__(self, stream: IO[str], probabilities: bool):
    super().__init__(stream, probabilities)
    self._between = '[\n'

  def add(self, answer: FileAnswer) -> None:
    row = _values(answer)
    if self._probabilities:
      found = answer.prediction
      row['probabilities'] = [_finite(p) for p in found.probabilities] if found else None
    # Escaped, so that a name that is no UTF-8 stays valid JSON.
    self._stream.write(self._between + json.dumps(row))
    self._between = ',\n'

  def end(self) -> None:
    self._stream.write('[]\n' if self._between == '[\n' else '\n]\n')


def _values(answer: FileAnswer) -> dict[str, Any]:
  found = answer.prediction
  values = dict.fromkeys(COLUMNS)
  values |= {'file': str(answer.path), 'error': answer.error or None}
  if found is None:
    return values
  return values | {
    'label': found.label,
    'probability': _finite(found.probability),
    'class_id': found.class_id,
    'low_confidence': found.low_confidence,
    'ood_score': _finite(found.ood_score),
    'foreign': found.foreign,
    'model_version': found.model_version or None,
    'model_sha256': found.model_sha256 or None,
    'fallback': found.fallback or None,
  }


def _finite(value: float | None) -> float | None:
  # JSON has no NaN.
  return value if value is not None and math.isfinite(value) else None


def _plain(value: Any) -> Any:
  return str(value).lower() if isinstance(value, bool) else value


def _in_order(values: Any, of_classes: list[Any]) -> list[Any]:
  place = COLUMNS.index(_BEFORE_PROBABILITIES) + 1
  values = list(values)
  return values[:place] + of_classes + values[place:]
