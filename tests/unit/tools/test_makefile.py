"""The targets that can cost somebody work, or silently test nothing."""

import pathlib
import re
import shlex

ROOT = pathlib.Path(__file__).parents[3]


def test_clean_removes_only_what_can_be_made_again():
  (recipe,) = re.findall(r'^clean:.*\n((?:\t.*\n?)+)', (ROOT / 'Makefile').read_text(), re.M)
  assert [shlex.split(line) for line in recipe.splitlines()] == [['rm', '-rf', '.venv', 'build']]


def test_something_is_left_to_the_long_tests():
  marked = re.compile(r'pytest\.mark\.long\b')
  tests = (ROOT / 'tests').rglob('test_*.py')
  assert any(marked.search(path.read_text()) for path in tests if path.name != 'test_makefile.py')
