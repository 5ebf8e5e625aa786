"""The request log: a sample of what was asked and answered, for monitoring and replay.

It never delays an answer: a request is only put into a queue, and where that is full it
is dropped and counted.
"""

import dataclasses
import functools
import hashlib
import logging
import pathlib
import queue
import threading
import time
from collections.abc import Callable

from tensorflow_serving.apis import prediction_log_pb2

from schemas.config import RequestLogConfig
from serving import request_record
from serving.log_files import LogFiles

_DAY = 86_400.0
_MB = 1 << 20
_LOOK_SECONDS = 1.0

_LOG = logging.getLogger(__name__)

Build = Callable[[], prediction_log_pb2.PredictionLog]


@dataclasses.dataclass
class Counts:
  """What became of the requests since the start.

  Attributes:
    sampled: drawn by their ids.
    written: in a file.
    dropped: because the queue was full, or the log was closed.
    failed: that could not be made into a record or written.
  """

  sampled: int = 0
  written: int = 0
  dropped: int = 0
  failed: int = 0


class RequestLog:
  """Writes a sample of the requests to TFRecord files of PredictionLog.

  Attributes:
    folder: where the files lie.
    counts: what became of the requests.
  """

  def __init__(
    self,
    folder: pathlib.Path | str,
    sampling_rate: float,
    images: bool = False,
    max_file_bytes: int = 64 * _MB,
    max_total_bytes: int = 1024 * _MB,
    max_age_seconds: float = 30 * _DAY,
    queue_size: int = 64,
    rotate_seconds: float = 300.0,
  ):
    """Opens the folder and starts the thread that writes.

    Args:
      folder: made if it is missing.
      sampling_rate: share of the requests that is logged, 0..1.
      images: whether their images are kept.
      max_file_bytes: see LogFiles.
      max_total_bytes: see LogFiles.
      max_age_seconds: see LogFiles.
      queue_size: requests that wait to be written; they hold their images.
      rotate_seconds: see LogFiles.

    Raises:
      ServingError: the folder cannot be written.
    """
    self.folder = pathlib.Path(folder)
    self.counts = Counts()
    self._rate, self._images = sampling_rate, images
    self._files = LogFiles(
      self.folder, max_file_bytes, max_total_bytes, max_age_seconds, rotate_seconds
    )
    self._queue: queue.Queue[tuple[str, float, Build] | None] = queue.Queue(queue_size)
    self._lock = threading.Lock()
    self._closed = False
    self._said = ''
    self._thread = threading.Thread(target=self._write, name='request log', daemon=True)
    self._thread.start()

  def offer(self, request_id: str, build: Build) -> bool:
    """Logs a request if its id is drawn; returns at once, and never raises.

    Args:
      request_id: of the request. The same id is always drawn alike, by every server.
      build: makes the PredictionLog; called later, in another thread.

    Returns:
      Whether the request waits to be written.
    """
    if not sampled(request_id, self._rate):
      return False
    with self._lock:
      self.counts.sampled += 1
      if not self._closed:
        try:
          self._queue.put_nowait((request_id, time.time(), build))
          return True
        except queue.Full:
          pass
      self.counts.dropped += 1
      return False

  def close(self) -> None:
    """Writes what waits, completes the file and ends the thread."""
    with self._lock:
      if self._closed:
        return
      self._closed = True
    self._queue.put(None)
    self._thread.join()

  def _write(self) -> None:
    while True:
      try:
        waiting = self._queue.get(timeout=_LOOK_SECONDS)
      except queue.Empty:
        self._attempt(self._files.tick)
        continue
      if waiting is None:
        break
      done = self._attempt(functools.partial(self._write_one, *waiting))
      self.counts.written += done
      self.counts.failed += not done
      self._attempt(self._files.tick)
    self._attempt(self._files.complete)

  def _write_one(self, request_id: str, timestamp: float, build: Build) -> None:
    record = request_record.complete(build(), request_id, timestamp, self._rate, self._images)
    self._files.write(record.SerializeToString())

  def _attempt(self, work: Callable[[], None]) -> bool:
    try:
      work()
    except Exception as error:  # noqa: BLE001 - a full disk or an odd request ends no log
      if str(error) != self._said:
        _LOG.exception('The request log could not write; it goes on with the next request.')
      self._said = str(error)
      return False
    return True


def opened(settings: RequestLogConfig, folder: pathlib.Path | str | None = None) -> RequestLog:
  """Opens the log that a config describes.

  Args:
    settings: `serve.request_log` of the config, with its directory or with `folder`.
    folder: instead of the directory of the settings.

  Raises:
    ServingError: the folder cannot be written.
  """
  chosen = folder or settings.directory
  assert chosen is not None  # the loader fills it in
  return RequestLog(
    chosen,
    settings.rate,
    settings.images,
    int(settings.file_mb * _MB),
    int(settings.total_mb * _MB),
    settings.days * _DAY,
    settings.queue,
    settings.minutes * 60,
  )


def sampled(request_id: str, rate: float) -> bool:
  """Returns whether a request is drawn: by its id, so that a retry is drawn alike.

  Args:
    request_id: any text.
    rate: share that is drawn, 0..1.
  """
  digest = hashlib.sha256(b'request log\0' + request_id.encode(errors='replace')).digest()
  return int.from_bytes(digest[:8]) < rate * 2**64
