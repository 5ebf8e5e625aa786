"""Time and energy: what is estimated, what is counted, and a counter that begins again."""

import subprocess
import sys
import threading

import pytest

from models.training import energy


def zone(folder, place, name, microjoules, limit=262_143_328_850):
  path = folder / place
  path.mkdir(parents=True)
  (path / 'name').write_text(f'{name}\n')
  (path / 'energy_uj').write_text(f'{microjoules}\n')
  (path / 'max_energy_range_uj').write_text(f'{limit}\n')
  return path / 'energy_uj'


def test_the_estimate_is_idle_power_throughout_and_busy_power_at_work():
  # Two cores for an hour at 0.74 W, and one of them busy for half of it: 2.76 W more.
  assert energy.estimate_wh(1800, 3600, cores=2) == pytest.approx(2 * 0.74 + 0.5 * 2.76)
  # A core that is busy throughout draws 3.5 W.
  assert energy.estimate_wh(3600, 3600, cores=1) == pytest.approx(3.5)
  assert energy.estimate_wh(0, 0) == 0


def test_the_estimate_takes_the_cores_of_this_process(monkeypatch):
  monkeypatch.setattr(energy.os, 'sched_getaffinity', lambda _: {0, 3, 5})
  assert energy.estimate_wh(0, 3600) == pytest.approx(3 * 0.74)


def test_a_meter_counts_the_work_of_threads_and_of_children(tmp_path, monkeypatch):
  monkeypatch.setattr(energy.os, 'sched_getaffinity', lambda _: {0})
  busy = 'import time\nwhile time.process_time() < 0.4: pass'
  with energy.Meter(tmp_path) as meter:
    subprocess.run([sys.executable, '-S', '-c', busy], check=True)
  # Hundredths less: the kernel counts in these, at either end.
  assert meter.cpu_seconds >= 0.38 - 1e-9
  thread = threading.Thread(target=exec, args=[busy.replace('process_time', 'thread_time')])
  with energy.Meter(tmp_path) as meter:
    thread.start()
    thread.join()
  assert meter.cpu_seconds >= 0.38 - 1e-9
  assert meter.seconds >= 0.38
  assert meter.source == 'estimate'
  assert meter.energy_wh == pytest.approx(
    (0.74 * meter.seconds + 2.76 * meter.cpu_seconds) / 3600, rel=1e-6
  )


def test_a_meter_that_nothing_ran_in_counts_nothing_that_came_before(tmp_path):
  sum(range(4_000_000))
  with energy.Meter(tmp_path) as meter:
    pass
  assert meter.cpu_seconds <= 0.05


def test_counters_of_processors_and_memory_are_added_and_their_parts_are_not(tmp_path):
  first = zone(tmp_path, 'intel-rapl:0', 'package-0', 1_000)
  second = zone(tmp_path, 'intel-rapl:1', 'package-1', 5_000)
  memory = zone(tmp_path, 'intel-rapl:0:1', 'dram', 7)
  part = zone(tmp_path, 'intel-rapl:0:0', 'core', 0)
  platform = zone(tmp_path, 'intel-rapl:2', 'psys', 0)
  with energy.Meter(tmp_path) as meter:
    first.write_text(str(1_000 + 3_600_000_000))  # 3600 J, which is 1 Wh
    second.write_text(str(5_000 + 7_200_000_000))
    memory.write_text(str(7 + 1_800_000_000))
    part.write_text('900000000000')
    platform.write_text('900000000000')
  assert (meter.energy_wh, meter.source) == (pytest.approx(3.5), 'rapl')


def test_a_counter_that_began_again_is_counted_on(tmp_path):
  counter = zone(tmp_path, 'intel-rapl:0', 'package-0', 3_599_999_990, limit=3_599_999_999)
  with energy.Meter(tmp_path) as meter:
    # Ten more reach 0 again, and then these.
    counter.write_text('1799999990')
  assert meter.energy_wh == pytest.approx(0.5, rel=1e-12)


def test_a_counter_is_read_again_and_again_so_that_no_round_is_missed(tmp_path, monkeypatch):
  monkeypatch.setattr(energy, '_SECONDS_BETWEEN_READINGS', 0.001)
  zone(tmp_path, 'intel-rapl:0', 'package-0', 0, limit=3_599_999_999)
  half = 1_800_000_000
  readings = iter([0, half, 0, half])
  turned = threading.Event()

  def read(_):
    value = next(readings, None)
    if value is None:
      turned.set()
    return value or 0

  monkeypatch.setattr(energy._Zone, 'read', read)
  with energy.Meter(tmp_path) as meter:
    assert turned.wait(10)
  # Twice round; a look at the start and the end alone would find nothing.
  assert meter.energy_wh == pytest.approx(2.0)


@pytest.mark.parametrize('broken', ['unreadable', 'empty', 'gone'])
def test_counters_that_cannot_be_read_give_an_estimate(tmp_path, broken):
  counter = zone(tmp_path, 'intel-rapl:0', 'package-0', 1_000)
  with energy.Meter(tmp_path) as measured:
    pass
  assert measured.source == 'rapl'
  if broken == 'unreadable':
    counter.unlink()
    counter.mkdir()  # also root cannot read it
  elif broken == 'empty':
    counter.write_text('')
  with energy.Meter(tmp_path) as meter:
    if broken == 'gone':
      counter.unlink()
  assert meter.source == 'estimate'


def test_an_error_passes_and_is_measured(tmp_path):
  meter = energy.Meter(tmp_path)
  with pytest.raises(ZeroDivisionError), meter:
    raise ZeroDivisionError
  assert meter.seconds > 0
