"""Writes scikit-learn's digits as files, as a person would have them."""

import csv
import io
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from schemas.errors import DataError

_IMAGES = 'images'
_LABELS = 'labels.csv'


def write(root: pathlib.Path) -> None:
  """Writes scikit-learn's handwritten digits: 1,797 grey PNG images of 8x8 pixels.

  From the test set of "Optical Recognition of Handwritten Digits" (E. Alpaydin
  and C. Kaynak, UCI Machine Learning Repository, 1998). Files that are already
  there and right are left alone, others are put right, and what lies beside them
  (such as a split lock) stays.

  Args:
    root: gets images/digit_0000.png and so on, and labels.csv (filename,label).

  Raises:
    DataError: the folder holds another data set, or cannot be written.
  """
  files = dict(_digits())
  try:
    if not root.exists():
      _create(root, files)
    elif not _is_right(root, files):
      _check_ours(root, files)
      _repair(root, files)
  except OSError as error:
    raise DataError(
      f'data.root: expected a folder that can be written. Received: {root}: {error}. '
      'Name another one with data.root.'
    ) from error


def _digits() -> Iterator[tuple[str, bytes]]:
  """Yields (path below root, bytes), labels.csv last."""
  # Both take long to import, and a run on other data needs neither.
  import numpy as np
  from PIL import Image
  from sklearn import datasets

  digits = datasets.load_digits()
  rows = [('filename', 'label')]
  # Values run from 0 to 16.
  pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
  for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True)):
    name = f'digit_{number:04d}.png'
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'PNG', optimize=False)
    rows.append((name, str(label)))
    yield f'{_IMAGES}/{name}', stream.getvalue()
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows(rows)
  yield _LABELS, text.getvalue().encode()


def _is_right(root: pathlib.Path, files: dict[str, bytes]) -> bool:
  try:
    return all((root / name).read_bytes() == content for name, content in files.items())
  except (FileNotFoundError, NotADirectoryError):
    return False


def _check_ours(root: pathlib.Path, files: dict[str, bytes]) -> None:
  try:
    with open(root / _LABELS, encoding='utf-8', errors='replace', newline='') as stream:
      names = [row[0] for row in csv.reader(stream) if row][1:]
  except FileNotFoundError:
    # A folder without labels.csv may still hold somebody's images.
    names = [path.name for path in root.rglob('*') if path.is_file()]
    names = [name for name in names if not name.startswith('.')]
  foreign = next((name for name in names if f'{_IMAGES}/{name}' not in files), None)
  if foreign is not None:
    raise DataError(
      f'data.root: expected the bundled digits or an empty folder, as data.bundled is digits. '
      f'Received: {root}, which holds {foreign!r}. Leave data.bundled out to use what is there, '
      'or name another folder.'
    )


def _create(root: pathlib.Path, files: dict[str, bytes]) -> None:
  root.parent.mkdir(parents=True, exist_ok=True)
  temporary = pathlib.Path(tempfile.mkdtemp(prefix=f'.{root.name}.', dir=root.parent))
  try:
    _write(temporary, files)
    temporary.chmod(0o755)
    temporary.rename(root)
  except BaseException:
    shutil.rmtree(temporary, ignore_errors=True)
    raise


def _repair(root: pathlib.Path, files: dict[str, bytes]) -> None:
  with tempfile.TemporaryDirectory(prefix='.repair.', dir=root) as folder:
    temporary = pathlib.Path(folder)
    _write(temporary, files)
    (root / _IMAGES).mkdir(exist_ok=True)
    # labels.csv comes last: until then a reader sees the old list.
    for name in files:
      os.replace(temporary / name, root / name)


def _write(folder: pathlib.Path, files: dict[str, bytes]) -> None:
  (folder / _IMAGES).mkdir()
  for name, content in files.items():
    (folder / name).write_bytes(content)
