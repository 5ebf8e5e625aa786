import hashlib
import json
import os
import sqlite3
import time

import pytest

from components.image_example_gen import fingerprint, manifest
from schemas.config import DataConfig


def _fingerprint(root):
  with sqlite3.connect(':memory:') as connection:
    return fingerprint.rows_fingerprint(
      manifest.open_manifest(DataConfig(root=root)), fingerprint.ContentHashes(connection)
    )


def test_the_formula():
  rows = [['a', 'b'], ['c', ['d', 'e']]]
  total = fingerprint.RowSum()
  for row in rows:
    total.add(row)
  expected = (
    sum(
      int(hashlib.sha256(json.dumps(row, separators=(',', ':')).encode()).hexdigest(), 16)
      for row in rows
    )
    % 2**256
  )
  assert total.hexdigest() == hashlib.sha256(f'2:{expected:064x}'.encode()).hexdigest()


def test_parts_do_not_run_into_each_other():
  def digest(*rows):
    total = fingerprint.RowSum()
    for row in rows:
      total.add(row)
    return total.hexdigest()

  assert digest(['ab', 'c']) != digest(['a', 'bc'])
  assert digest(['a'], ['b']) == digest(['b'], ['a'])
  assert digest(['a'], ['a']) != digest()


def test_any_order_and_every_change(write_data, encode):
  files = {'a.png': encode(1), 'b.png': encode(2)}
  header = ('filename', 'label', 'site')
  root = write_data([('a.png', 'x', '1'), ('b.png', 'y', '2')], files, header)
  before = _fingerprint(root)
  assert _fingerprint(write_data([('b.png', 'y', '2'), ('a.png', 'x', '1')], {}, header)) == before
  for rows in (
    [('a.png', 'x', '1'), ('b.png', 'x', '2')],
    [('a.png', 'x', '1')],
    [('a.png', 'x', '1'), ('b.png', 'y', '3')],
  ):
    assert _fingerprint(write_data(rows, {}, header)) != before
  root = write_data([('a.png', 'x', '1'), ('b.png', 'y', '2')], {}, header)
  assert _fingerprint(root) == before
  (root / 'images' / 'b.png').write_bytes(encode(3))
  assert _fingerprint(root) != before
  (root / 'images' / 'b.png').unlink()
  assert _fingerprint(root) not in ('', before)


@pytest.fixture
def hashes():
  with sqlite3.connect(':memory:') as connection:
    yield fingerprint.ContentHashes(connection)


def test_a_hash_is_remembered_by_path_size_and_time(tmp_path, hashes):
  path = tmp_path / 'a'
  path.write_bytes(b'one')
  old = time.time_ns() - 10**11
  os.utime(path, ns=(old, old))
  one = hashlib.sha256(b'one').hexdigest()
  assert list(hashes.of([path, None, tmp_path / 'absent'])) == [one, '', '']
  # Other bytes, same size, same time: only a memory can still say `one`.
  path.write_bytes(b'two')
  os.utime(path, ns=(old, old))
  assert list(hashes.of([path])) == [one]
  os.utime(path, ns=(old, old + 1))
  assert list(hashes.of([path])) == [hashlib.sha256(b'two').hexdigest()]


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, hashes):
  path = tmp_path / 'a'
  path.write_bytes(b'one')
  now = time.time_ns()
  os.utime(path, ns=(now, now))
  list(hashes.of([path]))
  path.write_bytes(b'two')
  os.utime(path, ns=(now, now))
  assert list(hashes.of([path])) == [hashlib.sha256(b'two').hexdigest()]
