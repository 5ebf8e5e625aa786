"""Waits and asks again where a server says that it is busy."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from schemas.errors import ServingError

_FIRST_SECONDS = 0.25
_LONGEST_SECONDS = 10.0

_Result = TypeVar('_Result')


class BusyError(ServingError):
  """The server refused a request that it would take later: HTTP 429 or 503.

  Attributes:
    after_seconds: that the server asks to wait; 0 where it says nothing.
  """

  def __init__(self, text: str, after_seconds: float = 0.0):
    super().__init__(text)
    self.after_seconds = after_seconds


def patiently(
  call: Callable[[], _Result], retries: int, sleep: Callable[[float], None] = time.sleep
) -> _Result:
  """Calls again after BusyError, each time after twice the wait, and no other error.

  The wait is drawn between half of it and all of it, so that clients that were refused
  together do not come back together.

  Args:
    call: the request.
    retries: further tries after the first.
    sleep: takes seconds.

  Raises:
    BusyError: of the last try, which says how many there were.
  """
  for attempt in range(retries + 1):
    try:
      return call()
    except BusyError as error:
      if attempt == retries:
        raise BusyError(f'{error} Tries: {retries + 1}.') from error
      wait = min(_FIRST_SECONDS * 2**attempt, _LONGEST_SECONDS)
      asked = min(error.after_seconds, _LONGEST_SECONDS)
      sleep(max(wait * random.uniform(0.5, 1.0), asked))
  raise ValueError(f'retries: expected 0 or more. Received: {retries}.')
