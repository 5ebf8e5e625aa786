"""splits.lock.csv: which image, by the hash of its bytes, belongs to which split.

A later run keeps to it, so that an image never moves from train to test because
other images came or went.
"""

import csv
import hashlib
import os
import pathlib
import re
import tempfile
from collections.abc import Iterable, Iterator

from components.image_example_gen.manifest import Manifest
from schemas import features
from schemas.config import DataConfig
from schemas.errors import DataError

FILE_NAME = 'splits.lock.csv'
COLUMNS = ('sha256', 'split')
# Stands for the hash of a lock that is not there.
ABSENT = 'absent'
_SHA256 = re.compile(r'[0-9a-f]{64}')


def lock_path(data: DataConfig, manifest: Manifest) -> pathlib.Path:
  """Returns data.lock, or splits.lock.csv beside the manifest."""
  return data.lock or manifest.lock_folder / FILE_NAME


def content_hash(path: pathlib.Path) -> str:
  """Returns the sha256 of the lock's bytes, or ABSENT."""
  try:
    return hashlib.sha256(path.read_bytes()).hexdigest()
  except (FileNotFoundError, NotADirectoryError):
    return ABSENT
  except OSError as error:
    raise _unreadable(path, error) from error


def read(path: pathlib.Path) -> Iterator[tuple[str, str]]:
  """Yields (sha256 of an image, its split); nothing where there is no lock.

  Raises:
    DataError: the file is not a split lock.
  """
  try:
    stream = open(path, encoding='utf-8-sig', newline='')
  except (FileNotFoundError, NotADirectoryError):
    return
  except OSError as error:
    raise _unreadable(path, error) from error
  with stream:
    try:
      reader = csv.reader(stream, strict=True)
      header = tuple(name.strip() for name in next(reader, []))
      if header != COLUMNS:
        raise _malformed(path, 1, f'the columns {",".join(COLUMNS)}', ','.join(header))
      for cells in reader:
        if not cells:
          continue
        if len(cells) != 2 or not _SHA256.fullmatch(cells[0]) or cells[1] not in features.SPLITS:
          raise _malformed(
            path,
            reader.line_num,
            f'64 hex digits and one of {", ".join(features.SPLITS)}',
            ','.join(cells),
          )
        yield cells[0], cells[1]
    except (csv.Error, UnicodeDecodeError) as error:
      raise _unreadable(path, error) from error


def write(path: pathlib.Path, rows: Iterable[tuple[str, str]]) -> None:
  """Writes the lock under a temporary name and renames it.

  Args:
    path: of the lock; left alone where it already says the same.
    rows: (sha256 of an image, its split), sorted.

  Raises:
    DataError: the folder cannot be written to.
  """
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
      with open(handle, 'w', encoding='utf-8', newline='') as stream:
        writer = csv.writer(stream, lineterminator='\n')
        writer.writerow(COLUMNS)
        writer.writerows(rows)
        stream.flush()
        os.fsync(stream.fileno())
      # mkstemp makes the file for its owner alone; the data belongs to a team.
      os.chmod(temporary, 0o666 & ~_umask())
      os.replace(temporary, path)
    except BaseException:
      pathlib.Path(temporary).unlink(missing_ok=True)
      raise
  except OSError as error:
    raise DataError(
      f'{path}: expected a folder where the split lock can be written. Received: {error}. '
      'Name a writable file with data.lock.'
    ) from error


def _umask() -> int:
  umask = os.umask(0o022)
  os.umask(umask)
  return umask


def _malformed(path: pathlib.Path, line: int, expected: str, received: str) -> DataError:
  return DataError(
    f'{path} line {line}: expected {expected}. Received: {received!r}. '
    'Mend the line, or remove the file for a new split.'
  )


def _unreadable(path: pathlib.Path, error: Exception) -> DataError:
  return DataError(
    f'{path}: expected a readable split lock. Received: {error}. '
    'Mend the file, or remove it for a new split.'
  )
