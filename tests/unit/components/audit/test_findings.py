"""The lines that findings offer: who follows them gets what was promised."""

import csv

import apache_beam as beam
import numpy as np
import pytest
from PIL import Image

from components.audit import findings, report
from components.audit.dataset import Dataset
from components.image_example_gen import ingest, leaks
from schemas.config import AuditConfig, DataConfig

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'
PAIRS = {'exact_copy', 'near_copy', 'label_conflict', 'leak'}


def _row(code, filename, other, split='', split_other='', label='red', other_label='red'):
  return {
    'code': code, 'filename': filename, 'other': other, 'label': label,
    'other_label': other_label, 'split': split, 'split_other': split_other, 'detail': 'how',
  }  # fmt: skip


def _offered(make_images, rows, quarantined=(), **fields):
  """Returns (decision, detail) of each row of findings."""
  images = make_images(['red'] * 4, path=['a', 'a', 'b', 'c'], **fields)
  found = findings.from_ingest(Dataset(images, {}, rows, list(quarantined)))
  return [(finding.decision, finding.detail) for finding in found]


@pytest.mark.parametrize(
  ('judges', 'less'),
  [('test', 'production'), ('production', 'val'), ('val', 'train'), ('test', 'train')],
)
def test_a_leak_is_settled_once_and_what_judges_most_stays(make_images, judges, less):
  rows = [_row('leak', 'a', 'b', less, judges), _row('leak', 'b', 'a', judges, less)]
  for given in (rows, rows[::-1]):
    lines = [line for line, _ in _offered(make_images, given)]
    assert [line for line in lines if line] == ['a,drop,,leak']
  assert leaks._JUDGES.index(judges) < leaks._JUDGES.index(less)


def test_a_pair_that_is_listed_twice_is_settled_once(make_images):
  near, leak = _row('near_copy', 'a', 'b', 'train', 'test'), _row('leak', 'b', 'a', 'test', 'train')
  assert [line for line, _ in _offered(make_images, [near, leak])] == ['', 'a,drop,,leak']
  chain = [_row('near_copy', *pair, 'train', 'train') for pair in ('ab', 'ac', 'bc')]
  lines = [line for line, _ in _offered(make_images, chain)]
  assert lines == ['b,drop,,near_copy', 'c,drop,,near_copy', '']


def test_labels_in_conflict_become_one(make_images):
  rows = [
    _row('label_conflict', *pair, label=own, other_label=other)
    for pair, own, other in (('ab', 'x', 'y'), ('ba', 'y', 'x'), ('ca', 'z', 'x'))
  ]
  lines = [line for line, _ in _offered(make_images, rows)]
  assert lines == ['a,relabel,y,label_conflict', '', 'c,relabel,y,label_conflict']


def test_one_file_in_two_rows_is_not_dropped_by_its_name(make_images):
  duplicate = {'row': '7', 'filename': 'a', 'reason': 'duplicate', 'detail': ''}
  rows = [_row('exact_copy', 'a', 'a', '', 'train'), _row('leak', 'a', 'a', 'test', 'train')]
  offered = _offered(
    make_images,
    rows,
    [duplicate],
    split=['train', 'test', 'train', 'train'],
    row=np.array([2, 3, 4, 5]),
  )
  assert offered == [('', 'how; remove row 7'), ('', 'how; remove row 2')]


def test_keep_on_both_files_hides_a_pair_and_on_one_does_not(make_images):
  rows = [
    _row(code, *pair) for code in ('near_copy', 'label_conflict', 'leak') for pair in ('bc', 'ab')
  ]
  images = make_images(
    ['red'] * 4, path=['a', 'd', 'b', 'c'], decision=['', '', 'group+keep', 'keep']
  )
  dataset, hidden = findings.open_pairs(Dataset(images, {}, rows, []))
  assert hidden == 2
  assert [(row['code'], row['filename']) for row in dataset.findings] == [
    ('near_copy', 'a'),
    ('label_conflict', 'a'),
    ('leak', 'b'),
    ('leak', 'a'),
  ]


@pytest.fixture
def look(tmp_path):
  """Returns look(root): what an audit of real files finds, and the images that are used."""
  looked = []

  def look(root):
    looked.append(None)
    work = tmp_path / f'look{len(looked)}'
    outputs = ingest.Outputs({}, work / 'quarantine', work / 'dataset')
    for folder in (outputs.dataset, work / 'audit'):
      folder.mkdir(parents=True)
    data = DataConfig(root=root, production=True)
    ingest.examine(data, outputs, work / 'state', lambda: beam.Pipeline(argv=[FN_API]))
    report.write(
      'x',
      outputs.dataset,
      outputs.quarantine,
      data,
      AuditConfig(suspects=False),
      work / 'audit',
    )
    with open(work / 'audit/findings.csv', encoding='utf-8', newline='') as stream:
      found = [row for row in csv.DictReader(stream) if row['code'] in PAIRS]
    with open(work / 'audit/suspects.csv', encoding='utf-8') as stream:
      assert stream.readline()
    return found, report.read(outputs.dataset, outputs.quarantine).images

  return look


@pytest.mark.slow
def test_who_follows_every_line_has_each_picture_once_and_nothing_left_to_settle(look, tmp_path):
  root = tmp_path / 'data'
  (root / 'images').mkdir(parents=True)
  pixels, rows = {}, []
  for number in range(20):
    small = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    name = f'{number:02d}.png'
    pixels[name] = Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC)
    pixels[name].save(root / 'images' / name)
    rows.append([name, ('fig', 'pear')[number % 2], ''])

  def copy(name, of, label, split='', quality=None):
    options = {'quality': quality} if quality else {}
    pixels[of].save(root / 'images' / name, **options)
    rows.append([name, label, split])

  copy('exact.png', '00.png', 'fig')
  copy('near.jpg', '02.png', 'fig', quality=90)
  copy('near2.jpg', '02.png', 'fig', quality=80)
  copy('conflict.png', '04.png', 'pear')
  copy('near_conflict.jpg', '06.png', 'pear', quality=90)
  rows[8][2] = 'test'
  copy('served.jpg', '08.png', 'fig', 'production', quality=90)
  rows[10][2] = 'val'
  copy('learnt.png', '10.png', 'fig', 'train')
  rows.append(list(rows[12]))  # row 29, the same file again

  def write(lines):
    with open(root / 'labels.csv', 'w', encoding='utf-8', newline='') as stream:
      csv.writer(stream).writerows([('filename', 'label', 'split'), *lines])

  write(rows)
  found, _ = look(root)
  assert {row['code'] for row in found} == PAIRS
  lines = [row['decision'] for row in found if row['decision']]
  assert len(lines) == len(set(lines)) == 7
  (twice,) = [row for row in found if row['filename'] == row['other']]
  assert twice['decision'] == '' and twice['detail'].endswith(
    ('remove row 14', f'remove row {len(rows) + 1}')
  )
  (root / 'decisions.csv').write_text('\n'.join(['filename,decision,value,note', *lines]))
  del rows[int(twice['detail'].split()[-1]) - 2]
  write(rows)

  left, images = look(root)
  # What became an exact copy by its new label, or shows the same under one label now.
  assert {row['code'] for row in left} <= {'exact_copy', 'near_copy'}
  used = dict(zip(images.path, images.split, strict=True))
  # Each of the 20 pictures once; of the near conflict both files stay, under one label.
  assert len(images) == 21
  assert used['08.png'] == 'test' and used['10.png'] == 'val'
  assert not {'served.jpg', 'learnt.png', 'near.jpg', 'near2.jpg'} & set(used)
  labels = dict(zip(images.path, images.label, strict=True))
  assert labels['06.png'] == labels['near_conflict.jpg'] == 'pear'
  assert len({'04.png', 'conflict.png'} & set(used)) == 1
