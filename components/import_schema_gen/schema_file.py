"""A curated schema as a file: whether it can be read, what it says, and how it is written."""

import hashlib
import os
import pathlib
import tempfile

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from schemas.errors import ConfigError


def content_hash(path: pathlib.Path | str) -> str:
  """Hashes what a schema says; comments and the order of its keys do not count.

  Raises:
    ConfigError: the file cannot be read, or is no schema.
  """
  schema = parse(read_text(path), path)
  return hashlib.sha256(schema.SerializeToString(deterministic=True)).hexdigest()


def read_text(path: pathlib.Path | str) -> str:
  """Returns the text of a schema file.

  Raises:
    ConfigError: the file cannot be read.
  """
  try:
    return pathlib.Path(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise ConfigError(
      f'data.schema: expected a readable schema.pbtxt. Received: {path} '
      f'({getattr(error, "strerror", None) or error}). Correct the path, write it with '
      '`sightline data schema infer`, or leave data.schema out to have the schema inferred.'
    ) from error


def parse(text: str, path: pathlib.Path | str) -> schema_pb2.Schema:
  """Returns the schema that a text says.

  Args:
    text: of the file.
    path: stands in the error.

  Raises:
    ConfigError: it is no schema.
  """
  try:
    return text_format.Parse(text, schema_pb2.Schema())
  except text_format.ParseError as error:
    raise ConfigError(
      f'data.schema: expected a TFDV schema as text. Received: {path}, which at {error}. '
      'Mend that line.'
    ) from error


def write(path: pathlib.Path, text: str) -> None:
  """Writes a schema under a temporary name and renames it: it is there whole or not at all.

  Raises:
    ConfigError: the folder cannot be written to.
  """
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    handle, temporary = tempfile.mkstemp(prefix=f'.{path.name}.', dir=path.parent)
    try:
      with open(handle, 'w', encoding='utf-8') as stream:
        stream.write(text)
      if mode is None:
        os.umask(umask := os.umask(0o022))
        mode = 0o666 & ~umask
      os.chmod(temporary, mode)
      os.replace(temporary, path)
    except BaseException:
      pathlib.Path(temporary).unlink(missing_ok=True)
      raise
  except OSError as error:
    raise ConfigError(
      f'data.schema: expected a file that can be written. Received: {path} '
      f'({error.strerror or error}). Name another with --output, or mend its permissions.'
    ) from error
