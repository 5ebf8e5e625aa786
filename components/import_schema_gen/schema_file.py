"""A curated schema as a file: whether it can be read, and what it says."""

import hashlib
import pathlib

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from schemas.errors import ConfigError


def content_hash(path: pathlib.Path | str) -> str:
  """Hashes what a schema says; comments and the order of its keys do not count.

  Raises:
    ConfigError: the file cannot be read, or is no schema.
  """
  try:
    text = pathlib.Path(path).read_text(encoding='utf-8')
  except (OSError, UnicodeDecodeError) as error:
    raise ConfigError(
      f'data.schema: expected a readable schema.pbtxt. Received: {path} '
      f'({getattr(error, "strerror", None) or error}). Correct the path, or leave data.schema '
      'out to have the schema inferred.'
    ) from error
  try:
    schema = text_format.Parse(text, schema_pb2.Schema())
  except text_format.ParseError as error:
    raise ConfigError(
      f'data.schema: expected a TFDV schema as text. Received: {path}, which at {error}. '
      'Mend that line.'
    ) from error
  return hashlib.sha256(schema.SerializeToString(deterministic=True)).hexdigest()
