"""The log never delays, never raises, and loses nothing unsaid."""

import threading
import time

import pytest

from schemas.config import RequestLogConfig
from serving import log_files, logged_requests, request_log
from tests.unit.serving import exports, logs


def build():
  return logs.asked([exports.encoded(1)])


def test_what_was_offered_can_be_read_after_the_close(tmp_path):
  log = request_log.RequestLog(tmp_path, 1.0)
  before = int(time.time())
  assert all(log.offer(f'id-{number}', build) for number in range(3))
  log.close()
  assert log.counts == request_log.Counts(sampled=3, written=3)
  rows = list(logged_requests.rows(tmp_path))
  assert [row['request_id'] for row in rows] == ['id-0', 'id-1', 'id-2']
  assert all(before <= row['time'] <= time.time() for row in rows)


def test_a_full_queue_drops_at_once_and_counts(tmp_path):
  held, entered = threading.Event(), threading.Event()

  def slow():
    entered.set()
    held.wait()
    return build()

  log = request_log.RequestLog(tmp_path, 1.0, queue_size=2)
  log.offer('first', slow)
  entered.wait()
  # It is being built; two more fit the queue.
  assert [log.offer(str(number), build) for number in range(5)] == [True, True] + [False] * 3
  held.set()
  log.close()
  assert log.counts == request_log.Counts(sampled=6, written=3, dropped=3)
  assert not log.offer('late', build)
  assert log.counts.dropped == 4


def test_a_request_that_cannot_be_built_is_counted_and_the_next_is_written(tmp_path):
  log = request_log.RequestLog(tmp_path, 1.0)
  log.offer('bad', lambda: 1 / 0)
  log.offer('good', build)
  log.close()
  assert log.counts == request_log.Counts(sampled=2, written=1, failed=1)
  assert len(list(logged_requests.rows(tmp_path))) == 1


def test_a_disk_that_fails_ends_no_log(tmp_path, monkeypatch):
  log = request_log.RequestLog(tmp_path, 1.0)
  whole = log_files.LogFiles.write
  failing = iter([True, False])

  def write(files, record):
    if next(failing):
      raise OSError(28, 'No space left on device')
    whole(files, record)

  monkeypatch.setattr(log_files.LogFiles, 'write', write)
  for name in ('lost', 'kept'):
    log.offer(name, build)
  log.close()
  assert log.counts == request_log.Counts(sampled=2, written=1, failed=1)
  assert [row['request_id'] for row in logged_requests.rows(tmp_path)] == ['kept']


def test_a_file_is_readable_while_the_server_runs(tmp_path):
  log = request_log.RequestLog(tmp_path, 1.0, rotate_seconds=0.0)
  log.offer('id', build)
  deadline = time.monotonic() + 20
  while not log_files.whole(tmp_path) and time.monotonic() < deadline:
    time.sleep(0.05)
  assert [row['request_id'] for row in logged_requests.rows(tmp_path)] == ['id']
  log.close()


def test_the_id_decides_and_the_share_is_that_of_the_rate():
  drawn = [request_log.sampled(f'{number:05}', 0.1) for number in range(20_000)]
  assert drawn == [request_log.sampled(f'{number:05}', 0.1) for number in range(20_000)]
  # 2000 expected, 42 is one standard deviation.
  assert 1790 < sum(drawn) < 2210
  more = [request_log.sampled(f'{number:05}', 0.3) for number in range(20_000)]
  assert all(wide for narrow, wide in zip(drawn, more, strict=True) if narrow)


@pytest.mark.parametrize(('rate', 'count'), [(0.0, 0), (1.0, 100)])
def test_nothing_and_everything(rate, count):
  assert sum(request_log.sampled(str(number), rate) for number in range(100)) == count


def test_the_config_opens_the_log(tmp_path):
  settings = RequestLogConfig(rate=1.0, images=True, directory=tmp_path / 'a', queue=3)
  for folder in (None, tmp_path / 'b'):
    log = request_log.opened(settings, folder)
    log.offer('id', build)
    log.close()
    (row,) = logged_requests.rows(folder or tmp_path / 'a', images=True)
    assert row['image'] == exports.encoded(1)
