"""Work on several items at once, in order and with few of them in memory."""

import collections
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

T = TypeVar('T')
R = TypeVar('R')


def cores() -> int:
  """Returns how many cores this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


def ordered_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
  """Maps in threads: for work that lets go of Python's lock, as decoding and hashing do.

  Unlike Executor.map it takes items only as results are fetched, two a core
  ahead, so that a stream of images never lies in memory as a whole.

  Yields:
    function(item) for each item, in order.
  """
  threads = cores()
  with futures.ThreadPoolExecutor(threads) as pool:
    waiting: collections.deque[futures.Future[R]] = collections.deque()
    for item in items:
      waiting.append(pool.submit(function, item))
      if len(waiting) > 2 * threads:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()
