"""The summary in words: what was measured, what was not, and where the lists are."""

import datetime
import json

import pytest

from components.serving_validator import gates
from components.serving_validator.probe_process import Crashed
from pipeline import provenance, runner, summary
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
    [],
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
  assert found['open_questions'] == [
    'data.card.freshness is not filled in',
    'problem: task, input, output, users, out_of_scope, success, harms, privacy: not filled in '
    '(the model card of the report)',
  ]


def _proportion(value, n, low, high):
  return {'value': value, 'n': n, 'interval': [low, high]}


def test_production_stands_beside_test_with_n_and_interval(empty):
  empty['accuracy'] = _proportion(0.95, 100, 0.888, 0.978)
  empty['production'] = {
    'accuracy': _proportion(0.8, 50, 0.67, 0.888),
    'unknown_labels': {'newt': 2, 'toad': 1},
    'slices': [],
  }
  lines = summary.in_words(empty)
  at = lines.index('accuracy   0.9500 on 100 test images (95 % interval 0.8880 to 0.9780)')
  assert lines[at + 1 : at + 3] == [
    'production 0.8000 on 50 production images (95 % interval 0.6700 to 0.8880)',
    "           3 of them have a label that no training image has, and count as wrong: 'newt' 2, "
    "'toad' 1",
  ]
  empty['production'] = {
    'accuracy': _proportion(None, 0, 0.0, 1.0),
    'unknown_labels': {},
    'slices': [],
  }
  assert 'production not measured: 0 production images' in summary.in_words(empty)


def test_leaks_are_told_only_where_there_are_some(empty):
  empty['leaks'] = {
    'affected': 7,
    'accuracy_with': _proportion(0.95, 100, 0.888, 0.978),
    'accuracy_without': _proportion(0.9462, 93, 0.88, 0.977),
  }
  assert (
    'leaks      7 test images have a copy in another split; without them accuracy 0.9462 on 93 '
    'test images (95 % interval 0.8800 to 0.9770)'
  ) in summary.in_words(empty)
  empty['leaks']['affected'] = 0
  assert not any(line.startswith('leaks') for line in summary.in_words(empty))


def test_what_drifted_and_was_let_in_is_told(empty):
  empty['dataset'] = {'dataset_sha256': 'abc'}
  empty['drift'] = ['drift, feature label: much']
  empty['skew'] = ['skew, feature image/brightness: some']
  lines = summary.in_words(empty)
  assert '           drift, feature label: much' in lines
  assert '           skew, feature image/brightness: some' in lines


def test_the_page_and_what_it_found_stand_in_the_summary(empty):
  assert not any(line.startswith('audit') for line in summary.in_words(empty))
  empty['dataset'] = {'dataset_sha256': 'abc'}
  empty['audit'] = {'findings': {'suspect_label': 1, 'blurred': 8, 'exact_copy': 2}}
  empty['paths']['audit'] = '/the/folder/audit.html'
  assert (
    'audit      1 suspect label, 8 blurred, 2 exact copies; the page: /the/folder/audit.html'
  ) in summary.in_words(empty)


def test_what_was_found_out_about_the_model_is_told_in_lines_with_the_path(empty):
  assert not any(line.startswith(('robust', 'analysis')) for line in summary.in_words(empty))
  empty['analysis'] = {
    'path': '/the/analysis.json',
    'words': ['blur 3: 0.91; 2.0% flip by harmless changes', 'not as expected: it falls'],
  }
  empty['failures'] = {'Analysis': 'no pictures'}
  lines = summary.in_words(empty)
  at = lines.index('robust     blur 3: 0.91; 2.0% flip by harmless changes')
  assert lines[at - 1 : at + 3] == [
    'Analysis failed, and gates nothing: no pictures',
    lines[at],
    '           not as expected: it falls',
    'analysis   /the/analysis.json',
  ]


def test_energy_is_one_line_that_says_how_it_is_known(empty):
  def line():
    return [line for line in summary.in_words(empty) if line.startswith('energy')]

  empty['energy'] = {'cpu_seconds': 340.4, 'wh': 1.234, 'source': 'estimate'}
  assert line() == ["energy     1.2 Wh (the processor's alone), estimated from 340 CPU-seconds"]
  empty['energy']['source'] = 'rapl'
  assert line() == ["energy     1.2 Wh (the processor's alone), measured in 340 CPU-seconds"]
  # Of a run that an older version summed up.
  del empty['energy']
  assert line() == []


def test_goal_energy_cpu_seconds_and_provenance_are_recorded(tmp_path):
  config = build_config({'name': 'x'}, 'test', working_directory=tmp_path)
  with runner.open_run(config) as run:
    run.goal = 'to see'
    run.provenance = provenance.collect(config, ['sightline'])
    run.cpu_seconds, run.energy_wh, run.energy_source = 12.34, 0.123456, 'rapl'
    run.components['Trainer'] = runner.ComponentRun('failed', 1.0, cpu_seconds=2.04)
    found = summary.collect(config, run)
  assert found['goal'] == 'to see' and found['conclusions'] == []
  assert found['energy'] == {'cpu_seconds': 12.3, 'wh': 0.1235, 'source': 'rapl'}
  assert found['components']['Trainer'] == {
    'outcome': 'failed',
    'seconds': 1.0,
    'cpu_seconds': 2.0,
  }
  assert found['provenance']['config_sha256'] == run.provenance['config_sha256']
  assert not {'packages', 'config'} & set(found['provenance'])
  assert summary.in_words(found)[1] == 'goal       to see'


def test_a_run_without_provenance_and_goal_says_neither(empty):
  assert empty['provenance'] is None and empty['goal'] is None
  assert not any(line.startswith(('goal', 'None')) for line in summary.in_words(empty))
