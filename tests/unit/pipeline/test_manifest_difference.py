"""What became of the images between two manifests, told from small ones by hand."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import manifest_difference

COLUMNS = ('path', 'image_id', 'label', 'split', 'column/camera')


@pytest.fixture
def compare(tmp_path):
  def call(old, new, columns=(COLUMNS, COLUMNS)):
    paths = []
    for name, rows, names in (('old', old, columns[0]), ('new', new, columns[1])):
      table = pa.table(
        {
          **{key: pa.array([row[i] for row in rows], pa.string()) for i, key in enumerate(names)},
          'row': pa.array(range(len(rows)), pa.int64()),
        }
      )
      paths.append(tmp_path / f'{name}.parquet')
      pq.write_table(table, paths[-1])
    return manifest_difference.compare(*paths)

  return call


def a_row(path, image_id=None, label='cat', split='train', camera='x'):
  return path, image_id or f'id of {path}', label, split, camera


def kinds(found):
  return {kind: rows.images for kind, rows in found.rows.items() if rows.count}


def test_the_same_rows_in_another_order_are_no_change(compare):
  rows = [a_row('1'), a_row('2', split='test'), a_row('3', label='dog')]
  found = compare(rows, rows[::-1])
  assert kinds(found) == {}
  assert (found.test_images, found.test_shared) == ((1, 1), 1)


def test_each_kind_of_change_is_told_apart(compare):
  old = [
    a_row('same'),
    a_row('gone', split='val'),
    a_row('edited', 'before'),
    a_row('relabelled', label='cat'),
    a_row('moved', split='train'),
    a_row('old name', 'renamed'),
    a_row('described', camera='x'),
  ]
  new = [
    a_row('same'),
    a_row('come', label='dog', split='test'),
    a_row('edited', 'after'),
    a_row('relabelled', label='dog'),
    a_row('moved', split='test'),
    a_row('new name', 'renamed'),
    a_row('described', camera='y'),
  ]
  found = compare(old, new)
  assert kinds(found) == {
    'added': ('come: dog, test',),
    'removed': ('gone: cat, val',),
    'edited': ('edited',),
    'relabelled': ('relabelled: cat -> dog',),
    'moved': ('moved: train -> test',),
    'renamed': ('old name -> new name',),
    'described otherwise': ('described',),
  }
  assert (found.test_images, found.test_shared) == ((0, 2), 0)


def test_one_image_may_be_relabelled_and_moved(compare):
  found = compare([a_row('1')], [a_row('1', label='dog', split='val')])
  assert kinds(found) == {'relabelled': ('1: cat -> dog',), 'moved': ('1: train -> val',)}


def test_a_column_that_came_is_a_change_of_every_row(compare):
  found = compare(
    [a_row('1')[:4], a_row('2')[:4]], [a_row('1'), a_row('2')], (COLUMNS[:4], COLUMNS)
  )
  assert found.rows['described otherwise'].count == 2


def test_an_empty_cell_is_no_change(compare):
  found = compare([a_row('1', camera=None)], [a_row('1', camera=None)])
  assert kinds(found) == {}


def test_copies_that_were_kept_are_counted_one_by_one(compare):
  copies = [a_row('a', 'twin'), a_row('b', 'twin')]
  assert kinds(compare(copies, copies)) == {}
  assert kinds(compare(copies, [*copies, a_row('c', 'twin')])) == {'added': ('c: cat, train',)}


def test_all_are_counted_and_the_first_hundred_listed_in_order(compare):
  found = compare([a_row('0')], [a_row('0')] + [a_row(f'{i:03}') for i in range(250, 0, -1)])
  added = found.rows['added']
  assert added.count == 250 and len(added.images) == 100
  assert added.images[0] == '001: cat, train' and added.images[-1] == '100: cat, train'


def test_a_manifest_that_is_not_there_compares_with_nothing(tmp_path):
  assert manifest_difference.compare(None, tmp_path) is None
