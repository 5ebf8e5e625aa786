"""The suite itself: its table, and who was asked."""

import collections
import pathlib
import re
import shutil

import pytest

from tests.e2e.conformance import processes

FOLDER = pathlib.Path(__file__).parent
_ROW = re.compile(r'^\| `(test_\w+\.py)` \|.*\| (\d+) \|$', re.MULTILINE)


def test_the_table_counts_the_cases(request):
  if any('::' in arg for arg in request.config.args) or request.config.option.keyword:
    pytest.skip('a part of the cases was asked for')
  table = {name: int(count) for name, count in _ROW.findall((FOLDER / 'README.md').read_text())}
  collected = collections.Counter(
    item.path.name
    for item in request.session.items
    if item.path.parent == FOLDER
    # One server more asks no other cases.
    and processes.TENSORFLOW_SERVING not in item.name
  )
  del collected[pathlib.Path(__file__).name]
  assert collected == {name: count for name, count in table.items() if name in collected}
  assert set(table) == {path.name for path in FOLDER.glob('test_*.py')} - {'test_suite.py'}


def test_tensorflow_serving_was_asked(request):
  """Says once that the cases were put to the embedded server alone."""
  if not shutil.which(processes.TENSORFLOW_SERVING) and not request.config.getoption('--server'):
    pytest.skip(
      'needs tensorflow_model_server on PATH, or --server; see '
      'deploy/conformance/run_against_tensorflow_serving.sh'
    )
