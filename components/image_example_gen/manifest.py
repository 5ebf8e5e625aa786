"""Which files belong to the data set, and what is said about each.

Either labels.csv says so, with the columns filename and label, optionally split
and any further ones; or the folders do, one a class. Where all of these are named
as splits are (train, val, valid, validation, test, production; at least two) and
each holds subfolders with files, they give the splits, and the subfolders are the
classes: train/cat/1.jpg, val/cat/2.jpg. Rows are streamed.
"""

import csv
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from components.image_example_gen import decisions, location
from components.image_example_gen.rows import MALFORMED_ROW, Row, checked
from schemas import features
from schemas.config import DataConfig
from schemas.errors import DataError

FILENAME = 'filename'
LABEL = 'label'
SPLIT = 'split'

_DEFAULT_LABELS = DataConfig().labels
_DEFAULT_DECISIONS = DataConfig().decisions
_IMAGES = 'images'
# Folders that stand for splits.
_SPLIT_FOLDERS = {
  'train': features.TRAIN,
  'val': features.VAL,
  'valid': features.VAL,
  'validation': features.VAL,
  'test': features.TEST,
  'production': features.PRODUCTION,
}
# What spreadsheets write in place of commas.
_OTHER_MARKS = {';': 'semicolons', '\t': 'tabs'}
_NO_PRODUCTION = ' Set data.production to true for it.'
# What file managers leave behind; hidden files are passed over as well.
_LITTER = ('Thumbs.db', 'desktop.ini')


@dataclasses.dataclass(frozen=True)
class Manifest:
  """The list of images.

  Attributes:
    root: the data folder.
    images: the folder that filenames are relative to.
    path: of the CSV; None where folders are the classes.
    columns: names of the further columns.
    splits: that a row may name.
    decisions: the CSV of what reviewers decided; None where there is none.
  """

  root: pathlib.Path
  images: pathlib.Path
  path: pathlib.Path | None
  columns: tuple[str, ...]
  splits: tuple[str, ...] = features.SPLITS
  decisions: pathlib.Path | None = None

  @property
  def name(self) -> str:
    """How error texts call it."""
    return self.path.name if self.path else str(self.images)

  @property
  def lock_folder(self) -> pathlib.Path:
    return self.path.parent if self.path else self.root

  @functools.cached_property
  def _real_folders(self) -> tuple[pathlib.Path, ...]:
    return self.root.resolve(), self.images.resolve()

  def rows(self) -> Iterator[Row]:
    """Yields the rows in order, as reviewers decided about them.

    Raises:
      DataError: the CSV cannot be read to its end, or neither can the decisions.
    """
    rows = self._csv_rows() if self.path else self._folder_rows()
    if self.decisions:
      rows = decisions.apply(self.decisions, rows)
    hint = '' if features.PRODUCTION in self.splits else _NO_PRODUCTION
    for row in rows:
      yield checked(row, self.splits, hint if row.split == features.PRODUCTION else '')

  def sha256(self) -> str:
    """Returns the hash of the CSV's bytes, or of the list of files without one."""
    digest = hashlib.sha256()
    if self.path:
      with open(self.path, 'rb') as stream:
        for block in iter(lambda: stream.read(1 << 20), b''):
          digest.update(block)
    else:
      for row in self.rows():
        digest.update(f'{row.filename}\n'.encode())
    return digest.hexdigest()

  def locate(self, filename: str) -> pathlib.Path:
    """Returns the path of an image.

    Raises:
      location.FileError: it is no file, or lies outside the data folder.
    """
    return location.locate(self.images, self._real_folders, filename)

  def _csv_rows(self) -> Iterator[Row]:
    assert self.path is not None
    with _reading(self.path) as stream:
      reader = csv.reader(stream, strict=True)
      try:
        header = [name.strip() for name in next(reader)]
        positions = {name: index for index, name in enumerate(header) if name}
        further = [positions[name] for name in self.columns]
        # An empty line is no row, but a spreadsheet counts it.
        for number, cells in enumerate(reader, start=2):
          # A spreadsheet may leave commas where a row was.
          if any(cell.strip() for cell in cells):
            yield self._csv_row(number, cells, len(header), positions, further)
      except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
          f'{self.path.name} line {reader.line_num + 1}: expected comma-separated values in '
          f'UTF-8. Received: {error}. Save the file as CSV UTF-8.'
        ) from error

  @staticmethod
  def _csv_row(
    number: int, cells: list[str], width: int, positions: dict[str, int], further: list[int]
  ) -> Row:
    padded = cells + [''] * (width - len(cells))
    row = Row(
      number,
      padded[positions[FILENAME]],
      padded[positions[LABEL]].strip(),
      padded[positions[SPLIT]].strip().lower() if SPLIT in positions else '',
      tuple(padded[index].strip() for index in further),
    )
    if len(cells) != width:
      return row._replace(
        reason=MALFORMED_ROW, detail=f'expected {width} values. Received: {len(cells)}.'
      )
    return row

  def _folder_rows(self) -> Iterator[Row]:
    number = 0
    folders = _class_folders(self.images)
    split_of = _given_splits(folders)
    for folder in folders:
      for file in _files(folder):
        number += 1
        path = f'{folder.name}/{file.name}'
        legible = path.encode('utf-8', 'backslashreplace').decode()
        split, label = split_of.get(folder.name, ''), legible.partition('/')[0].strip()
        if split:
          # A file beside the classes is of none: a bad row.
          label, below, _ = legible.partition('/')[2].partition('/')
          label = label.strip() if below or file.linked else ''
        row = Row(number, legible, label, split)
        if legible != path:
          row = row._replace(reason=MALFORMED_ROW, detail='the name is not UTF-8. Rename the file.')
        elif file.linked:
          row = row._replace(
            reason=location.OUTSIDE_ROOT,
            detail='a link to a folder, which is not followed. Put its files here.',
          )
        yield row


def splits(data: DataConfig) -> tuple[str, ...]:
  """Returns the splits that the data may have."""
  return (*features.SPLITS, features.PRODUCTION) if data.production else features.SPLITS


def open_manifest(data: DataConfig) -> Manifest:
  """Finds the list of images and checks its columns.

  Raises:
    DataError: there is no such folder, neither a CSV nor class folders, or the
      CSV lacks a column.
  """
  root = data.root
  if root is None or not root.is_dir():
    raise DataError(
      f'data.root: expected a folder of images. Received: {root}, which is none. '
      'Name it with --data-root DIR or data.root.'
    )
  images = root / _IMAGES if (root / _IMAGES).is_dir() else root
  path = root / data.labels
  if path.is_file():
    columns = _further_columns(path)
    _check_columns(data, path.name, columns)
    return Manifest(root, images, path, columns, splits(data), _decisions(data, root))
  if data.labels == _DEFAULT_LABELS and _class_folders(images):
    _check_columns(data, str(images), ())
    return Manifest(root, images, None, (), splits(data), _decisions(data, root))
  raise DataError(
    f'{path}: expected a CSV with the columns {FILENAME},{LABEL}. Received: no such file'
    f'{"" if data.labels != _DEFAULT_LABELS else f", and no class folders in {images}"}. '
    'Write one row an image, or put the images of each class into a folder named by it.'
  )


def _further_columns(path: pathlib.Path) -> tuple[str, ...]:
  with _reading(path) as stream:
    try:
      header = [name.strip() for name in next(csv.reader(stream, strict=True), [])]
    except (csv.Error, UnicodeDecodeError) as error:
      raise DataError(
        f'{path.name} line 1: expected column names in UTF-8. '
        f'Received: {error}. Save the file as CSV UTF-8.'
      ) from error
  for needed in (FILENAME, LABEL):
    if needed not in header:
      other = next((name for mark, name in _OTHER_MARKS.items() if mark in ''.join(header)), '')
      if other:
        raise DataError(
          f'{path.name} row 1: expected the columns {FILENAME} and {LABEL}, separated by commas. '
          f'Received: {", ".join(header)!r}, separated by {other}. Save the file as CSV with '
          'commas.'
        )
      raise DataError(
        f'{path.name} row 1: expected the columns {FILENAME} and {LABEL}. Received: '
        f'{", ".join(header) or "an empty line"}. Name the column {needed} in the first line.'
      )
  names = [name for name in header if name]
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise DataError(
      f'{path.name} row 1: expected each column once. Received: {twice[0]} '
      f'{names.count(twice[0])} times. Rename or remove one.'
    )
  return tuple(name for name in names if name not in (FILENAME, LABEL, SPLIT))


def _check_columns(data: DataConfig, source: str, known: tuple[str, ...]) -> None:
  asked = [('data.slice_columns', name) for name in data.slice_columns]
  asked += [('data.group_columns', name) for name in data.group_columns]
  if data.split.time_column:
    asked.append(('data.split.time_column', data.split.time_column))
  for setting, name in asked:
    if name not in known:
      raise DataError(
        f'{setting}: expected columns of {source}: {", ".join(known) or "it has none"}. '
        f'Received: {name!r}. Correct the name, or add the column.'
      )


def _decisions(data: DataConfig, root: pathlib.Path) -> pathlib.Path | None:
  path = root / data.decisions
  if path.is_file():
    return path
  if path.name != _DEFAULT_DECISIONS:
    raise DataError(
      f'data.decisions: expected a CSV. Received: {path}, where there is none. '
      'Correct the name, or leave it out.'
    )
  return None


def _reading(path: pathlib.Path):
  try:
    return open(path, encoding='utf-8-sig', newline='')
  except OSError as error:
    raise DataError(
      f'{path}: expected a readable CSV. Received: {error}. Mend its permissions.'
    ) from error


def _class_folders(images: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    path
    for path in images.iterdir()
    if path.is_dir() and not path.name.startswith('.') and next(_files(path), None)
  )


def _given_splits(folders: Sequence[pathlib.Path]) -> dict[str, str]:
  """Returns the split that each folder stands for; {} where they are classes."""
  found = {folder.name: _SPLIT_FOLDERS.get(folder.name.lower(), '') for folder in folders}
  if len(found) > 1 and all(found.values()) and all(map(_class_folders, folders)):
    return found
  return {}


class _File(NamedTuple):
  """A file of a class folder, by its path below it; or a link to a folder."""

  name: str
  linked: bool = False


def _files(folder: pathlib.Path) -> Iterator[_File]:
  for parent, folders, names in os.walk(folder):
    folders[:] = sorted(name for name in folders if not name.startswith('.'))
    below = pathlib.Path(parent)
    for name in folders:
      if (below / name).is_symlink():
        yield _File((below / name).relative_to(folder).as_posix(), linked=True)
    for name in sorted(names):
      if not name.startswith('.') and name not in _LITTER:
        yield _File((below / name).relative_to(folder).as_posix())
