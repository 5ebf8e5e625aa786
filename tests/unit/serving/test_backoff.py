import pytest

from schemas.errors import ServingError
from serving import backoff


def failing(times, error):
  calls = []

  def call():
    calls.append(None)
    if len(calls) <= times:
      raise error
    return len(calls)

  return call


def test_a_busy_server_is_asked_again_after_waits_that_double():
  waits = []
  call = failing(3, backoff.BusyError('busy'))
  assert backoff.patiently(call, 3, waits.append) == 4
  assert len(waits) == 3
  for wait, longest in zip(waits, (0.25, 0.5, 1.0), strict=True):
    assert longest / 2 <= wait <= longest


def test_the_last_refusal_says_how_many_tries_there_were():
  waits = []
  with pytest.raises(backoff.BusyError, match=r'^busy Tries: 3\.$'):
    backoff.patiently(failing(9, backoff.BusyError('busy')), 2, waits.append)
  assert len(waits) == 2


def test_no_other_error_is_tried_again():
  waits = []
  call = failing(1, ServingError('wrong'))
  with pytest.raises(ServingError, match='^wrong$'):
    backoff.patiently(call, 5, waits.append)
  assert waits == []


def test_the_server_may_ask_for_a_longer_wait_within_reason():
  waits = []
  backoff.patiently(failing(1, backoff.BusyError('busy', 3.0)), 1, waits.append)
  backoff.patiently(failing(1, backoff.BusyError('busy', 3600.0)), 1, waits.append)
  assert waits == [3.0, 10.0]
