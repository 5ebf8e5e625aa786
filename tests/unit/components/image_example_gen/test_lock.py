import pytest

from components.image_example_gen import lock, manifest
from schemas.config import DataConfig
from schemas.errors import DataError

A, B = 'a' * 64, 'b' * 64


def test_what_is_written_is_read(tmp_path):
  path = tmp_path / 'new' / 'splits.lock.csv'
  assert list(lock.read(path)) == []
  assert lock.content_hash(path) == lock.ABSENT
  lock.write(path, [(A, 'train'), (B, 'test')])
  assert path.read_text() == f'sha256,split\n{A},train\n{B},test\n'
  assert list(lock.read(path)) == [(A, 'train'), (B, 'test')]
  assert [entry.name for entry in path.parent.iterdir()] == ['splits.lock.csv']


def test_an_interrupted_write_leaves_the_old_lock(tmp_path):
  path = tmp_path / 'splits.lock.csv'
  lock.write(path, [(A, 'train')])

  def interrupted():
    yield B, 'test'
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    lock.write(path, interrupted())
  assert list(lock.read(path)) == [(A, 'train')]
  assert [entry.name for entry in tmp_path.iterdir()] == ['splits.lock.csv']


@pytest.mark.parametrize(
  'content',
  [
    'filename,split\n',
    f'sha256,split\n{A},eval\n',
    'sha256,split\nabc,train\n',
    f'sha256,split\n{A}\n',
    '',
  ],
)
def test_a_broken_lock_names_file_and_line(tmp_path, content):
  path = tmp_path / 'splits.lock.csv'
  path.write_text(content)
  with pytest.raises(DataError, match=r'splits\.lock\.csv line [12]: expected'):
    list(lock.read(path))


def test_a_folder_that_cannot_be_written_names_data_lock(tmp_path):
  # A file in place of the folder stops even the superuser.
  (tmp_path / 'folder').touch()
  with pytest.raises(DataError, match=r'data\.lock'):
    lock.write(tmp_path / 'folder' / 'splits.lock.csv', [(A, 'train')])


def test_the_lock_lies_beside_the_manifest_or_at_data_lock(tmp_path):
  (tmp_path / 'lists').mkdir()
  (tmp_path / 'lists' / 'mine.csv').write_text('filename,label\n')
  data = DataConfig(root=tmp_path, labels='lists/mine.csv')
  opened = manifest.open_manifest(data)
  assert lock.lock_path(data, opened) == tmp_path / 'lists' / 'splits.lock.csv'
  data = DataConfig(root=tmp_path, labels='lists/mine.csv', lock=tmp_path / 'x.csv')
  assert lock.lock_path(data, opened) == tmp_path / 'x.csv'
