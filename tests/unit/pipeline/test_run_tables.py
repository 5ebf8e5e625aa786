"""The record on a terminal: it fits 80 columns and takes nothing for markup."""

import datetime
import pathlib

import rich.console

from pipeline import lineage, manifest_difference, recorded_run, run_difference, run_tables


def printed(renderable, width=80):
  console = rich.console.Console(width=width, record=True, file=open('/dev/null', 'w'))
  console.print(renderable)
  return console.export_text()


def a_run(**fields):
  started = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
  base = {
    'run_id': '20260102-030405',
    'started': started,
    'seconds': 12345.6,
    'state': 'unfinished',
    'accuracy': 0.9876,
    'verdict': 'not blessed',
    'version': '1234567',
  }
  return lineage.Run(**base | fields)


def test_the_widest_run_is_one_line_of_80_columns_and_its_goal_another_one_that_is_cut():
  goal = 'to see [bold]whether[/] :cat: it holds ' + 'very ' * 30
  lines = printed(run_tables.render_runs([a_run(goal=goal, conclusion='it [does]')])).splitlines()
  assert lines[1] == (
    '20260102-030405  01-02 03:04  12346  unfinished  98.8%     not blessed  1234567'
  )
  assert lines[0].startswith('run              started UTC  s      state')
  assert lines[2].startswith('  for: to see [bold]whether[/] :cat: it holds very')
  assert lines[2].endswith('…') and len(lines[2]) <= 80
  assert lines[3] == '  came of it: it [does]'
  assert len(lines) == 4


def test_a_run_of_which_nobody_said_anything_is_one_line():
  text = printed(run_tables.render_runs([a_run(), a_run(run_id='other')]))
  assert len(text.splitlines()) == 3


def test_facts_with_brackets_are_whole():
  step = lineage.Step(1, 'Trainer', 'r', 'COMPLETE', datetime.datetime.now(), 1.0, (), (), (7,))
  artifact = lineage.Artifact(7, 'Model', '/my [models]/7', {})
  found = lineage.Lineage('r', '', (step,), {7: artifact}, notes={'goal': 'a [red]one'})
  text = printed(run_tables.render_lineage(found))
  assert '/my [models]/7' in text and 'a [red]one' in text
  assert 'Model 7' in text


def a_side(run_id, **fields):
  empty = {
    'version': '',
    'notes': {},
    'steps': (),
    'summary': {},
    'provenance': {},
    'dataset': {},
    'training': {},
    'verdict': {},
    'manifest': None,
  }
  return recorded_run.RecordedRun(run_id, **empty | fields)


def shown(*sections):
  a = a_side('first', notes={'goal': 'a [goal]'})
  b = a_side('second', version='3')
  return printed(run_tables.render_difference(run_difference.Difference(a, b, sections)))


def test_a_difference_names_both_runs_and_says_where_nothing_changed():
  text = shown(
    run_difference.Section('code'),
    run_difference.Section('machine', remarks=('machine: not recorded for x',), compared=False),
  )
  lines = [line.rstrip() for line in text.splitlines()]
  assert lines[:3] == [
    'A  run first: not started',
    '   goal: a [goal]',
    'B  run second: not started, version 3',
  ]
  assert lines[3:] == [
    '',
    'code',
    '  nothing changed in code',
    '',
    'machine',
    '  machine: not recorded for x',
  ]


def test_values_are_short_and_figures_have_their_difference():
  hashes = ('a' * 64, 'b' * 64)
  change = run_difference.Change
  accuracy = {'value': 0.5, 'n': 4, 'interval': [0.15, 0.85]}
  text = shown(
    run_difference.Section(
      'all',
      (
        change('hash', *hashes),
        change('accuracy', accuracy, None),
        change('rate', 0.001, 0.00025, -0.00075),
        change('images', 7, 9, 2),
        change('flag', False, True),
        change('empty', '', ['x', 1]),
      ),
    )
  )
  rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}
  assert rows['hash'] == ['aaaaaaaaaaaa', 'bbbbbbbbbbbb']
  assert rows['accuracy'] == ['0.5000', '(n', '4,', '0.150', 'to', '0.850)', '-']
  assert rows['rate'] == ['0.001', '0.00025', '-0.00075']
  assert rows['images'] == ['7', '9', '+2']
  assert rows['flag'] == ['false', 'true']
  assert rows['empty'] == ["''", '[x,', '1]']


def test_long_lists_are_cut_and_counted():
  changes = tuple(run_difference.Change(f'field{i}', 1, 2) for i in range(33))
  rows = {
    'added': manifest_difference.Rows(8, tuple(f'[{i}].png' for i in range(5))),
    'removed': manifest_difference.Rows(0, ()),
    'moved': manifest_difference.Rows(1, (f'{pathlib.Path("x" * 100)}.png',)),
  }
  text = shown(run_difference.Section('data', changes, rows=rows))
  assert 'field29' in text and 'field30' not in text and 'and 3 more; --json' in text
  lines = [line.rstrip() for line in text.splitlines()]
  at = lines.index('  8 images added')
  assert lines[at + 1 : at + 5] == ['    [0].png', '    [1].png', '    [2].png', '    and 5 more']
  assert '  1 image moved' in lines and not any('removed' in line for line in lines)
  assert max(map(len, lines)) <= 80
