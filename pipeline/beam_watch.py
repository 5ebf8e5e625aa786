"""While a step computes elsewhere: do the job service and the workers still answer?

To Beam's client a worker pool that is gone is no error: it waits for ever. Here a thread
knocks at both doors, and ends the step when one stays shut.
"""

import contextlib
import signal
import socket
import threading
import time
import types
from collections.abc import Iterator

from schemas.beam import BeamConfig
from schemas.errors import RunError

_EVERY_SECONDS = 5.0
_CONNECT_SECONDS = 3.0
_SILENT_SECONDS = 30.0
# The first may come where a library holds it back.
_AGAIN_SECONDS = 15.0
_HOW_ON = (
  'The step was given up and nothing of it is used. Read what job service and pool print, mend '
  'them, and run the same command: what was finished comes from the cache.'
)


@contextlib.contextmanager
def watching(beam: BeamConfig, step: str) -> Iterator[None]:
  """Watches the services of engine `portable`, for as long as one step takes.

  Of any other engine, and outside of the main thread, where Python takes no signals, it
  watches nothing. Uses SIGUSR1 within this process.

  Args:
    beam: of the experiment.
    step: its name, for the error.

  Raises:
    RunError: a service was silent for half a minute, or the step took longer than
      `beam.portable.step_seconds`.
  """
  main = threading.main_thread()
  if beam.engine != 'portable' or threading.current_thread() is not main:
    yield
    return
  over = threading.Event()
  lost: list[str] = []

  def give_up(number: int, frame: types.FrameType | None) -> None:
    raise RunError(lost[0])

  def watch() -> None:
    for text in _complaints(beam, step, over):
      lost.append(text)
      signal.pthread_kill(main.ident or 0, signal.SIGUSR1)

  before = signal.signal(signal.SIGUSR1, give_up)
  thread = threading.Thread(target=watch, name='beam-watch', daemon=True)
  thread.start()
  try:
    yield
  except Exception as error:
    if lost and not isinstance(error, RunError):
      # A library made an error of its own of it.
      raise RunError(lost[0]) from error
    raise
  finally:
    # The step has ended: what the thread still finds out comes too late.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    over.set()
    thread.join()
    signal.signal(signal.SIGUSR1, before)


def _complaints(beam: BeamConfig, step: str, over: threading.Event) -> Iterator[str]:
  """Yields why a step cannot end any more, again and again, until it is over."""
  portable = beam.portable
  doors = {
    f'a Beam job service at {portable.job_endpoint}': portable.job_endpoint or '',
    f'a Beam worker pool at {portable.worker_pool}': portable.worker_pool or '',
  }
  began = time.monotonic()
  answered = dict.fromkeys(doors, began)
  while not over.wait(_EVERY_SECONDS):
    for what, address in doors.items():
      if _answers(address):
        answered[what] = time.monotonic()
    now = time.monotonic()
    silent = [what for what, when in answered.items() if now - when > _SILENT_SECONDS]
    if silent:
      yield (
        f'{step}: expected {silent[0]} that answers while it computes. Received: nothing for '
        f'{_SILENT_SECONDS:g} s. {_HOW_ON}'
      )
    elif now - began > portable.step_seconds:
      yield (
        f'{step}: expected an end within {portable.step_seconds:g} s (beam.portable.step_seconds). '
        f'Received: none; a worker may have died. {_HOW_ON}'
      )
    else:
      continue
    over.wait(_AGAIN_SECONDS)


def _answers(address: str) -> bool:
  host, _, port = address.rpartition(':')
  try:
    socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
  except OSError:
    return False
  return True
