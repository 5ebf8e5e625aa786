"""A bucket as destination: object by object, where no rename puts a folder into place at once.

A version is copied to a prefix that no server was told of. When every object of it is there
and was read back, the model config file is replaced by one write, which a bucket does whole
or not at all. Servers read that file and nothing else: it names the version.

  gs://bucket/serving/flowers/1795681024/saved_model.pb ...
  gs://bucket/serving/flowers.config
"""

import itertools
import pathlib
import posixpath
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2
from tfx.dsl.io import fileio

from components.publisher.destination import EMPTY, Published, next_number
from schemas import storage
from schemas.errors import ExportError, ServingError
from schemas.weights_hash import weights_sha256
from serving.model_config import PLATFORM
from serving.version_folders import SAVED_MODEL

_HASH = re.compile(r'^# version (\d+): weights_sha256 ([0-9a-f]{64})$', re.MULTILINE)
_BLOCK = 1 << 20
_T = TypeVar('_T')


class Bucket:
  """The versions of one model in a bucket.

  One run at a time may publish there: a bucket has no lock.
  """

  def __init__(self, base: str):
    """Takes the address of the model's folder: a URI, or the path below which it is mounted."""
    self.base = base.rstrip('/')
    self.config_file = f'{self.base}.config'
    self.model_name = posixpath.basename(self.base)

  def newest(self) -> Published | None:
    """Returns the version that servers are told to serve; None if there is none.

    Raises:
      ServingError: the bucket cannot be reached, or its config file is no such file.
    """
    return _said(self.config_file, lambda: self._published(*self._read()))

  def state(self) -> str:
    """Returns a short text that changes when servers are told of another version."""
    found = self.newest()
    return EMPTY if found is None else f'{found.version} {found.weights_sha256}'

  def publish(self, export: pathlib.Path, version: int | None = None) -> Published:
    """Makes the version that servers are told of one that holds the weights of `export`.

    Where it already does, nothing is written.

    Args:
      export: the folder with saved_model.pb.
      version: the number to take, where it would be the highest.

    Raises:
      ExportError: `export` is no SavedModel with variables.
      ServingError: the bucket cannot be written, or does not hold what was written. Servers
        go on with what they have.
    """
    if not (export / SAVED_MODEL).is_file():
      raise ExportError(f'{export}: expected a SavedModel. Received: no {SAVED_MODEL}.')
    digest = weights_sha256(export)

    def work() -> Published:
      text, config = self._read()
      found = self._published(text, config)
      if found is not None and found.weights_sha256 == digest:
        return found
      number = next_number(found.version if found else 0, version, self.base)
      folder = f'{self.base}/{number}'
      # Of an attempt that was cut off: no config file names it.
      if fileio.exists(folder):
        fileio.rmtree(folder)
      _copy(export, folder)
      self._switch(config, found, number, digest)
      return Published(number, folder, digest, new=True)

    return _said(self.base, work)

  def _read(self) -> tuple[str, model_server_config_pb2.ModelServerConfig]:
    config = model_server_config_pb2.ModelServerConfig()
    if not fileio.exists(self.config_file):
      return '', config
    with fileio.open(self.config_file, 'rb') as stream:
      text = stream.read().decode()
    try:
      text_format.Parse(text, config)
    except text_format.ParseError as error:
      raise ServingError(
        f'{self.config_file}: expected ModelServerConfig in its text format. Received: {error}.'
      ) from error
    return text, config

  def _published(
    self, text: str, config: model_server_config_pb2.ModelServerConfig
  ) -> Published | None:
    versions = self._row(config).model_version_policy.specific.versions
    if not versions:
      return None
    number = max(versions)
    hashes = {int(version): digest for version, digest in _HASH.findall(text)}
    return Published(number, f'{self.base}/{number}', hashes.get(number, ''))

  def _row(
    self, config: model_server_config_pb2.ModelServerConfig
  ) -> model_server_config_pb2.ModelConfig:
    """Returns what the config says of this model; added if it says nothing."""
    for row in config.model_config_list.config:
      if row.name == self.model_name:
        return row
    return config.model_config_list.config.add(name=self.model_name)

  def _switch(
    self,
    config: model_server_config_pb2.ModelServerConfig,
    before: Published | None,
    number: int,
    digest: str,
  ) -> None:
    row = self._row(config)
    row.base_path = storage.uri_of_mount(self.base)
    row.model_platform = PLATFORM
    row.model_version_policy.specific.versions[:] = [number]
    for label, version in row.version_labels.items():
      # A label of a version that is not served would have the whole file refused.
      if before is not None and version == before.version:
        row.version_labels[label] = number
    head = (
      '# Written by Publisher when the last object of a version is there: servers read this file\n'
      f'# with --model_config_file, and follow it.\n# version {number}: weights_sha256 {digest}\n'
    )
    with fileio.open(self.config_file, 'wb') as stream:
      stream.write((head + text_format.MessageToString(config)).encode())


def _copy(export: pathlib.Path, folder: str) -> None:
  """Copies every file, saved_model.pb last, and reads each back.

  Raises:
    ServingError: an object is not what was written.
  """
  files = sorted(
    (path for path in export.rglob('*') if path.is_file()),
    key=lambda path: (path.name == SAVED_MODEL, path.as_posix()),
  )
  for path in files:
    target = f'{folder}/{path.relative_to(export).as_posix()}'
    fileio.makedirs(posixpath.dirname(target))
    with open(path, 'rb') as source, fileio.open(target, 'wb') as copy:
      for block in iter(lambda: source.read(_BLOCK), b''):
        copy.write(block)
  for path in files:
    target = f'{folder}/{path.relative_to(export).as_posix()}'
    with open(path, 'rb') as source, fileio.open(target, 'rb') as copy:
      for expected, received in itertools.zip_longest(_blocks(source), _blocks(copy)):
        if expected != received:
          raise ServingError(
            f'{target}: expected the bytes of {path}. Received: others. Servers were not told of '
            'this version. Run again.'
          )


def _blocks(stream) -> Iterator[bytes]:
  return iter(lambda: stream.read(_BLOCK), b'')


def _said(where: str, work: Callable[[], _T]) -> _T:
  try:
    return work()
  except (OSError, UnicodeDecodeError, tf.errors.OpError, fileio.NotFoundError) as error:
    raise ServingError(
      f'{where}: expected a bucket that can be read and written. Received: {error}. Check its '
      'name and the credentials of this process (GOOGLE_APPLICATION_CREDENTIALS, or the service '
      'account); servers go on with what they have.'
    ) from error
