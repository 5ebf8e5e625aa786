"""What stops a run although every row could be read, each said with the files that it is about."""

import contextlib
import pathlib
from collections.abc import Iterator

from components.image_example_gen import dataset_summary, quarantine
from components.image_example_gen.index import Index
from components.image_example_gen.manifest import Manifest
from schemas.config import DataConfig
from schemas.errors import DataError

_NAMED_FILES = 5


class Gates:
  """Lets a DataError pass, or notes it and goes on.

  Attributes:
    complaints: what was noted.
  """

  def __init__(self, strict: bool, advice: str = ''):
    """Opens the gates.

    Args:
      strict: errors pass; else they are noted.
      advice: a line that every error that passes ends with.
    """
    self._strict = strict
    self._advice = advice
    self.complaints: list[str] = []

  @contextlib.contextmanager
  def gate(self) -> Iterator[None]:
    """A check, of which one may fail."""
    try:
      yield
    except DataError as error:
      if self._strict:
        raise DataError(f'{error}\n{self._advice}'.rstrip()) from error
      self.complaints.append(str(error))


def check_rows(index: Index, manifest: Manifest) -> None:
  """Raises DataError where there is no row."""
  if not index.rows:
    raise DataError(
      f'{manifest.name}: expected one row an image. Received: no rows. '
      'Add a row with filename and label for each image.'
    )


def check_bad_rows(index: Index, manifest: Manifest, data: DataConfig, state: pathlib.Path) -> None:
  """Raises DataError where too many rows cannot be used.

  Args:
    index: of the rows.
    manifest: where they came from.
    data: with the limit.
    state: gets quarantine.csv: TFX removes the outputs of a run that failed.
  """
  bad = dataset_summary.bad_count(index)
  if bad <= data.max_bad_fraction * index.rows:
    return
  path = quarantine.write(state, index.findings())
  first = []
  for finding in index.findings(harmless=False):
    first.append(
      f'{manifest.name} row {finding.row}: {finding.filename!r} {finding.reason}: {finding.detail}'
    )
    if len(first) == _NAMED_FILES:
      break
  if bad > len(first):
    first.append(f'... and {bad - len(first)} more.')
  raise DataError(
    '\n'.join(
      [
        *first,
        f'{bad} of {index.rows} rows are bad ({100 * bad / index.rows:.1f} %); '
        f'data.max_bad_fraction is {data.max_bad_fraction:g}. All of them: {path}. '
        'Mend or remove these rows, or raise data.max_bad_fraction.',
      ]
    )
  )


def check_two_classes(labels: list[str], manifest: Manifest) -> None:
  """Raises DataError where there is nothing to tell apart."""
  if len(labels) < 2:
    raise DataError(
      f'{manifest.name}: expected at least two classes. Received: '
      f'{", ".join(map(repr, labels)) or "no usable image"}. Add images of another class.'
    )


def check_classes(
  missing: dict[str, int], index: Index, manifest: Manifest, lock_path: pathlib.Path
) -> None:
  """Raises DataError where a model could not learn a class that it is measured by.

  Args:
    missing: number of images by class, of the classes that train lacks.
    index: of the images.
    manifest: where they came from.
    lock_path: where the split lock lies.
  """
  if not missing:
    return
  lines = []
  for label, count in list(missing.items())[:_NAMED_FILES]:
    files = index.filenames(label, _NAMED_FILES)
    lines.append(
      f'{manifest.name}: class {label!r}: expected images in train. Received: '
      f'{count} {"image" if count == 1 else "images"}, none in train: {", ".join(files)}'
      f'{" and others" if count > len(files) else ""}.'
    )
  if len(missing) > len(lines):
    lines.append(f'... and {len(missing) - len(lines)} more classes.')
  lines.append(
    'What train does not show, no model learns. Correct the label, add images of the class, '
    'or move some to train: by the column split, or where they are locked, in '
    f'{lock_path}.'
  )
  raise DataError('\n'.join(lines))
