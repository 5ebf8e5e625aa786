"""Fetches a published archive of photos, one folder a class, and unpacks it.

What arrives is trusted by its hash alone. Archive and photos lie in a folder
`.NAME.part` beside the target until all is complete; the target then appears by
one rename. An archive that is whole is not fetched again after an interruption.
"""

import contextlib
import dataclasses
import errno
import fcntl
import os
import pathlib
import shlex
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping

from schemas.errors import DataError

# Photos are compressed already: unpacked they take little more than the archive.
_ROOM = 2.2
# One file, in bytes: far above any photo of these archives.
_LARGEST = 1 << 26
# Seconds to connect, and of silence.
_PATIENCE = (10, 60)
_ARCHIVE = 'archive.tgz'
_UNPACKED = 'unpacked'


@dataclasses.dataclass(frozen=True)
class PhotoArchive:
  """Where an archive lies and what is in it.

  Attributes:
    url: of a .tgz.
    sha256: of the archive, hex.
    size: of the archive, bytes.
    folder: the one folder at the top of the archive; it is not kept.
    classes: number of photos by folder.
    beside: files beside the class folders that are kept, such as the licence.
  """

  url: str
  sha256: str
  size: int
  folder: str
  classes: Mapping[str, int]
  beside: tuple[str, ...] = ()


def fetch(archive: PhotoArchive, root: pathlib.Path) -> None:
  """Makes `root` a folder with one subfolder a class.

  Where it is that already, nothing is fetched and nothing written.

  Raises:
    DataError: the archive cannot be fetched or is not the one that is expected,
      the folder holds something else, or there is no room.
  """
  root = root.absolute()
  try:
    if _is_complete(archive, root):
      return
    _check_free(archive, root)
    root.parent.mkdir(parents=True, exist_ok=True)
    with _part_folder(root) as part:
      packed = _download(archive, part, root)
      _unpack(archive, packed, part / _UNPACKED, root)
      if root.is_dir():
        root.rmdir()  # It is empty.
      (part / _UNPACKED).rename(root)
      shutil.rmtree(part)
  except OSError as error:
    raise _unwritable(archive, root, error) from error


def _is_complete(archive: PhotoArchive, root: pathlib.Path) -> bool:
  return all(
    (root / name).is_dir() and _count(root / name) == count
    for name, count in archive.classes.items()
  )


def _count(folder: pathlib.Path) -> int:
  return sum(not entry.name.startswith('.') and entry.is_file() for entry in os.scandir(folder))


def _check_free(archive: PhotoArchive, root: pathlib.Path) -> None:
  if not root.exists():
    return
  found = sorted(path.name for path in root.iterdir()) if root.is_dir() else ['a file']
  if found:
    counts = ', '.join(f'{name} {count}' for name, count in archive.classes.items())
    raise DataError(
      f'{root}: expected the folders {counts}, or nothing. Received: {", ".join(found[:5])}'
      f'{" and more" if len(found) > 5 else ""}. Nothing was changed. Remove the folder to have '
      'it fetched anew, or name another one with --output.'
    )


@contextlib.contextmanager
def _part_folder(root: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields the folder for what is not complete, held against a second process."""
  part = root.parent / f'.{root.name}.part'
  part.mkdir(exist_ok=True)
  with open(part / 'lock', 'w', encoding='utf-8') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      raise DataError(f'{root}: another process is fetching it. Wait for that one.') from error
    # What an earlier one left when it was killed; only a whole archive is of use.
    for path in part.iterdir():
      if path.is_dir():
        shutil.rmtree(path)
      elif path.name not in ('lock', _ARCHIVE):
        path.unlink()
    try:
      yield part
    finally:
      # A lock that guards nothing is litter.
      if part.is_dir() and [path.name for path in part.iterdir()] == ['lock']:
        shutil.rmtree(part)


def _download(archive: PhotoArchive, part: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
  """Returns the archive, with the right hash; one that is there already is taken."""
  # Both take long to import.
  import pooch
  import requests

  free = shutil.disk_usage(part).free
  if free < _ROOM * archive.size:
    raise OSError(errno.ENOSPC, f'{free / 1e6:.0f} MB are free')
  pooch.get_logger().setLevel('WARNING')
  try:
    return pathlib.Path(
      pooch.retrieve(
        archive.url,
        f'sha256:{archive.sha256}',
        fname=_ARCHIVE,
        path=part,
        downloader=pooch.HTTPDownloader(timeout=_PATIENCE, chunk_size=1 << 16),
      )
    )
  except requests.RequestException as error:
    raise DataError(
      f'{archive.url}: expected an answer of {archive.size / 1e6:.3g} MB. Received: '
      f'{_first_line(error)}. Nothing was written. {_alternatives(archive, root)}'
    ) from error
  # Pooch's own word for a wrong hash; it has removed the file.
  except ValueError as error:
    raise DataError(
      f'{archive.url}: expected an archive with sha256 {archive.sha256}. Received: another one. '
      f'It was removed. Run the command again; if that does not help, the published archive has '
      f'changed. {_alternatives(archive, root)}'
    ) from error


def _unpack(
  archive: PhotoArchive, packed: pathlib.Path, folder: pathlib.Path, root: pathlib.Path
) -> None:
  folder.mkdir()
  try:
    with tarfile.open(packed, 'r:gz') as stream:
      for member in stream:
        target = _target(archive, member)
        if target:
          stream.extract(member.replace(name=target, deep=False), folder, filter='data')
  except (tarfile.TarError, EOFError, zlib.error) as error:
    raise DataError(
      f'{archive.url}: expected an archive that can be unpacked. Received: {error}. '
      f'{_alternatives(archive, root)}'
    ) from error
  if not _is_complete(archive, folder):
    found = {path.name: _count(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    raise DataError(
      f'{archive.url}: expected {dict(archive.classes)} photos. Received: {found}. '
      f'Nothing was kept. {_alternatives(archive, root)}'
    )


def _target(archive: PhotoArchive, member: tarfile.TarInfo) -> str:
  """Returns where a member goes, below the target; '' where it is not wanted.

  Raises:
    DataError: it is no plain file, lies outside its folder or is too large.
  """
  parts = pathlib.PurePosixPath(member.name).parts
  if member.name.startswith('/') or '..' in parts or not (member.isfile() or member.isdir()):
    raise DataError(
      f'{archive.url}: expected plain files below {archive.folder}/. Received: {member.name!r}, '
      'a link, a device, or a path that leads out. Nothing was kept.'
    )
  if member.size > _LARGEST:
    raise DataError(
      f'{archive.url}: expected files of at most {_LARGEST / 1e6:.0f} MB. Received: '
      f'{member.name!r} of {member.size / 1e6:.0f} MB. Nothing was kept.'
    )
  if not member.isfile() or not parts or parts[0] != archive.folder or parts[-1].startswith('.'):
    return ''
  if len(parts) == 3 and parts[1] in archive.classes:
    return '/'.join(parts[1:])
  return parts[1] if len(parts) == 2 and parts[1] in archive.beside else ''


def _unwritable(archive: PhotoArchive, root: pathlib.Path, error: OSError) -> DataError:
  if error.errno == errno.ENOSPC:
    return DataError(
      f'{root}: expected {_ROOM * archive.size / 1e6:.3g} MB of free disk. Received: '
      f'{error.strerror}. Make room, or name a folder on another disk with --output.'
    )
  return DataError(
    f'{root}: expected a folder that can be written. Received: {error}. '
    'Name another one with --output.'
  )


def _alternatives(archive: PhotoArchive, root: pathlib.Path) -> str:
  name, folder = archive.url.rpartition('/')[2], shlex.quote(str(root))
  return (
    f'Or fetch {name} on another machine and unpack it: mkdir -p {folder} && '
    f'tar -xzf {name} --strip-components 1 -C {folder}. '
    'Or use photos of your own: sightline run --data-root DIR'
  )


def _first_line(error: BaseException) -> str:
  return (str(error).strip().splitlines() or [type(error).__name__])[0]
