"""What is kept with a run: goal and conclusions, in a real store."""

import json

import pytest
from typer.testing import CliRunner

from pipeline import __main__ as command_line
from pipeline import lineage, run_notes
from schemas.errors import RunError
from tests.unit.pipeline.run_store import Store


@pytest.fixture
def store(tmp_path):
  store = Store(tmp_path)
  store.whole_run('first-run', 'red', '1')
  store.note('first-run', goal='to see', dirty=1)
  return store


def notes(root, run='first-run'):
  return lineage.Record(root).notes(run)


def test_a_conclusion_is_added_with_its_time_and_earlier_ones_stay(store):
  database = store.root
  first = run_notes.conclude(database, 'first-run', ' too \n short ')
  assert [said['text'] for said in first] == ['too short']
  second = run_notes.conclude(database, 'first-run', 'grün, long enough')
  assert second[0] == first[0] and second[1]['text'] == 'grün, long enough'
  found = notes(store.root)
  assert run_notes.conclusions(found) == second
  assert second[1]['time'].endswith('+00:00')
  # What it had before is still there.
  assert (found['goal'], found['dirty']) == ('to see', 1)
  assert run_notes.conclusion(found) == 'grün, long enough'


def test_nothing_is_no_conclusion(store):
  with pytest.raises(RunError, match='expected a sentence'):
    run_notes.conclude(store.root, 'first-run', ' ')
  assert run_notes.conclusions(notes(store.root)) == []


def test_words_name_every_conclusion_the_latest_first():
  said = [{'time': f't{i}', 'text': f'{i}'} for i in range(3)]
  found = run_notes.in_words({'conclusions': json.dumps(said), 'git_sha': 'a' * 40, 'dirty': 1})
  assert found == {
    'conclusion': '2 (t2)',
    'earlier conclusion': '1 (t1)',
    'earlier conclusion 2': '0 (t0)',
    'code': 'commit aaaaaaaaaaaa and changes that are not committed',
  }
  assert run_notes.in_words({}) == {}


@pytest.fixture
def call(store, tmp_path):
  config = tmp_path / 'fruit.yaml'
  config.write_text(f'name: fruit\nrun:\n  root: {store.root}\n')

  def run(*words):
    words = [*words[:2], str(config), *words[2:]]
    return CliRunner().invoke(command_line.app, words, terminal_width=80)

  return run


def test_the_command_writes_store_and_summary(call, store):
  folder = store.root / 'first-run'
  folder.mkdir()
  (folder / 'summary.json').write_text(json.dumps({'outcome': 'published'}))
  (folder / 'summary.txt').write_text('fruit, run first-run: published\n')
  done = call('runs', 'conclude', '1', 'it [holds]')
  assert done.exit_code == 0 and 'run first-run: it [holds]' in done.output
  done = call('runs', 'conclude', 'first', 'or not')
  assert '1 earlier kept' in done.output
  found = json.loads((folder / 'summary.json').read_text())
  assert [said['text'] for said in found['conclusions']] == ['it [holds]', 'or not']
  assert found['outcome'] == 'published'
  first, *said = (folder / 'summary.txt').read_text().splitlines()
  assert first == 'fruit, run first-run: published'
  assert [line.partition(' (')[0] for line in said] == [
    'conclusion it [holds]',
    'conclusion or not',
  ]
  assert sorted(path.name for path in folder.iterdir()) == ['summary.json', 'summary.txt']
  listed = call('runs', 'list').output
  assert 'for: to see' in listed and 'came of it: or not' in listed


def test_the_command_refuses_an_unknown_run_and_writes_nothing(call, store):
  done = call('runs', 'conclude', 'third-run', 'x')
  assert isinstance(done.exception, RunError) and 'third-run' in str(done.exception)
  assert run_notes.conclusions(notes(store.root)) == []


def test_a_run_without_a_summary_is_concluded_in_the_store_alone(call, store):
  done = call('runs', 'conclude', 'first-run', 'x')
  assert 'no summary' in done.output
  assert run_notes.conclusion(notes(store.root)) == 'x'
  assert not (store.root / 'first-run').exists()


def test_the_difference_is_printed_or_json(call, store):
  store.whole_run('second-run', 'blue', '2')
  text = call('runs', 'diff', '1', '2').output
  assert 'A  run first-run: complete, version 1' in text
  tree = json.loads(call('runs', 'diff', 'first', 'second', '--json').output)
  assert tree['b']['run_id'] == 'second-run'
