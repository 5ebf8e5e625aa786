"""Checkpoints: whole or not at all, and what is damaged is passed over."""

import errno
import logging
import os
import resource
import signal

import numpy as np
import pytest

from models.training.checkpoints import Checkpoints
from schemas.errors import TrainingError

ARRAYS = {
  'model0': np.arange(6, dtype=np.float32).reshape(2, 3),
  'model1': np.array([3, 7], np.uint32),
  'optimizer0': np.array(12, np.int64),
}


def names(folder):
  return sorted(path.name for path in folder.iterdir())


def test_what_was_written_is_read_back_with_its_types(tmp_path):
  kept = Checkpoints(tmp_path / 'of a run')
  assert kept.latest() is None
  kept.save_best(2, [np.ones(3, np.float32), np.zeros((1, 2), np.float32)])
  kept.save(40, {'best_epoch': 2, 'loss': float('inf')}, ARRAYS)
  read = kept.latest()
  assert read.meta == {'best_epoch': 2, 'loss': float('inf')}
  assert sorted(read.arrays) == sorted(ARRAYS)
  for name, value in ARRAYS.items():
    assert read.arrays[name].dtype == value.dtype
    np.testing.assert_array_equal(read.arrays[name], value)
  np.testing.assert_array_equal(read.best[0], [1, 1, 1])
  assert read.best[1].shape == (1, 2)


def test_two_checkpoints_are_kept_and_the_best_weights_that_they_name(tmp_path):
  kept = Checkpoints(tmp_path)
  for number, best in ((10, 0), (20, 0), (30, 1), (40, 2)):
    kept.save_best(best, [np.full(2, best, np.float32)])
    kept.save(number, {'best_epoch': best}, ARRAYS)
  assert names(tmp_path) == [
    'best-000001.npz',
    'best-000002.npz',
    'step-000000030.npz',
    'step-000000040.npz',
  ]
  assert kept.latest().meta['best_epoch'] == 2


def truncate(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
  content = bytearray(path.read_bytes())
  at = content.index(np.float32(5).tobytes())
  content[at] ^= 1
  path.write_bytes(content)


def empty(path):
  path.write_bytes(b'')


@pytest.mark.parametrize('damage', [truncate, flip_a_bit, empty])
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(tmp_path, caplog, damage):
  kept = Checkpoints(tmp_path)
  for number in (10, 20):
    kept.save(number, {'best_epoch': None, 'number': number}, ARRAYS)
  damage(tmp_path / 'step-000000020.npz')
  with caplog.at_level(logging.WARNING):
    read = kept.latest()
  assert read.meta['number'] == 10
  assert 'step-000000020.npz is damaged' in caplog.text
  # Both gone: from the start, and not with half a state.
  damage(tmp_path / 'step-000000010.npz')
  assert kept.latest() is None


def test_a_checkpoint_whose_best_weights_are_damaged_is_damaged(tmp_path):
  kept = Checkpoints(tmp_path)
  for number, best in ((10, 0), (20, 1)):
    kept.save_best(best, [np.full(2, 5, np.float32)])
    kept.save(number, {'best_epoch': best}, ARRAYS)
  flip_a_bit(tmp_path / 'best-000001.npz')
  assert kept.latest().meta['best_epoch'] == 0


def test_a_full_disk_is_an_error_that_keeps_the_last_good_one(tmp_path, monkeypatch):
  kept = Checkpoints(tmp_path)
  kept.save(10, {'best_epoch': None}, ARRAYS)

  def full(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  with monkeypatch.context() as patched:
    patched.setattr(os, 'fsync', full)
    with pytest.raises(TrainingError, match='No space left.*step-000000010.npz is kept.*room'):
      kept.save(20, {'best_epoch': None}, ARRAYS)
  assert names(tmp_path) == ['step-000000010.npz']
  assert kept.latest() is not None


def test_a_file_that_the_system_cuts_short_is_no_checkpoint(tmp_path):
  """With a real limit on the size of a file, as a quota sets it."""
  kept = Checkpoints(tmp_path)
  kept.save(10, {'best_epoch': None}, ARRAYS)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
  resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
  try:
    with pytest.raises(TrainingError, match='step-000000010.npz is kept'):
      kept.save(20, {'best_epoch': None}, {'large': np.ones(10_000)})
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, ignored)
  assert names(tmp_path) == ['step-000000010.npz']


def test_removing_leaves_no_folder(tmp_path):
  kept = Checkpoints(tmp_path / 'a')
  kept.save(1, {'best_epoch': None}, ARRAYS)
  kept.remove()
  assert not (tmp_path / 'a').exists()
  kept.remove()
