"""An experiment as a YAML file that a person reads from top to bottom."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
import yaml

from schemas.config import Config

_WIDTH = 98


def experiment_text(tree: Mapping[str, Any], header: str, reasons: Mapping[str, str]) -> str:
  """Writes every field with its description as a comment.

  Args:
    tree: values that differ from the defaults, as the YAML file holds them.
    header: the first lines, without comment signs.
    reasons: key such as image.height to why it has its value; a line above it.

  Returns:
    YAML that `schemas.loader.load_config` reads. A field that is left open is a
    comment.
  """
  lines = [f'# {line}'.rstrip() for line in header.splitlines()]
  lines += _section(Config, tree, reasons, '')
  return '\n'.join(lines) + '\n'


def _section(
  node: type[pydantic.BaseModel], tree: Mapping[str, Any], reasons: Mapping[str, str], prefix: str
) -> Iterator[str]:
  indent = '  ' * prefix.count('.')
  for name, field in node.model_fields.items():
    key = field.alias or name
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
      if not prefix:
        yield ''
      lines = list(_section(kind, tree.get(key, {}), reasons, f'{prefix}{key}.'))
      # A section of comments alone would be an empty value.
      active = any(not line.lstrip().startswith('#') for line in lines)
      yield f'{indent}{"" if active else "# "}{key}:'
      yield from lines
      continue
    reason = reasons.get(f'{prefix}{key}')
    if reason:
      yield from (f'{indent}# {line}' for line in textwrap.wrap(reason, _WIDTH - len(indent)))
    value = tree.get(key, None if field.is_required() else field.default)
    text = f'{indent}{"# " if value is None else ""}{key}: {_scalar(value)}'.rstrip()
    yield from _commented(text, indent, field.description)


def _commented(text: str, indent: str, description: str | None) -> Iterator[str]:
  if not description:
    yield text
  elif len(text) + len(description) + 4 <= _WIDTH:
    yield f'{text}  # {description}'
  else:
    yield from (f'{indent}# {line}' for line in textwrap.wrap(description, _WIDTH - len(indent)))
    yield text


def _scalar(value: Any) -> str:
  if value is None:
    return ''
  value = list(value) if isinstance(value, tuple) else value
  text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
  return text.removesuffix('\n').removesuffix('\n...')
