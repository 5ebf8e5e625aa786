"""Requests that meet share a call, and each gets its own answer."""

import concurrent.futures
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.batching import Batcher
from serving.batching_parameters import BatchingParameters
from serving.status_error import DEADLINE_EXCEEDED, UNAVAILABLE, StatusError


class Squares:
  """Stands for a version: squares, and remembers the rows of each call; -1 is refused."""

  def __init__(self, output_dims=(-1,)):
    signature = meta_graph_pb2.SignatureDef()
    signature.inputs['x'].tensor_shape.dim.add(size=-1)
    signature.outputs['y'].name = 'y:0'
    for size in output_dims:
      signature.outputs['y'].tensor_shape.dim.add(size=size)
    self.signatures = {'s': signature}
    self.calls: list[list[float]] = []
    self.seconds = 0.0
    self.free = threading.Event()
    self.free.set()
    self.begun = threading.Semaphore(0)

  def run(self, name, inputs):
    self.begun.release()
    assert self.free.wait(30)
    time.sleep(self.seconds)
    x = np.asarray(inputs['x'])
    self.calls.append(x.tolist())
    if (x == -1).any():
      raise tf.errors.InvalidArgumentError(None, None, 'below zero')
    return {'y': x**2}


def ask(batcher, servable, *values, deadline=None):
  return batcher.run(servable, 's', {'x': np.array(values, float)}, deadline)['y'].tolist()


@pytest.fixture
def pool():
  with concurrent.futures.ThreadPoolExecutor(64) as made:
    yield made


def wait_until(condition):
  until = time.monotonic() + 20
  while not condition():
    assert time.monotonic() < until
    time.sleep(0.001)


def test_what_waits_during_a_call_is_the_next_call(pool):
  servable, sizes = Squares(), []
  batcher = Batcher(BatchingParameters(max_batch_size=4), sizes.append)
  servable.free.clear()
  first = pool.submit(ask, batcher, servable, 1.0)
  servable.begun.acquire()
  rest = []
  for value in (2.0, 3.0, 4.0, 5.0, 6.0):
    rest.append(pool.submit(ask, batcher, servable, value))
    wait_until(lambda: batcher.depth == len(rest))
  servable.free.set()
  assert first.result() == [1.0]
  assert [one.result() for one in rest] == [[4.0], [9.0], [16.0], [25.0], [36.0]]
  assert servable.calls == [[1.0], [2.0, 3.0, 4.0, 5.0], [6.0]]
  assert sizes == [1, 4, 1] and batcher.depth == 0


def test_requests_of_several_rows_are_kept_whole(pool):
  servable = Squares()
  batcher = Batcher(BatchingParameters(max_batch_size=4))
  servable.free.clear()
  first = pool.submit(ask, batcher, servable, 0.0)
  servable.begun.acquire()
  pairs = []
  for values in ((1.0, 2.0), (3.0,), (4.0, 5.0)):
    pairs.append(pool.submit(ask, batcher, servable, *values))
    wait_until(lambda: batcher.depth == len(pairs))
  servable.free.set()
  first.result()
  assert [one.result() for one in pairs] == [[1.0, 4.0], [9.0], [16.0, 25.0]]
  # The third would have made five.
  assert servable.calls == [[0.0], [1.0, 2.0, 3.0], [4.0, 5.0]]
  assert ask(batcher, servable, *range(9)) == [float(n * n) for n in range(9)]


def test_a_row_that_is_refused_spoils_no_other(pool):
  servable = Squares()
  batcher = Batcher()
  servable.free.clear()
  first = pool.submit(ask, batcher, servable, 0.0)
  servable.begun.acquire()
  rest = [pool.submit(ask, batcher, servable, value) for value in (2.0, -1.0, 3.0)]
  wait_until(lambda: batcher.depth == 3)
  servable.free.set()
  first.result()
  assert rest[0].result() == [4.0] and rest[2].result() == [9.0]
  with pytest.raises(tf.errors.InvalidArgumentError, match='below zero'):
    rest[1].result()


def test_a_full_queue_refuses_and_a_deadline_ends_the_wait(pool):
  servable = Squares()
  batcher = Batcher(BatchingParameters(max_batch_size=1, max_enqueued_batches=2))
  servable.free.clear()
  first = pool.submit(ask, batcher, servable, 1.0)
  servable.begun.acquire()
  waits = pool.submit(ask, batcher, servable, 2.0)
  wait_until(lambda: batcher.depth == 1)
  with pytest.raises(StatusError, match='deadline') as late:
    ask(batcher, servable, 3.0, deadline=time.monotonic() + 0.02)
  assert late.value.code == DEADLINE_EXCEEDED and batcher.depth == 1
  second = pool.submit(ask, batcher, servable, 4.0)
  wait_until(lambda: batcher.depth == 2)
  with pytest.raises(StatusError, match='queue .* is full') as full:
    ask(batcher, servable, 5.0)
  assert full.value.code == UNAVAILABLE
  servable.free.set()
  assert [one.result() for one in (first, waits, second)] == [[1.0], [4.0], [16.0]]
  assert [3.0] not in servable.calls


def test_one_that_is_being_read_is_waited_for_and_nobody_else_waits(pool):
  servable = Squares()
  batcher = Batcher(BatchingParameters(batch_timeout_micros=20_000_000))
  assert ask(batcher, servable, 1.0) == [1.0]  # alone: at once, or this would take 20 s
  read, known = threading.Event(), threading.Event()

  def slowly():
    with batcher.arriving():
      known.set()
      assert read.wait(20)
      return ask(batcher, servable, 3.0)

  slow = pool.submit(slowly)
  assert known.wait(20)
  quick = pool.submit(ask, batcher, servable, 2.0)
  wait_until(lambda: batcher.depth == 1)
  read.set()
  assert (quick.result(), slow.result()) == ([4.0], [9.0])
  assert servable.calls == [[1.0], [2.0, 3.0]]


def test_one_that_is_given_up_is_not_waited_for(pool):
  servable = Squares()
  batcher = Batcher(BatchingParameters(batch_timeout_micros=20_000_000))
  with pytest.raises(ValueError), batcher.arriving():
    raise ValueError('a body that cannot be read')
  assert ask(batcher, servable, 2.0) == [4.0]


def test_a_batch_is_filled_up_to_an_allowed_size():
  servable = Squares()
  batcher = Batcher(BatchingParameters(max_batch_size=8, allowed_batch_sizes=(2, 4, 8)))
  assert ask(batcher, servable, 1.0, 2.0, 3.0) == [1.0, 4.0, 9.0]
  assert servable.calls == [[1.0, 2.0, 3.0, 1.0]]


def test_a_signature_without_a_batch_dimension_runs_alone(pool):
  servable = Squares(output_dims=())
  batcher = Batcher()
  servable.free.clear()
  both = [pool.submit(ask, batcher, servable, value) for value in (1.0, 2.0)]
  for _ in both:
    servable.begun.acquire()
  servable.free.set()
  assert sorted(one.result()[0] for one in both) == [1.0, 4.0]
  assert sorted(servable.calls) == [[1.0], [2.0]]


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_thousands_at_once_get_each_their_own(pool, threads):
  servable = Squares()
  servable.seconds = 0.001  # Else each is done before the next comes.
  batcher = Batcher(BatchingParameters(max_batch_size=7, num_batch_threads=threads))

  def one(n):
    with batcher.arriving():
      return ask(batcher, servable, float(n), n + 0.5)

  answers = list(pool.map(one, range(3000), timeout=60))
  assert answers == [[float(n * n), (n + 0.5) ** 2] for n in range(3000)]
  assert sum(map(len, servable.calls)) == 6000 and len(servable.calls) < 3000
