"""Imports flow one way: schemas <- models <- serving <- components <- pipeline."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Each may import those before it.
LAYERS = ('schemas', 'models', 'serving', 'components', 'pipeline')
EMPTY_NAMES = {'util', 'utils', 'helper', 'helpers', 'common', 'misc'}


def modules():
  return sorted(path for layer in LAYERS for path in (ROOT / layer).rglob('*.py'))


def imported(tree):
  """Yields (line, top-level name) of every import, those inside functions too."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield node.lineno, alias.name.partition('.')[0]
    elif isinstance(node, ast.ImportFrom):
      yield node.lineno, '.' if node.level else node.module.partition('.')[0]


def arrows_back(layer, tree):
  allowed = LAYERS[: LAYERS.index(layer) + 1]
  outside = {*LAYERS, 'tests', 'tools', 'benchmarks', '.'} - set(allowed)
  return [(line, name) for line, name in imported(tree) if name in outside]


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_arrow_runs_back(path):
  layer = path.relative_to(ROOT).parts[0]
  assert arrows_back(layer, ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
  ('layer', 'code', 'found'),
  [
    ('models', 'import serving.session', [(1, 'serving')]),
    ('schemas', 'def f():\n  from models import x', [(2, 'models')]),
    ('components', 'from pipeline.doctor import x', [(1, 'pipeline')]),
    ('components', 'from . import x', [(1, '.')]),
    ('pipeline', 'import schemas, models, components.artifacts', []),
    ('schemas', 'import yaml', []),
  ],
)
def test_the_rule_sees_what_it_is_for(layer, code, found):
  assert arrows_back(layer, ast.parse(code)) == found


@pytest.mark.parametrize('path', modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_names_say_what_a_module_does(path):
  assert not EMPTY_NAMES & set(path.relative_to(ROOT).with_suffix('').parts)


def test_every_folder_is_a_package():
  folders = {path.parent for path in modules()}
  missing = [folder for folder in folders if not (folder / '__init__.py').exists()]
  assert missing == []


@pytest.mark.parametrize('name', ['pipeline', 'pipeline.__main__', 'schemas.loader', 'components'])
def test_what_the_command_line_imports_at_its_start_is_light(name):
  code = (
    f'import {name}, sys; '
    'print([m for m in ("tensorflow", "tfx", "ml_metadata", "keras", "apache_beam", "kfp") '
    'if m in sys.modules])'
  )
  done = subprocess.run(
    [sys.executable, '-c', code],
    capture_output=True,
    text=True,
    check=True,
    env={**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'},
  )
  assert done.stdout.strip() == '[]'
