"""Which worker a process is, and how it waits for the chief."""

import json
import socket

import pytest

from models.training import call, process
from pipeline import training_job
from schemas.config import Config
from schemas.errors import ConfigError, TrainingError

SET = {
  'JOB_COMPLETION_INDEX': '1',
  'SIGHTLINE_WORKERS': '3',
  'SIGHTLINE_HOSTS': 'train-{index}.train',
}


def test_an_indexed_job_becomes_tf_config():
  assert json.loads(training_job.member(SET).tf_config()) == {
    'cluster': {'worker': ['train-0.train:2222', 'train-1.train:2222', 'train-2.train:2222']},
    'task': {'type': 'worker', 'index': 1},
  }
  other = training_job.member({**SET, 'SIGHTLINE_PORT': '3000'})
  assert other.address(2) == ('train-2.train', 3000)


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    ({'JOB_COMPLETION_INDEX': ''}, 'JOB_COMPLETION_INDEX: .*Received: nothing'),
    ({'JOB_COMPLETION_INDEX': '3'}, 'expected 0 to 2, for SIGHTLINE_WORKERS 3. Received: 3'),
    ({'SIGHTLINE_WORKERS': '0'}, 'SIGHTLINE_WORKERS: .*at least 1.*Received: 0'),
    ({'SIGHTLINE_WORKERS': 'two'}, 'SIGHTLINE_WORKERS: .*Received: two'),
    ({'SIGHTLINE_HOSTS': ''}, 'SIGHTLINE_HOSTS: .*Received: nothing'),
    ({'SIGHTLINE_HOSTS': 'localhost'}, 'SIGHTLINE_HOSTS: .*Received: localhost'),
    ({'SIGHTLINE_PORT': '-1'}, 'SIGHTLINE_PORT: .*Received: -1'),
  ],
)
def test_what_makes_no_member_is_named(change, said):
  with pytest.raises(ConfigError, match=said):
    training_job.member({**SET, **change})


def test_it_waits_for_the_call_and_for_the_chief_itself(tmp_path):
  path = tmp_path / call.FILE
  with socket.socket() as chief:
    chief.bind(('127.0.0.1', 0))
    own = training_job.Member(1, 2, '127.0.0.1', chief.getsockname()[1])
    slept = []

    def sleep(seconds):
      slept.append(seconds)
      if len(slept) == 1:
        path.touch()  # a call alone may be of an earlier attempt
      else:
        chief.listen()

    training_job.wait_for_chief(own, path, sleep)
  assert len(slept) == 2


@pytest.fixture
def settings(tmp_path):
  return Config.model_validate({'name': 'x', 'run': {'root': str(tmp_path)}})


def test_the_first_runs_the_pipeline_without_the_call_of_an_earlier_attempt(settings):
  stale = settings.run.root / 'state' / call.FILE
  stale.parent.mkdir()
  stale.touch()
  own = training_job.Member(0, 2, 'x-{index}')
  command = ['python', '-c', f'import os, sys; sys.exit(7 + os.path.exists({str(stale)!r}))']
  assert training_job.run(settings, own, command) == 7


def test_another_takes_part_in_the_call_of_the_chief(settings, monkeypatch):
  taken = []
  monkeypatch.setattr(training_job, 'wait_for_chief', lambda own, path: None)
  monkeypatch.setattr(process, 'take_part', taken.append)
  assert training_job.run(settings, training_job.Member(1, 2, 'x-{index}'), []) == 0
  assert taken == [settings.run.root / 'state' / call.FILE]


def test_a_worker_that_cannot_read_its_call_says_so_in_its_own_words(tmp_path):
  with pytest.raises(
    TrainingError, match=r'training_call\.json: expected what a Trainer is called'
  ):
    process.take_part(tmp_path / call.FILE)


def test_a_worker_that_is_killed_without_a_word_is_told_from_one_that_failed(tmp_path):
  said = process._why(tmp_path / 'none.json', -9)
  assert 'signal SIGKILL' in said and 'Start all of them again' in said
  assert 'exit code 3' in process._why(tmp_path / 'none.json', 3)
