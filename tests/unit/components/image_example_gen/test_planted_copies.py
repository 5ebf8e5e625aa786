"""Train images planted in test as real files: what a person might do by accident."""

import collections
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from schemas import features
from schemas.errors import DataError


def _encode(pixels, image_format='PNG', **options):
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, image_format, **options)
  return stream.getvalue()


@pytest.fixture
def photos(picture):
  """Forty photo-like images, of two classes: {name: pixels}."""
  return {f'{number:02d}.png': picture(number, 96, 120) for number in range(40)}


@pytest.fixture
def write_photos(photos, write_data):
  """Returns write(planted): the photos with given splits, and planted images in test."""

  def write(planted, split='test', label='a'):
    rows = [
      (name, 'ab'[n % 2], 'train' if n < 30 else 'val' if n < 35 else 'test')
      for n, name in enumerate(photos)
    ]
    rows += [(name, label, split) for name in planted]
    files = {name: _encode(pixels) for name, pixels in photos.items()}
    return write_data(rows, {**files, **planted}, ('filename', 'label', 'split'))

  return write


PLANTED = {
  'as it is': (lambda pixels: _encode(pixels), 'the same pixels'),
  'other bytes of the same pixels': (
    lambda pixels: _encode(pixels, 'BMP'),
    'the same pixels',
  ),
  're-encoded': (lambda pixels: _encode(pixels, 'JPEG', quality=80), 're-encoded'),
  'mirrored': (lambda pixels: _encode(np.ascontiguousarray(pixels[:, ::-1])), 'mirrored'),
  'rotated': (lambda pixels: _encode(np.ascontiguousarray(np.rot90(pixels))), 'rotated by'),
}


@pytest.mark.parametrize('kind', PLANTED)
def test_a_train_image_in_test_stops_the_run_and_both_paths_are_named(
  kind, photos, write_photos, run_ingest
):
  change, how = PLANTED[kind]
  root = write_photos({'planted': change(photos['04.png'])})
  with pytest.raises(DataError) as error:
    run_ingest(root)
  first = str(error.value).splitlines()[0]
  assert first.startswith(
    "labels.csv: '04.png' (train, as given) and 'planted' (test, as given) belong together: "
  )
  assert how in first
  assert not (root / 'splits.lock.csv').exists()


def test_warn_writes_the_mark_into_the_records(photos, write_photos, run_ingest):
  mirrored = np.ascontiguousarray(photos['04.png'][:, ::-1])
  result = run_ingest(write_photos({'m.png': _encode(mirrored)}), on_leak='warn')
  marks = {
    (name, example.features.feature[features.IMAGE_PATH].bytes_list.value[0].decode()): (
      example.features.feature[features.LEAK].bytes_list.value[0].decode()
    )
    for name, examples in result.records.items()
    for example in examples
  }
  assert [key for key, mark in marks.items() if mark == 'yes'] == [('test', 'm.png')]
  assert collections.Counter(marks.values()) == {'no': 40, 'yes': 1}
  assert {row['path']: row['leak'] for row in result.manifest if row['leak'] == 'yes'} == {
    'm.png': 'yes'
  }
  clusters = {row['path']: row['cluster'] for row in result.manifest if row['cluster']}
  assert set(clusters) == {'04.png', 'm.png'}
  assert len(set(clusters.values())) == 1
  assert [(row['code'], row['filename'], row['other']) for row in result.findings] == [
    ('near_copy', '04.png', 'm.png'),
    ('leak', 'm.png', '04.png'),
  ]


def test_drop_takes_the_train_image_out_and_stays_so(photos, write_photos, run_ingest):
  root = write_photos({'m.png': _encode(photos['04.png'], 'JPEG', quality=85)})
  for _ in range(2):
    result = run_ingest(root, on_leak='drop', max_bad_fraction=0)
    assert [(row['filename'], row['reason']) for row in result.quarantined] == [('04.png', 'leak')]
    assert {row['path']: row['split'] for row in result.manifest}['m.png'] == 'test'


def test_near_copies_can_be_let_be_and_exact_ones_cannot(photos, write_photos, run_ingest):
  mirrored = np.ascontiguousarray(photos['04.png'][:, ::-1])
  root = write_photos({'m.png': _encode(mirrored)})
  assert run_ingest(root, near_copies=False).summary['clusters']['count'] == 0
  root = write_photos({'m.png': _encode(photos['04.png'], 'BMP')})
  with pytest.raises(DataError, match='the same pixels'):
    run_ingest(root, near_copies=False)


def test_the_lock_and_the_records_follow_copies_that_come_later(photos, write_data, run_ingest):
  rows = [(name, 'ab'[n % 2]) for n, name in enumerate(photos)]
  root = write_data(rows, {name: _encode(pixels) for name, pixels in photos.items()})
  first = {row['path']: row['split'] for row in run_ingest(root).manifest}
  tested = next(name for name in sorted(first) if first[name] == 'test')
  label = dict(rows)[tested]
  root = write_data(
    [*rows, ('new.jpg', label)], {'new.jpg': _encode(photos[tested], 'JPEG', quality=85)}
  )
  second = {row['path']: row['split'] for row in run_ingest(root).manifest}
  assert second == {**first, 'new.jpg': 'test'}


def test_examine_says_what_would_stop_a_run_and_writes_no_lock(photos, write_photos, run_examine):
  root = write_photos({'planted.png': _encode(photos['04.png'], 'JPEG', quality=80)})
  with open(root / 'labels.csv', 'a') as stream:
    stream.write('absent.png,a,\nabsent2.png,a,\n')
  result = run_examine(root, max_bad_fraction=0.01)
  bad, leak = result.summary['would_stop']
  assert "'absent.png' missing_file" in bad
  assert "'04.png' (train, as given)" in leak
  assert len(result.manifest) == 41
  assert [row['path'] for row in result.manifest if row['leak'] == 'yes'] == ['planted.png']
  assert len(result.quarantined) == 2
  assert {row['code'] for row in result.findings} == {'near_copy', 'leak'}
  assert (result.folder / 'dataset' / 'thumbnails.npy').exists()
  assert not (root / 'splits.lock.csv').exists()
  assert not list(tf.io.gfile.glob(str(result.folder / '**' / '*.tfrecord')))


def test_examine_raises_where_nothing_can_be_read(tmp_path, run_examine):
  with pytest.raises(DataError, match='expected a folder of images'):
    run_examine(tmp_path / 'nowhere')


def test_two_that_are_kept_may_stand_in_two_splits(write_data, picture, run_ingest):
  def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()

  files = {f'{n:02d}.png': png(picture(n, 60, 80)) for n in range(20)}
  files['19.png'] = png(picture(0, 60, 80)[:, ::-1])
  split = {'00.png': 'train', '19.png': 'test'}
  root = write_data(
    [(name, 'ab'[n // 10], split.get(name, '')) for n, name in enumerate(files)],
    files,
    ('filename', 'label', 'split'),
  )
  with pytest.raises(DataError, match='mirrored'):
    run_ingest(root)
  (root / 'decisions.csv').write_text('filename,decision\n00.png,keep\n19.png,keep\n')
  assert run_ingest(root).summary['leaks']['clusters'] == 0
