"""A schema as the text that a person keeps: changed where it changed, comments and all."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

# A string, a comment or a brace; whatever lies between them does not matter.
_TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#[^\n]*|[{}]')
_FEATURE = re.compile(r'feature\s*:?\s*\{')


class Rewritten(NamedTuple):
  """A schema's new text.

  Attributes:
    text: of the whole schema.
    lost: comments that are no longer in it.
  """

  text: str
  lost: list[str]


def rewrite(text: str, old: schema_pb2.Schema, new: schema_pb2.Schema) -> Rewritten:
  """Returns the text of `new`, with that of `old` wherever the two agree.

  A comment above a feature stays with it, one inside a feature that changed goes.
  Where the text cannot be taken apart, all of them go.

  Args:
    text: of `old`.
    old: as it was read from the text.
    new: features may have changed, come or gone.
  """
  before = {feature.name: feature for feature in old.feature}
  after = {feature.name: feature for feature in new.feature}
  pieces = []
  for piece in _pieces(text):
    feature = _feature_in(piece)
    if feature is None or before.get(feature.name) == after.get(feature.name):
      pieces.append(piece)
    elif feature.name in after:
      start = _FEATURE.search(_without_comments(piece))
      if start is None:
        break  # not written as a person would: what comes out is not `new`
      pieces.append(f'{piece[: start.start()]}{_block(after[feature.name])}')
  pieces += [f'\n{_block(after[name])}' for name in after if name not in before]
  made = ''.join(pieces)
  if _parsed(made) != new:
    made = text_format.MessageToString(new)
  return Rewritten(made, [comment for comment in _comments(text) if comment not in made])


def _pieces(text: str) -> Iterator[str]:
  """Yields the text in pieces, each up to the end of a block at the top."""
  depth = start = 0
  for token in _TOKEN.finditer(text):
    depth += {'{': 1, '}': -1}.get(token[0], 0)
    if token[0] == '}' and depth == 0:
      yield text[start : token.end()]
      start = token.end()
  yield text[start:]


def _feature_in(piece: str) -> schema_pb2.Feature | None:
  schema = _parsed(piece)
  return schema.feature[0] if schema is not None and len(schema.feature) == 1 else None


def _parsed(text: str) -> schema_pb2.Schema | None:
  try:
    return text_format.Parse(text, schema_pb2.Schema())
  except text_format.ParseError:
    return None


def _block(feature: schema_pb2.Feature) -> str:
  schema = schema_pb2.Schema()
  schema.feature.append(feature)
  return text_format.MessageToString(schema).rstrip('\n')


def _without_comments(piece: str) -> str:
  """Returns text of the same length, with blanks for comments."""
  return _TOKEN.sub(lambda token: ' ' * len(token[0]) if token[0][0] == '#' else token[0], piece)


def _comments(text: str) -> list[str]:
  return [token[0] for token in _TOKEN.finditer(text) if token[0][0] == '#']
