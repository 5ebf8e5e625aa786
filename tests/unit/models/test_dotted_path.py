"""A user's function by its path: found, or a text that says what is wrong."""

import pytest

from models import dotted_path
from schemas.errors import ConfigError

MODULE = """
import math
limit = 3
def change(pixels, labels, seed):
  return pixels, labels
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
  folder = tmp_path / 'somebodys_package'
  folder.mkdir()
  (folder / '__init__.py').write_text('')
  (folder / 'augment.py').write_text(MODULE)
  (folder / 'needs.py').write_text('import a_library_that_is_missing\n')
  (folder / 'broken.py').write_text('def change(:\n')
  (folder / 'failing.py').write_text('raise RuntimeError("no licence")\n')
  monkeypatch.syspath_prepend(tmp_path)


def test_a_function_is_found(package):
  change = dotted_path.load('somebodys_package.augment.change', 'augment.fn')
  assert change(1, 2, 3) == (1, 2)


@pytest.mark.parametrize(
  ('path', 'expected'),
  [
    ('nowhere.augment.change', 'no module nowhere. Install it, or put the folder'),
    ('somebodys_package.other.change', 'no module somebodys_package.other'),
    ('somebodys_package.augment.chnage', 'has no chnage. Its functions: change.'),
    ('somebodys_package.augment.limit', 'expected a function.*of type int'),
    ('somebodys_package.needs.change', 'needs imports a_library_that_is_missing'),
    ('somebodys_package.broken.change', 'failed with SyntaxError'),
    ('somebodys_package.failing.change', 'failed with RuntimeError: no licence'),
    ('change', 'expected package.module.function'),
  ],
)
def test_a_mistake_is_named_with_its_field(package, path, expected):
  with pytest.raises(ConfigError, match=f'^augment.fn: .*{expected}'):
    dotted_path.load(path, 'augment.fn')
