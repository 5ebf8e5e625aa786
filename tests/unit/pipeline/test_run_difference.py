"""What changed between two runs, over a real store and files by hand."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import lineage, provenance, recorded_run, run_difference
from schemas.errors import RunError
from tests.unit.pipeline.run_store import Store

CONFIG = {
  'name': 'fruit',
  'train': {'epochs': 1, 'stages': None},
  'data': {'slice_columns': ['camera'], 'root': '/data'},
}
CODE = {'version': '1', 'git_sha': 'aaa', 'dirty': False, 'diff_sha256': None, 'sources': '0f'}
RECORD = {
  'code': CODE,
  'lock': {'sha256': 'lock'},
  'packages': {'keras': '3.0', 'numpy': '2.0'},
  'system': {'python': 'CPython 3.11'},
  'hardware': {'cpu': 'A', 'cores': 2, 'gpus': []},
  'config': CONFIG,
}
SERVING = {'gates': [], 'figures': {'p50_ms': 5.0, 'p99_ms': 9.0}, 'machine': {'cores': 2}}
IMAGES = [('a', 'cat', 'train'), ('b', 'dog', 'train'), ('c', 'cat', 'test'), ('d', 'dog', 'test')]


def proportion(correct, n):
  return {'value': correct / n, 'n': n, 'interval': [0.1, 0.9]}


class Root:
  """A run root with runs that are as complete as a test asks for."""

  def __init__(self, path):
    self.path = path
    self.store = Store(path)

  def folder(self, run, name):
    path = self.path / 'artifacts' / run / name
    path.mkdir(parents=True)
    return path

  def data(self, run, images, sha):
    folder = self.folder(run, 'dataset')
    counts = {}
    for _, label, split in images:
      labels = counts.setdefault(split, {})
      labels[label] = labels.get(label, 0) + 1
    tree = {'dataset_sha256': sha, 'images': len(images), 'counts': counts, 'quarantined': {}}
    (folder / 'dataset.json').write_text(json.dumps(tree))
    columns = {
      'image_id': [name for name, _, _ in images],
      'path': [f'{name}.png' for name, _, _ in images],
      'label': [label for _, label, _ in images],
      'split': [split for _, _, split in images],
    }
    pq.write_table(pa.table(columns), folder / 'manifest.parquet')
    return self.store.artifact('components.Dataset', str(folder))

  def model_run(self, run, **training):
    folder = self.folder(run, 'model_run')
    (folder / 'training.json').write_text(json.dumps(training))
    return self.store.artifact('ModelRun', str(folder))

  def evaluation(self, run, correct, slices):
    folder = self.folder(run, 'evaluation')
    tree = {
      'candidate': {'accuracy': proportion(correct, 100)},
      'blessed': correct > 90,
      'slices': [
        {'key': 'label', 'value': name, 'accuracy': proportion(right, 10)}
        for name, right in slices.items()
      ],
      'leaks': {'affected': 0},
    }
    (folder / 'verdict.json').write_text(json.dumps(tree))
    return self.store.artifact('ModelEvaluation', str(folder))

  def run(self, name, images=IMAGES, sha='same', correct=50, slices=None, code='1', epochs=3):
    data = self.data(name, images, sha)
    self.store.execution(name, 'ImageExampleGen', [], [data], code_fingerprint=code)
    stage = {'name': 'scratch', 'epochs_run': epochs, 'val_accuracy': 0.5}
    trained = self.model_run(name, stages=[stage], parameters=10)
    given = json.dumps({'code_fingerprint': code, 'config': json.dumps({'train': {'epochs': 1}})})
    self.store.execution(name, 'Trainer', [data], [trained], custom_config=given)
    judged = self.evaluation(name, correct, slices or {'cat': 5, 'dog': 5})
    self.store.execution(name, 'Evaluator', [data], [judged])

  def record(self, name, **changes):
    self.folder_of(name)
    provenance.write({**RECORD, **changes}, self.path / name)

  def summary(self, name, **tree):
    (self.folder_of(name) / lineage.SUMMARY).write_text(json.dumps(tree))

  def folder_of(self, name):
    (self.path / name).mkdir(exist_ok=True)
    return self.path / name

  def sections(self, a='first', b='second'):
    record = lineage.Record(self.path)
    sides = [recorded_run.read(record, name) for name in (a, b)]
    return {section.name: section for section in run_difference.compare(*sides).sections}

  def changes(self, section):
    return {
      change.what: (change.a, change.b, change.difference)
      for change in self.sections()[section].changes
    }


@pytest.fixture
def root(tmp_path):
  return Root(tmp_path)


def test_two_equal_runs_changed_in_nothing(root):
  for name in ('first', 'second'):
    root.run(name)
    root.record(name)
    root.summary(name, serving=SERVING)
  sections = root.sections()
  assert [name for name, section in sections.items() if section.changed] == []
  assert all(section.compared and not section.remarks for section in sections.values())
  names = ['config', 'data', 'code', 'packages', 'machine', 'figures', 'serving', 'time']
  assert list(sections) == names


def test_an_answer_that_takes_twice_as_long_is_told_with_the_machines(root):
  for name in ('first', 'second'):
    root.run(name)
  root.summary('first', serving=SERVING)
  slower = {**SERVING, 'figures': {'p50_ms': 10.0, 'p99_ms': 9.5}, 'machine': {'cores': 8}}
  root.summary('second', serving=slower)
  assert root.changes('serving') == {'p50, ms': (5.0, 10.0, 5.0)}
  (remark,) = root.sections()['serving'].remarks
  assert remark.endswith('not like for like: cores 2 and 8')


def test_a_run_that_ended_before_it_was_served_is_named(root):
  for name in ('first', 'second'):
    root.run(name)
  root.summary('first', serving=SERVING)
  section = root.sections()['serving']
  assert not section.compared and section.remarks == ('serving: not recorded for second',)


def test_config_is_compared_field_by_field(root):
  root.run('first')
  root.run('second')
  root.record('first')
  stages = [{'name': 'head', 'epochs': 2}]
  train = {'epochs': 5, 'stages': stages}
  root.record('second', config={**CONFIG, 'train': train, 'data': {'slice_columns': []}})
  found = root.changes('config')
  assert found.pop('train.epochs') == (1, 5, 4)
  assert found == {
    'train.stages.0.name': (None, 'head', None),
    'train.stages.0.epochs': (None, 2, None),
    'data.slice_columns': (['camera'], [], None),
    'data.root': ('/data', None, None),
  }


def test_data_are_compared_by_class_split_and_image(root):
  root.run('first')
  changed = [('a', 'dog', 'train'), ('b', 'dog', 'test'), ('c', 'cat', 'test'), ('e', 'cat', 'val')]
  root.run('second', changed, 'other')
  section = root.sections()['data']
  assert root.changes('data') == {
    'dataset_sha256': ('same', 'other', None),
    'train / cat': (1, 0, -1),
    'val / cat': (0, 1, 1),
  }
  assert {kind: rows.images for kind, rows in section.rows.items() if rows.count} == {
    'added': ('e.png: cat, val',),
    'removed': ('d.png: dog, test',),
    'relabelled': ('a.png: cat -> dog',),
    'moved': ('b.png: train -> test',),
  }
  remarks = root.sections()['figures'].remarks
  assert remarks == ('they were not judged on the same test images: of 2 and 2, 1 are in both',)


def test_data_of_which_a_manifest_is_gone_are_compared_by_their_counts(root):
  root.run('first')
  root.run('second', IMAGES[:3], 'other')
  (root.path / 'artifacts/first/dataset/manifest.parquet').unlink()
  section = root.sections()['data']
  assert root.changes('data')['test / dog'] == (1, 0, -1)
  assert section.rows == {}
  assert section.remarks == ('the rows were not compared: a manifest is gone',)


def test_code_is_compared_by_commit_sources_and_component(root):
  root.run('first')
  root.run('second', code='2')
  root.record('first')
  changed = {'git_sha': 'bbb', 'dirty': True, 'diff_sha256': 'd', 'changed': ['x.py', 'y.py']}
  root.record('second', code={**CODE, **changed})
  assert root.sections()['code'].remarks == (
    'second ran with changes to 2 files that were not committed; provenance.json in its folder '
    'names them',
  )
  assert root.changes('code') == {
    'git_sha': ('aaa', 'bbb', None),
    'dirty': (False, True, None),
    'diff_sha256': (None, 'd', None),
    'code of ImageExampleGen': ('1', '2', None),
    # TFX's own component: its fingerprint is in custom_config.
    'code of Trainer': ('1', '2', None),
  }


def test_packages_and_machine(root):
  root.run('first')
  root.run('second')
  root.record('first')
  root.record(
    'second',
    lock={'sha256': 'newer'},
    packages={'keras': '3.1', 'numpy': '2.0', 'scipy': '1'},
    hardware={'cpu': 'B', 'cores': 4, 'gpus': None},
  )
  assert root.changes('packages') == {
    'lock': ('lock', 'newer', None),
    'keras': ('3.0', '3.1', None),
    'scipy': (None, '1', None),
  }
  # The second ended before anybody could know of its GPUs.
  assert root.changes('machine') == {'cpu': ('A', 'B', None), 'cores': (2, 4, 2)}


def test_figures_have_n_interval_and_difference_and_the_slices_that_changed_most(root):
  before = {f's{i}': 5 for i in range(8)}
  after = {**before, 's1': 6, 's2': 3, 's3': 9, 's4': 0, 's5': 8, 's6': 6, 's7': 5}
  root.run('first', slices=before)
  root.run('second', correct=95, slices=after, epochs=4)
  found = root.changes('figures')
  assert found.pop('accuracy on test') == (
    proportion(50, 100),
    proportion(95, 100),
    pytest.approx(0.45),
  )
  assert found.pop('blessed') == (False, True, None)
  assert found.pop('stage scratch: epochs') == (3, 4, 1)
  moved = {name: difference for name, (_, _, difference) in found.items()}
  assert list(moved)[:4] == [f'slice label=s{i}' for i in (4, 3, 5, 2)]
  assert list(moved.values())[:4] == pytest.approx([-0.5, 0.4, 0.3, -0.2])
  assert len(moved) == 5
  assert root.sections()['figures'].remarks == ('1 more slices changed less, given their size',)


def test_a_slice_of_one_image_moves_less_than_a_large_one(root):
  root.run('first', slices={'large': 5})
  root.run('second', slices={'large': 9})
  for name, correct in (('first', 0), ('second', 1)):
    path = root.path / 'artifacts' / name / 'evaluation/verdict.json'
    tree = json.loads(path.read_text())
    lone = {'key': 'label', 'value': 'lone', 'accuracy': proportion(correct, 1)}
    path.write_text(json.dumps({**tree, 'slices': [lone, *tree['slices']]}))
  # 1 / sqrt(1 + 1) = 0.71 against 0.4 / sqrt(0.1 + 0.1) = 0.89.
  assert list(root.changes('figures')) == ['slice label=large', 'slice label=lone']


def test_time_is_compared_where_it_differs_by_a_second_or_in_what_was_done(root):
  root.run('first')
  root.run('second')
  root.store.execution('second', 'Publisher', [], [], 'CACHED')
  energy = {'cpu_seconds': 100.0, 'wh': 0.10}
  root.summary('first', seconds=10.0, energy=energy)
  root.summary('second', seconds=10.4, energy={**energy, 'cpu_seconds': 110.0})
  found = root.changes('time')
  assert found.pop('cpu_seconds') == (100.0, 110.0, 10.0)
  (old, new, _) = found.pop('Publisher')
  assert old is None and new.startswith('cached, 0.')
  assert found == {}


def test_a_run_that_stopped_is_compared_by_what_it_has(root):
  root.run('first')
  root.record('first')
  root.store.execution('second', 'ImageExampleGen', [], [], 'FAILED')
  root.record('second', config={**CONFIG, 'name': 'pear'})
  sections = root.sections()
  assert root.changes('config') == {'name': ('fruit', 'pear', None)}
  assert not sections['data'].compared
  assert sections['data'].remarks == ('data: not recorded for second',)
  assert sections['figures'].remarks == ('evaluation: not recorded for second',)
  assert not sections['figures'].compared
  assert root.changes('time')['Evaluator'][1] is None
  record = lineage.Record(root.path)
  assert recorded_run.read(record, 'second').head()['outcome'] == 'failed'


def test_a_run_without_files_is_compared_by_what_the_store_keeps(root):
  root.run('first')
  root.record('first')
  root.run('second', code='2')
  root.store.note('second', git_sha='bbb', dirty=1, lock_sha256='newer', goal='to see')
  sections = root.sections()
  # Of the config, what the Trainer was given.
  assert sections['config'].remarks == ('of second only train is recorded',)
  assert set(root.changes('config')) == set()
  assert root.changes('code')['git_sha'] == ('aaa', 'bbb', None)
  assert root.changes('packages') == {'lock': ('lock', 'newer', None)}
  assert sections['packages'].remarks == (
    'the versions of the packages were not recorded for both',
  )
  assert not sections['machine'].compared
  assert recorded_run.read(lineage.Record(root.path), 'second').head()['goal'] == 'to see'


def test_a_run_whose_artifacts_are_gone_is_compared_by_its_summary(root):
  root.store.execution('first', 'Evaluator')
  root.run('second', correct=60)
  root.summary(
    'first',
    outcome='not blessed',
    verdict='not blessed',
    metrics={'accuracy': proportion(50, 100)},
    slices=[],
    leaks={},
    dataset={'dataset_sha256': 'same', 'images': 4, 'counts': {}},
    model={'parameters': 9, 'stages': []},
  )
  found = root.changes('figures')
  assert found['accuracy on test'][0] == proportion(50, 100)
  assert found['parameters'] == (9, 10, 1)
  assert root.sections()['data'].compared


def test_names_are_versions_or_beginnings_and_an_unknown_one_is_refused(root):
  root.run('first')
  root.run('second')
  pushed = root.store.artifact('PushedModel', '/p', pushed_version='7')
  root.store.execution('second', 'Publisher', [], [pushed])
  record = lineage.Record(root.path)
  assert recorded_run.read(record, '7').run_id == 'second'
  assert recorded_run.read(record, 'fir').run_id == 'first'
  with pytest.raises(RunError, match='third'):
    recorded_run.read(record, 'third')


def test_it_is_plain_json(root):
  root.run('first')
  root.run('second', IMAGES[:3], 'other')
  record = lineage.Record(root.path)
  sides = [recorded_run.read(record, name) for name in ('first', 'second')]
  tree = json.loads(json.dumps(run_difference.compare(*sides).as_json()))
  assert tree['a']['run_id'] == 'first' and tree['b']['accuracy']['n'] == 100
  data = tree['sections']['data']
  assert data['changed'] and data['rows']['removed'] == {'count': 1, 'images': ['d.png: dog, test']}
  assert {'what': 'images', 'a': 4, 'b': 3, 'difference': -1} in data['changes']
  assert tree['sections']['machine'] == {
    'compared': False,
    'changed': False,
    'changes': [],
    'remarks': ['machine: not recorded for first and second'],
    'rows': {},
  }
