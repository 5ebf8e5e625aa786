"""Every experiment loads, and every field of the config is read by something."""

import ast
import pathlib
import typing

import pydantic
import pytest

from schemas import features, loader
from schemas.config import Config

ROOT = pathlib.Path(__file__).parents[2]
# Fields that code reads by their names in a loop, which the search for
# attributes does not see: module, and the fields.
BY_NAME = (
  ('schemas/config.py', ('source', 'owner', 'licence', 'access', 'freshness')),
  (
    'schemas/config.py',
    ('task', 'input', 'output', 'users', 'out_of_scope', 'success', 'harms', 'privacy'),
  ),
  ('components/image_example_gen/split.py', features.SPLITS),
)
READERS = ('models', 'serving', 'components', 'pipeline')


def experiments():
  folders = (ROOT / 'pipeline/configs', ROOT / 'examples')
  return sorted(
    path for folder in folders for path in folder.rglob('*.y*ml') if '.github' not in path.parts
  )


def sections(node=Config):
  yield node
  for field in node.model_fields.values():
    for kind in classes(field.annotation):
      yield from sections(kind)


def classes(annotation):
  if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
    yield annotation
  for inner in typing.get_args(annotation):
    yield from classes(inner)


def attributes(code):
  """Returns the names that code reads as an attribute: `config.image.height`."""
  return {
    node.attr
    for node in ast.walk(ast.parse(code))
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
  }


def calls_getattr(code):
  return any(
    isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'getattr'
    for node in ast.walk(ast.parse(code))
  )


def consumed():
  files = [path for reader in READERS for path in (ROOT / reader).rglob('*.py')]
  return set().union(*(attributes(path.read_text()) for path in files))


def test_there_is_an_experiment():
  assert ROOT / 'pipeline/configs/digits.yaml' in experiments()


@pytest.mark.parametrize('path', experiments(), ids=lambda path: str(path.relative_to(ROOT)))
def test_an_experiment_loads(path, tmp_path):
  config = loader.load_config(path, working_directory=tmp_path)
  assert config.data.schema_path is None or config.data.schema_path.is_file()


def test_every_field_is_read_by_something():
  read = consumed()
  for module, names in BY_NAME:
    if calls_getattr((ROOT / module).read_text()):
      read |= set(names)
  unread = sorted(
    f'{section.__name__}.{name}'
    for section in sections()
    for name in section.model_fields
    if name not in read
  )
  assert unread == []


def test_a_field_that_is_only_named_is_not_read():
  assert attributes('config.image.height') == {'image', 'height'}
  assert attributes("height = 3\nconfig.width = 2\nprint('depth')") == set()


def test_every_section_is_looked_at():
  names = {section.__name__ for section in sections()}
  assert {'SplitConfig', 'CardConfig', 'StageConfig', 'SliceFloorConfig', 'RunConfig'} <= names
