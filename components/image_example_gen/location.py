"""Where the file of a row lies; never outside the data folder."""

import pathlib
import unicodedata

from schemas.errors import DataError

# Reasons, as they stand in quarantine.csv.
OUTSIDE_ROOT = 'outside_root'
MISSING_FILE = 'missing_file'


class FileError(DataError):
  """A row names a file that cannot be used.

  Attributes:
    reason: OUTSIDE_ROOT or MISSING_FILE.
  """

  def __init__(self, reason: str, detail: str):
    super().__init__(detail)
    self.reason = reason


def locate(
  images: pathlib.Path, real_folders: tuple[pathlib.Path, ...], filename: str
) -> pathlib.Path:
  """Returns the path of an image.

  A name that is written with composed letters also finds the file that is stored
  with decomposed ones, and the other way round.

  Args:
    images: the folder that filenames are relative to.
    real_folders: those that the file may lie in, with links resolved; the first
      is the data folder.
    filename: as the manifest says.

  Raises:
    FileError: it is no file, or lies outside the data folder, by its name or
      through a link.
  """
  written = pathlib.PurePath(filename)
  if written.is_absolute() or '..' in written.parts:
    raise FileError(OUTSIDE_ROOT, f'expected a path below {images}. Received: {filename!r}.')
  try:
    path = (images / written).resolve()
    found = path.is_file()
    for form in ('NFC', 'NFD') if not found and not filename.isascii() else ():
      other = (images / unicodedata.normalize(form, filename)).resolve()  # type: ignore[arg-type]
      if other.is_file():
        path, found = other, True
        break
  except (OSError, ValueError, RuntimeError) as error:
    raise FileError(MISSING_FILE, f'no such file under {images}: {error}.') from error
  # images/ itself may be a link to another disk: its owner made it.
  if not any(path.is_relative_to(folder) for folder in real_folders):
    raise FileError(
      OUTSIDE_ROOT, f'expected a file below {real_folders[0]}. Received: a link to {path}.'
    )
  if not found:
    raise FileError(MISSING_FILE, f'not found under {images}.')
  return path
