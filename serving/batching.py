"""Dynamic batching: requests that meet are answered by one call of the model.

There is no thread of its own and no fixed delay. The first request leads: it takes what
waits, runs it, hands out the answers, and appoints a successor among those that came
meanwhile. It waits for others only while they have arrived and are still being read.
"""

import collections
import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from serving.batching_parameters import BatchingParameters
from serving.servable import Servable
from serving.status_error import DEADLINE_EXCEEDED, UNAVAILABLE, StatusError

Arrays = Mapping[str, np.ndarray]


class Batcher:
  """Runs signatures, many requests together.

  Args:
    parameters: its limits.
    observe: told the rows of each call of a model.
  """

  def __init__(
    self,
    parameters: BatchingParameters | None = None,
    observe: Callable[[int], None] = lambda rows: None,
  ):
    self.parameters = parameters or BatchingParameters()
    self._observe = observe
    self._lock = threading.Lock()
    # With the version its queues go.
    self._queues: weakref.WeakKeyDictionary[Servable, dict[str, _Queue | None]] = (
      weakref.WeakKeyDictionary()
    )
    self._arriving = _Arriving()

  @contextlib.contextmanager
  def arriving(self) -> Iterator[None]:
    """Around the reading of a request, and up to its `run`: a leader waits for it."""
    with self._arriving.one():
      yield

  def run(
    self,
    servable: Servable,
    signature_name: str,
    inputs: Arrays,
    deadline: float | None = None,
  ) -> dict[str, np.ndarray]:
    """Runs one signature, as Servable.run does.

    Args:
      servable: the version, which is in use meanwhile.
      signature_name: one of its signatures.
      inputs: an array for each input.
      deadline: by time.monotonic(), in seconds, after which nobody waits for the answer.

    Raises:
      StatusError: UNAVAILABLE: too many requests wait. DEADLINE_EXCEEDED: it has waited
        too long.
      ServingError, tf.errors.OpError: as Servable.run.
    """
    queue = self._queue(servable, signature_name)
    rows = _rows(inputs)
    if queue is None or rows is None or not 0 < rows <= self.parameters.max_batch_size:
      self._arriving.leave()
      self._observe(rows or 1)
      return servable.run(signature_name, inputs)
    return queue.run(_Task(inputs, rows, deadline))

  @property
  def depth(self) -> int:
    """Requests that wait."""
    with self._lock:
      queues = [queue for named in self._queues.values() for queue in named.values() if queue]
    return sum(len(queue.waiting) for queue in queues)

  def _queue(self, servable: Servable, signature_name: str) -> '_Queue | None':
    with self._lock:
      named = self._queues.setdefault(servable, {})
      if signature_name not in named:
        named[signature_name] = (
          _Queue(
            _runner(servable, signature_name, self.parameters, self._observe),
            self.parameters,
            self._arriving,
          )
          if _has_batch_dimension(servable, signature_name)
          else None
        )
      return named[signature_name]


class _Arriving:
  """Counts the requests that are being read; each thread counts once."""

  def __init__(self):
    self.changed = threading.Condition()
    self.count = 0
    self._here = threading.local()

  @contextlib.contextmanager
  def one(self) -> Iterator[None]:
    with self.changed:
      self.count += 1
    self._here.counted = True
    try:
      yield
    finally:
      self.leave()

  def leave(self) -> None:
    if getattr(self._here, 'counted', False):
      self._here.counted = False
      with self.changed:
        self.count -= 1
        self.changed.notify_all()


class _Task:
  def __init__(self, inputs: Arrays, rows: int, deadline: float | None):
    self.inputs, self.rows, self.deadline = inputs, rows, deadline
    self.outputs: dict[str, np.ndarray] = {}
    self.error: Exception | None = None
    self.done = False
    self.leads = False
    self.woken = threading.Event()

  def finish(self, outputs: dict[str, np.ndarray], error: Exception | None = None) -> None:
    self.outputs, self.error, self.done = outputs, error, True
    self.woken.set()

  @property
  def late(self) -> bool:
    return self.deadline is not None and time.monotonic() > self.deadline


class _Queue:
  """The requests for one signature of one version."""

  def __init__(
    self,
    execute: Callable[[list[_Task]], None],
    parameters: BatchingParameters,
    arriving: _Arriving,
  ):
    self._execute = execute
    self._parameters = parameters
    self._arriving = arriving
    self._most_rows = parameters.max_batch_size * parameters.max_enqueued_batches
    # One lock for what waits and what arrives: a leader waits for both.
    self._changed = arriving.changed
    self.waiting: collections.deque[_Task] = collections.deque()
    self._leaders = 0
    self._gathering = False

  def run(self, task: _Task) -> dict[str, np.ndarray]:
    with self._changed:
      if sum(waiting.rows for waiting in self.waiting) + task.rows > self._most_rows:
        raise StatusError(
          UNAVAILABLE, 'The batch scheduling queue to which this task was submitted is full'
        )
      self.waiting.append(task)
      task.leads = not self._gathering and self._leaders < self._parameters.num_batch_threads
      if task.leads:
        self._leaders += 1
        self._gathering = True
    self._arriving.leave()
    if not task.leads:
      self._wait(task)
    if task.leads:
      self._lead()  # Its own task is the first of the batch.
    if task.error is not None:
      raise task.error
    return task.outputs

  def _wait(self, task: _Task) -> None:
    remaining = None if task.deadline is None else max(0.0, task.deadline - time.monotonic())
    if task.woken.wait(remaining):
      return
    with self._changed:
      if task.leads:
        return  # Appointed in this moment: others count on it.
      if task in self.waiting:
        self.waiting.remove(task)
    if not task.done:
      raise StatusError(DEADLINE_EXCEEDED, 'The request waited longer than its deadline.')

  def _lead(self) -> None:
    batch = self._gather()
    try:
      self._execute(batch)
    finally:
      with self._changed:
        self._leaders -= 1
        self._appoint()

  def _gather(self) -> list[_Task]:
    """Takes what waits, up to a full batch; `_gathering` is true and ends here."""
    until = time.monotonic() + self._parameters.batch_timeout_micros / 1e6
    with self._changed:
      while (
        self._arriving.count
        and sum(task.rows for task in self.waiting) < self._parameters.max_batch_size
        and (remaining := until - time.monotonic()) > 0
      ):
        self._changed.wait(remaining)
      batch: list[_Task] = []
      rows = 0
      while self.waiting and rows + self.waiting[0].rows <= self._parameters.max_batch_size:
        task = self.waiting.popleft()
        if task.late:
          task.finish({}, StatusError(DEADLINE_EXCEEDED, 'The request waited too long.'))
          continue
        batch.append(task)
        rows += task.rows
      self._gathering = False
      self._appoint()
    return batch

  def _appoint(self) -> None:
    """Makes the first that waits a leader, if another batch may run."""
    if not self.waiting or self._gathering:
      return
    if self._leaders < self._parameters.num_batch_threads:
      self._leaders += 1
      self._gathering = True
      self.waiting[0].leads = True
      self.waiting[0].woken.set()


def _runner(
  servable: Servable,
  signature_name: str,
  parameters: BatchingParameters,
  observe: Callable[[int], None],
) -> Callable[[list[_Task]], None]:
  # The version is held by whoever has a task; held here it would never be freed.
  held = weakref.ref(servable)

  def execute(batch: list[_Task]) -> None:
    if not batch:
      return
    running = held()
    assert running is not None
    try:
      inputs = _together(batch, parameters.allowed_batch_sizes)
      observe(_rows(inputs) or 1)
      outputs = running.run(signature_name, inputs)
      parts = _apart(outputs, [task.rows for task in batch], _rows(inputs) or 0)
    except Exception as error:  # noqa: BLE001 - it is raised where the answer is waited for
      if len(batch) == 1:
        batch[0].finish({}, error)
        return
      # One of them may be at fault; the others have a right to their answer.
      for task in batch:
        execute([task])
      return
    for task, part in zip(batch, parts, strict=True):
      task.finish(part)

  return execute


def _together(batch: list[_Task], allowed: tuple[int, ...]) -> dict[str, np.ndarray]:
  rows = sum(task.rows for task in batch)
  missing = min((size for size in allowed if size >= rows), default=rows) - rows
  together = {}
  for name in batch[0].inputs:
    parts = [np.asarray(task.inputs[name]) for task in batch]
    if missing:
      parts.append(np.repeat(parts[0][:1], missing, axis=0))
    together[name] = np.concatenate(parts) if len(parts) > 1 else parts[0]
  return together


def _apart(outputs: Arrays, sizes: list[int], rows: int) -> list[dict[str, np.ndarray]]:
  for name, array in outputs.items():
    if len(array) != rows:
      raise tf.errors.FailedPreconditionError(
        None, None, f'{name}: expected {rows} rows in the batch. Received: {len(array)}.'
      )
  ends = np.cumsum(sizes)
  return [
    {name: array[end - size : end] for name, array in outputs.items()}
    for size, end in zip(sizes, ends, strict=True)
  ]


def _rows(inputs: Arrays) -> int | None:
  shapes = [np.shape(array) for array in inputs.values()]
  if not shapes or () in shapes or len({shape[0] for shape in shapes}) != 1:
    return None
  return shapes[0][0]


def _has_batch_dimension(servable: Servable, signature_name: str) -> bool:
  if signature_name not in servable.signatures:
    return False
  signature = servable.signatures[signature_name]
  shapes = [info.tensor_shape for info in (*signature.inputs.values(), *signature.outputs.values())]
  return all(not shape.unknown_rank and shape.dim and shape.dim[0].size == -1 for shape in shapes)
