"""The files: whole or not there, few enough, and never older than allowed."""

import os
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from schemas.errors import ServingError
from serving import log_files

RECORD = b'r' * 84  # 100 bytes with its frame


def opened(folder, file=1000, total=10_000, age=1e6, rotate=1e6):
  return log_files.LogFiles(folder, file, total, age, rotate)


def records(path):
  return list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())


def parts(folder):
  return list(folder.glob('*.part'))


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path):
  files = opened(tmp_path)
  files.write(b'one')
  assert log_files.whole(tmp_path) == [] and len(parts(tmp_path)) == 1
  files.write(b'two')
  files.complete()
  (path,) = log_files.whole(tmp_path)
  assert records(path) == [b'one', b'two'] and parts(tmp_path) == []
  assert path.stat().st_mode & 0o077 == 0


def test_a_full_file_is_followed_by_another(tmp_path):
  files = opened(tmp_path, file=300)
  for _ in range(7):
    files.write(RECORD)
  files.complete()
  paths = log_files.whole(tmp_path)
  assert [len(records(path)) for path in paths] == [3, 3, 1]
  assert all(path.stat().st_size <= 300 for path in paths)


def test_a_file_is_completed_when_its_time_has_come(tmp_path):
  files = opened(tmp_path, rotate=0.0)
  files.tick()
  files.write(RECORD)
  files.tick()
  assert len(log_files.whole(tmp_path)) == 1


def test_the_oldest_files_make_room(tmp_path):
  files = opened(tmp_path, file=100, total=300)
  for number in range(9):
    files.write(bytes([number]) * 84)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 300
  files.complete()
  assert [records(path)[0][0] for path in log_files.whole(tmp_path)] == [6, 7, 8]


def test_old_files_are_deleted(tmp_path):
  files = opened(tmp_path, age=100)
  for _ in range(2):
    files.write(RECORD)
    files.complete()
  old, new = log_files.whole(tmp_path)
  broken = tmp_path / f'{old.name}.broken'
  broken.write_bytes(b'x')
  for path in (old, broken):
    os.utime(path, (time.time() - 101,) * 2)
  files.prune()
  assert list(tmp_path.iterdir()) == [new]


def test_a_record_larger_than_a_file_is_refused_and_the_next_is_written(tmp_path):
  files = opened(tmp_path, file=99)
  with pytest.raises(ServingError, match=r'at most 99 bytes.*Received: 100'):
    files.write(RECORD)
  files.write(b'small')
  files.complete()
  assert records(log_files.whole(tmp_path)[0]) == [b'small']


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(ServingError, match=r'file/log: expected a folder'):
    opened(tmp_path / 'file/log')


def test_what_a_killed_process_left_is_completed_and_what_is_in_use_is_not(tmp_path):
  code = (
    'import pathlib, sys, time\n'
    'from serving.log_files import LogFiles\n'
    'files = LogFiles(pathlib.Path(sys.argv[1]), 1000, 10000, 1e6, 1e6)\n'
    "files.write(b'one'); files.write(b'two'); files._open._writer.flush()\n"
    "print('written', flush=True); time.sleep(60)\n"
  )
  command = [sys.executable, '-c', code, str(tmp_path)]
  environment = {**os.environ, 'PYTHONPATH': os.getcwd()}
  with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
    try:
      assert process.stdout.readline() == b'written\n'
      log_files.recover(tmp_path)
      assert log_files.whole(tmp_path) == [] and len(parts(tmp_path)) == 1
    finally:
      process.kill()
  log_files.recover(tmp_path)
  (path,) = tmp_path.iterdir()
  assert path.suffix == '.tfrecord' and records(path) == [b'one', b'two']


@pytest.mark.parametrize(
  ('cut', 'kept', 'aside'),
  # Of 90 bytes less, less than a length is left of the second record: nothing worth keeping.
  [(1, 1, ['.broken']), (90, 1, []), (150, 0, ['.broken'])],
)
def test_half_a_record_is_set_aside(tmp_path, cut, kept, aside):
  part = tmp_path / 'requests-1.tfrecord.part'
  with tf.io.TFRecordWriter(str(part)) as writer:
    writer.write(RECORD)
    writer.write(RECORD)
  part.write_bytes(part.read_bytes()[:-cut])
  log_files.recover(tmp_path)
  whole = log_files.whole(tmp_path)
  assert [records(path) for path in whole] == [[RECORD]] * kept
  assert [path.suffix for path in tmp_path.iterdir() if path not in whole] == aside
