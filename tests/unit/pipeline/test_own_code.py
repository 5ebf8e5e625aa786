"""Modules of a user's own: found beside the YAML file, and watched for changes."""

import importlib
import pathlib
import sys

import pytest

from models import dotted_path
from pipeline import own_code
from schemas.errors import ConfigError
from schemas.loader import build_config, load_config

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def path(monkeypatch):
  monkeypatch.setattr(sys, 'path', list(sys.path))
  before = set(sys.modules)
  yield
  for name in set(sys.modules) - before:
    if name.startswith(('mine', 'own_code')):
      del sys.modules[name]
  importlib.invalidate_caches()


def config(build_fn=None, fn=None):
  return build_config({'name': 'x', 'model': {'build_fn': build_fn}, 'augment': {'fn': fn}}, 'test')


def test_a_module_beside_the_file_is_found_and_comes_last(tmp_path):
  (tmp_path / 'mine_a.py').write_text('def build(): return 7\n')
  own_code.make_importable(config('mine_a.build'), tmp_path / 'x.yaml')
  assert sys.path[-1] == str(tmp_path)
  assert dotted_path.load('mine_a.build', 'model.build_fn')() == 7
  own_code.make_importable(config('mine_a.build'), tmp_path / 'x.yaml')
  assert sys.path.count(str(tmp_path)) == 1


def test_in_a_package_the_folder_that_holds_it_is_the_place():
  path = ROOT / 'examples/own_code/own_code.yaml'
  loaded = load_config(path)
  own_code.make_importable(loaded, path)
  for field, name in (
    ('model.build_fn', loaded.model.build_fn),
    ('augment.fn', loaded.augment.fn),
  ):
    assert callable(dotted_path.load(name, field))


def test_without_a_file_the_working_directory_takes_its_place(tmp_path, monkeypatch):
  (tmp_path / 'mine_b.py').write_text('def build(): return 8\n')
  monkeypatch.chdir(tmp_path)
  own_code.make_importable(config('mine_b.build'), None)
  assert dotted_path.load('mine_b.build', 'model.build_fn')() == 8


def test_without_own_functions_the_path_stays_as_it_is(tmp_path):
  before = list(sys.path)
  own_code.make_importable(config(), tmp_path / 'x.yaml')
  assert sys.path == before and own_code.fingerprint(config()) == ''


def test_a_module_that_a_library_hides_is_an_error(tmp_path):
  (tmp_path / 'keras.py').write_text('def build(): return 7\n')
  with pytest.raises(ConfigError, match=f'model.build_fn: expected {tmp_path}/keras.py.*Rename'):
    own_code.make_importable(config('keras.build'), tmp_path / 'x.yaml')


def test_a_change_in_what_a_module_imports_from_beside_it_is_seen(tmp_path):
  (tmp_path / 'mine_c.py').write_text('import numpy\nfrom mine_d import f\n')
  (tmp_path / 'mine_d.py').write_text('import mine_e.deep\nf = 1\n')
  (tmp_path / 'mine_e').mkdir()
  (tmp_path / 'mine_e/deep.py').write_text('g = 1\n')
  (tmp_path / 'mine_e/__init__.py').write_text('')
  (tmp_path / 'mine_unused.py').write_text('h = 1\n')
  given = config('mine_c.build')
  own_code.make_importable(given, tmp_path / 'x.yaml')
  seen = {own_code.fingerprint(given)}
  (tmp_path / 'mine_unused.py').write_text('h = 2\n')
  assert own_code.fingerprint(given) in seen
  for name in ('mine_c.py', 'mine_d.py', 'mine_e/deep.py'):
    with open(tmp_path / name, 'a') as stream:
      stream.write('# changed\n')
    assert own_code.fingerprint(given) not in seen
    seen.add(own_code.fingerprint(given))
  assert len(seen) == 4


def test_both_functions_count(tmp_path):
  (tmp_path / 'mine_f.py').write_text('x = 1\n')
  (tmp_path / 'mine_g.py').write_text('x = 1\n')
  own_code.make_importable(config('mine_f.build', 'mine_g.fn'), tmp_path / 'x.yaml')
  before = own_code.fingerprint(config('mine_f.build', 'mine_g.fn'))
  (tmp_path / 'mine_g.py').write_text('x = 2\n')
  assert own_code.fingerprint(config('mine_f.build', 'mine_g.fn')) != before


def test_a_module_that_is_nowhere_is_named(tmp_path):
  with pytest.raises(ConfigError, match='augment.fn: expected a module beside the config.*mine_h'):
    own_code.fingerprint(config(fn='mine_h.fn'))


def test_a_change_trains_anew(tmp_path):
  from pipeline import create_pipeline

  (tmp_path / 'mine_i.py').write_text('x = 1\n')
  given = build_config(
    {'name': 'x', 'model': {'build_fn': 'mine_i.build', 'weights': 'none'}}, 'test'
  )
  own_code.make_importable(given, tmp_path / 'x.yaml')
  before = create_pipeline._training_config(given)
  (tmp_path / 'mine_i.py').write_text('x = 2\n')
  after = create_pipeline._training_config(given)
  assert {key for key in before if before[key] != after[key]} == {'own_code_fingerprint'}
