"""The summary in words: what was measured, what was not, and where the lists are."""

import datetime
import json

import pytest

from components.serving_validator import gates
from components.serving_validator.probe_process import Crashed
from pipeline import runner, summary
from schemas.config import ServingValidatorConfig
from schemas.loader import build_config


@pytest.fixture
def empty(tmp_path):
  """The summary of a run in which nothing ran."""
  config = build_config({'name': 'x', 'run': {'root': str(tmp_path)}}, 'test')
  started = datetime.datetime(2026, 1, 1)
  return summary.collect(config, runner.Run('1', tmp_path, tmp_path / 'log', started))


def test_it_survives_its_file_and_has_words_for_nothing(empty, tmp_path):
  summary.write(empty, tmp_path)
  assert (tmp_path / 'summary.txt').read_text().startswith('x, run 1: not blessed after 0 s')


def test_a_crash_of_the_probe_is_told_with_its_last_lines(empty, tmp_path):
  report = gates.judge(
    Crashed('Traceback\nNotFoundError: Could not find variable'),
    3_000_000,
    {},
    ServingValidatorConfig(disk_mb=2),
  )
  gates.write(report, tmp_path)
  empty['serving'] = json.loads((tmp_path / gates.REPORT).read_text())
  lines = summary.in_words(empty)
  assert '           loads failed: not measured. Traceback' in lines
  (last,) = [line for line in lines if 'Could not find variable' in line]
  assert last.startswith('           NotFoundError: Could not find variable ')
  (disk,) = [line for line in lines if 'disk_mb' in line]
  assert 'failed: 3 MB; at most 2 MB is allowed (serving_validator.disk_mb).' in disk
  assert 'None' not in '\n'.join(lines) and 'serving_validator.loads' not in '\n'.join(lines)


def test_rows_that_were_not_used_are_counted_and_their_list_is_named(empty):
  empty['dataset'] = {'dataset_sha256': 'abc', 'quarantined': {'duplicate': 2, 'undecodable': 1}}
  empty['paths']['quarantine'] = '/the/folder'
  assert (
    'quarantine rows not used: 3 (2 duplicate, 1 undecodable); the list: /the/folder/quarantine.csv'
  ) in summary.in_words(empty)
  empty['dataset']['quarantined'] = {}
  assert not any(line.startswith('quarantine') for line in summary.in_words(empty))


def test_the_card_is_recorded_and_its_gaps_are_open_questions(tmp_path):
  card = {'source': 'a field', 'owner': 'Ada', 'licence': 'CC0', 'access': 'all'}
  config = build_config({'name': 'x', 'data': {'card': card}}, 'test', working_directory=tmp_path)
  with runner.open_run(config) as run:
    found = summary.collect(config, run)
  assert found['card'] == {**card, 'freshness': ''}
  assert found['open_questions'] == ['data.card.freshness is not filled in']
