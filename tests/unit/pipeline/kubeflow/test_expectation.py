"""The guard: an image that differs from what was compiled is refused before any work."""

import dataclasses
import os
import pathlib
import re
import subprocess
import sys

import pytest

from pipeline.kubeflow import container, expectation
from schemas.errors import RunError

ROOT = pathlib.Path(__file__).parents[4]
HERE = expectation.compiled_here()


def start(expected, **environment):
  """Starts the entry of a container, with nothing that it could work on."""
  return subprocess.run(
    [sys.executable, '-X', 'importtime', *container.COMMAND[1:], container.EXPECT]
    + [expected, '--json_serialized_invocation_args', 'no work'],
    cwd='/',
    text=True,
    capture_output=True,
    env={'PATH': os.environ['PATH'], 'PYTHONPATH': str(ROOT)} | environment,
  )


@pytest.mark.parametrize(
  ('planted', 'environment', 'words'),
  [
    ({'keras': '2'}, {}, 'keras: compiled with 2, here 3'),
    ({'lock': '0123'}, {}, f'lock: compiled with 0123, here {HERE.lock}'),
    ({'code': 'abcd'}, {}, f'code: compiled with abcd, here {HERE.code}'),
    ({'python': '3.10'}, {}, 'python: compiled with 3.10, here 3.11'),
    ({}, {'TF_USE_LEGACY_KERAS': '1'}, 'legacy_keras: compiled with False, here True'),
  ],
)
def test_a_difference_stops_the_container(planted, environment, words):
  done = start(dataclasses.replace(HERE, **planted).to_json(), **environment)
  (said,) = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
  assert done.returncode == 1
  assert words in said
  assert 'Build the image from the same checkout' in said
  # Nothing but what differs is named.
  assert said.count('compiled with') == 2
  assert not re.search(r'\| +(tensorflow|tfx|kfp|keras)$', done.stderr, re.M)


def test_without_a_difference_the_work_begins(monkeypatch):
  # A library sets it when another test of this process imports it.
  monkeypatch.delenv('TF_USE_LEGACY_KERAS', raising=False)
  expectation.check(HERE)


def test_a_package_of_another_version_stops_it(monkeypatch):
  monkeypatch.delenv('TF_USE_LEGACY_KERAS', raising=False)
  check = expectation.doctor.Check('versions', False, 'keras 3.14 (locked: 3.15)', '')
  monkeypatch.setattr(expectation.doctor, 'check_versions', lambda: check)
  with pytest.raises(RunError, match='installed: keras 3.14'):
    expectation.check(HERE)


def test_what_a_library_does_to_this_process_is_not_compiled_in(monkeypatch):
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '1')
  assert expectation.found_here().legacy_keras
  assert not expectation.compiled_here().legacy_keras


def test_only_names_and_versions_of_a_lock_count():
  one = 'a==1 \\\n    --hash=sha256:00\nb==2\n'
  assert expectation.lock_hash(one) == expectation.lock_hash('# other\nb==2\na==1\n')
  assert expectation.lock_hash(one) != expectation.lock_hash('a==1\nb==3\n')


def test_what_is_written_is_read():
  assert expectation.Expectation.from_json(HERE.to_json()) == HERE


@pytest.mark.parametrize('text', ['', '{}', '[1]', '{"keras": "3", "more": 1}'])
def test_anything_else_is_refused(text):
  with pytest.raises(RunError, match='--expect'):
    expectation.Expectation.from_json(text)
