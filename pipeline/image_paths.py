"""Which files somebody means who names files and folders of images."""

import dataclasses
import os
import pathlib
from collections.abc import Iterable

# What models.image_file takes, by the names that such files usually have.
SUFFIXES = frozenset(
  '.jpg .jpeg .jpe .jfif .png .gif .bmp .dib .webp .tif .tiff .heic .heif .avif'.split()
)


@dataclasses.dataclass(frozen=True)
class ImagePaths:
  """What was found.

  Attributes:
    files: in the order of what was named, those of a folder by name. A folder that cannot
      be read is among them, as reading it as a file says why.
    passed_over: how many files of folders have another suffix.
  """

  files: tuple[pathlib.Path, ...]
  passed_over: int


def find(named: Iterable[pathlib.Path]) -> ImagePaths:
  """Looks for images: a file counts whatever its name, in a folder the suffix decides.

  Folders are searched to the bottom, symbolic links to folders and hidden names left out.
  """
  files: list[pathlib.Path] = []
  passed_over = 0
  for path in named:
    if path.is_dir():
      inside = _in_folder(path)
      files += inside.files
      passed_over += inside.passed_over
    else:
      files.append(path)
  return ImagePaths(tuple(files), passed_over)


def _in_folder(path: pathlib.Path) -> ImagePaths:
  files: list[pathlib.Path] = []
  unreadable: list[pathlib.Path] = []
  passed_over = 0

  # os.walk tells what it cannot list, and goes on.
  def note(error: OSError) -> None:
    unreadable.append(pathlib.Path(error.filename))

  for folder, folders, names in os.walk(path, onerror=note):
    folders[:] = sorted(name for name in folders if not name.startswith('.'))
    shown = [name for name in sorted(names) if not name.startswith('.')]
    images = [name for name in shown if pathlib.Path(name).suffix.lower() in SUFFIXES]
    files += [pathlib.Path(folder, name) for name in images]
    passed_over += len(shown) - len(images)
  return ImagePaths((*files, *unreadable), passed_over)
