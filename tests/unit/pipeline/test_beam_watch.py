"""A step on other machines ends with an error where these are gone."""

import contextlib
import signal
import socket
import threading

import pytest

from pipeline import beam_watch
from schemas.beam import BeamConfig
from schemas.errors import RunError


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
  monkeypatch.setattr(beam_watch, '_EVERY_SECONDS', 0.02)
  monkeypatch.setattr(beam_watch, '_SILENT_SECONDS', 0.2)
  monkeypatch.setattr(beam_watch, '_AGAIN_SECONDS', 0.1)


@contextlib.contextmanager
def listening():
  with socket.socket() as listener:
    listener.bind(('127.0.0.1', 0))
    listener.listen(64)
    yield listener


@pytest.fixture
def doors():
  with listening() as job, listening() as pool:
    yield job, pool


def portable(doors, **more) -> BeamConfig:
  job, pool = (f'127.0.0.1:{door.getsockname()[1]}' for door in doors)
  return BeamConfig(engine='portable', portable={'job_endpoint': job, 'worker_pool': pool, **more})


def wait_for_a_worker() -> None:
  """As Beam's client does."""
  threading.Event().wait(30)


@pytest.mark.parametrize(('which', 'name'), [(0, 'job service'), (1, 'worker pool')])
def test_a_service_that_is_gone_ends_the_step(doors, which, name):
  beam = portable(doors)
  address = doors[which].getsockname()[1]
  doors[which].close()
  with (
    pytest.raises(RunError, match=f'Transform: expected a Beam {name} at 127.0.0.1:{address}'),
    beam_watch.watching(beam, 'Transform'),
  ):
    wait_for_a_worker()


def test_a_step_that_takes_too_long_is_ended(doors):
  with (
    pytest.raises(RunError, match=r'expected an end within 0.1 s \(beam.portable.step_seconds\)'),
    beam_watch.watching(portable(doors, step_seconds=0.1), 'Transform'),
  ):
    wait_for_a_worker()


def test_what_a_library_makes_of_the_end_is_still_that_error(doors):
  beam = portable(doors)
  doors[1].close()
  with (
    pytest.raises(RunError, match='worker pool') as caught,
    beam_watch.watching(beam, 'Transform'),
  ):
    try:
      wait_for_a_worker()
    except RunError:
      raise ValueError('the job failed') from None
  assert isinstance(caught.value.__cause__, ValueError)


def test_a_library_that_swallows_the_first_hears_it_again(doors):
  beam = portable(doors)
  doors[1].close()
  with pytest.raises(RunError, match='worker pool'), beam_watch.watching(beam, 'Transform'):
    with contextlib.suppress(RunError):
      wait_for_a_worker()
    wait_for_a_worker()


def test_services_that_answer_leave_the_step_and_its_errors_alone(doors):
  before = signal.getsignal(signal.SIGUSR1)
  with beam_watch.watching(portable(doors), 'Transform'):
    threading.Event().wait(0.5)
  with (
    pytest.raises(ValueError, match='its own'),
    beam_watch.watching(portable(doors), 'Transform'),
  ):
    raise ValueError('its own')
  assert signal.getsignal(signal.SIGUSR1) is before
  assert not [one for one in threading.enumerate() if one.name == 'beam-watch']


def test_a_step_that_ended_while_somebody_knocked_has_ended_well(doors, monkeypatch):
  knocking = threading.Event()

  def slow(address):
    knocking.set()
    threading.Event().wait(0.3)
    return False

  monkeypatch.setattr(beam_watch, '_answers', slow)
  before = signal.getsignal(signal.SIGUSR1)
  with beam_watch.watching(portable(doors), 'Transform'):
    knocking.wait(5)
  assert signal.getsignal(signal.SIGUSR1) is before


def test_other_engines_are_not_watched():
  before = signal.getsignal(signal.SIGUSR1)
  with beam_watch.watching(BeamConfig(), 'Transform'):
    assert signal.getsignal(signal.SIGUSR1) is before
    assert not [one for one in threading.enumerate() if one.name == 'beam-watch']
