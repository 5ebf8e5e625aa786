"""The record of runs, over a real store written as TFX writes it."""

import json

import pytest

from pipeline import lineage
from schemas.errors import RunError
from tests.unit.pipeline.run_store import Store


@pytest.fixture
def root(tmp_path):
  store = Store(tmp_path)
  data, model, _, _ = store.whole_run('first-run', 'red', '1')
  second_data, second_model, blessing, pushed = store.whole_run(
    'second-run', 'blue', '2', baseline=[model]
  )
  # The third run takes everything over from the second.
  store.execution('third-run', 'ImageExampleGen', [], second_data, 'CACHED')
  store.execution('third-run', 'Trainer', second_data[:1], [second_model], 'CACHED')
  store.execution('third-run', 'Evaluator', [second_model], blessing, 'CACHED', [model])
  store.execution('third-run', 'Publisher', [second_model], [pushed], 'CACHED')
  store.execution('fourth-run', 'ImageExampleGen', [], [], 'FAILED')
  summary = tmp_path / 'second-run' / lineage.SUMMARY
  summary.parent.mkdir()
  summary.write_text(json.dumps({'accuracy': {'value': 0.985, 'n': 200}, 'verdict': 'blessed'}))
  return tmp_path


def test_runs_have_state_version_and_what_their_summary_says(root):
  rows = {run.run_id: run for run in lineage.Record(root).runs()}
  assert {
    name: (run.state, run.version, run.accuracy, run.verdict) for name, run in rows.items()
  } == {
    'first-run': ('complete', '1', None, ''),
    'second-run': ('complete', '2', 0.985, 'blessed'),
    'third-run': ('cached', '2', None, ''),
    'fourth-run': ('failed', '', None, ''),
  }


def test_runs_are_newest_first(root):
  started = [run.started for run in lineage.Record(root).runs()]
  assert started == sorted(started, reverse=True)


def test_a_run_has_its_goal_and_its_latest_conclusion(root):
  store = Store(root)
  said = [{'time': '2026-01-01', 'text': 'no'}, {'time': '2026-01-02', 'text': 'yes'}]
  store.note('first-run', goal='to see [it]', conclusions=json.dumps(said))
  record = lineage.Record(root)
  rows = {run.run_id: (run.goal, run.conclusion) for run in record.runs()}
  assert rows['first-run'] == ('to see [it]', 'yes')
  assert rows['second-run'] == ('', '')
  facts = record.lineage('1').facts
  assert facts['goal'] == 'to see [it]'
  assert facts['conclusion'] == 'yes (2026-01-02)'
  assert facts['earlier conclusion'] == 'no (2026-01-01)'
  assert 'goal' not in record.lineage('2').facts


def test_a_version_names_the_run_that_published_it_and_not_one_that_confirmed_it(root):
  record = lineage.Record(root)
  assert record.run_id('2') == 'second-run'
  assert record.run_id('thi') == 'third-run'
  assert record.version('third-run') == '2' and record.version('fourth-run') == ''


def test_a_version_leads_to_its_own_data_and_not_to_that_of_the_baseline(root):
  found = lineage.Record(root).lineage('2')
  assert found.run_id == 'second-run'
  assert found.facts['dataset_sha256'] == 'blue'
  assert found.facts['manifest_sha256'] == 'manifest of blue'
  assert found.facts['model'] == '/second-run/model'
  assert found.facts['ModelBlessing'] == 'blessed'
  assert found.facts['compared with'] == '/first-run/model'
  assert [step.component for step in found.steps] == [
    'ImageExampleGen',
    'Trainer',
    'Evaluator',
    'Publisher',
  ]
  assert {step.run_id for step in found.steps} == {'second-run'}


def test_a_first_version_was_compared_with_nothing(root):
  facts = lineage.Record(root).lineage('1').facts
  assert facts['dataset_sha256'] == 'red'
  assert 'compared with' not in facts


def test_a_cached_run_leads_to_the_run_that_did_the_work(root):
  found = lineage.Record(root).lineage('third')
  assert (found.run_id, found.version) == ('third-run', '2')
  assert {step.run_id for step in found.steps} == {'second-run'}


@pytest.mark.parametrize('name', ['7', 'f', 'nothing'])
def test_an_unknown_or_ambiguous_name_lists_what_there_is(root, name):
  with pytest.raises(RunError, match='expected a version.*1, 2.*first-run'):
    lineage.Record(root).lineage(name)


def test_a_root_without_a_store_says_how_to_get_one(tmp_path):
  with pytest.raises(RunError, match='sightline run'):
    lineage.Record(tmp_path)
  assert not (tmp_path / lineage.DATABASE).exists()


def test_a_file_that_is_no_store_is_named(tmp_path):
  (tmp_path / lineage.DATABASE).write_text('not a database')
  with pytest.raises(RunError, match=lineage.DATABASE):
    lineage.Record(tmp_path)


def test_a_broken_summary_is_named(root):
  (root / 'second-run' / lineage.SUMMARY).write_text('{')
  with pytest.raises(RunError, match='second-run'):
    lineage.Record(root).runs()


def test_a_run_of_tfx_itself_has_no_summary_and_is_judged_by_its_evaluation(tmp_path):
  store = Store(tmp_path)
  evaluation = store.artifact('ModelEvaluation', str(tmp_path / 'evaluation'))
  store.execution('2026-01-01T00:00:00', 'Evaluator', [], [evaluation])
  (tmp_path / 'evaluation').mkdir()
  (tmp_path / 'evaluation/verdict.json').write_text(
    json.dumps({'blessed': False, 'candidate': {'accuracy': {'value': 0.5, 'n': 4}}})
  )
  (run,) = lineage.Record(tmp_path).runs()
  assert (run.accuracy, run.verdict) == (0.5, 'not blessed')


def test_production_stands_beside_test_in_the_facts(root):
  proportion = {'value': 0.8, 'n': 50, 'interval': [0.67, 0.888]}
  (root / 'second-run' / lineage.SUMMARY).write_text(
    json.dumps(
      {
        'accuracy': {**proportion, 'value': 0.9},
        'production': {'accuracy': proportion, 'unknown_labels': {}},
        'leaks': {'affected': 0, 'accuracy_without': proportion},
      }
    )
  )
  facts = lineage.Record(root).lineage('2').facts
  assert facts['accuracy on test'] == '0.9000 (n 50, 95 % interval 0.6700 to 0.8880)'
  assert facts['accuracy on production'] == '0.8000 (n 50, 95 % interval 0.6700 to 0.8880)'
  assert 'accuracy without leaks' not in facts
