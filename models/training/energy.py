"""Time and energy of a piece of work: seconds, CPU-seconds, watt-hours.

Where the processor counts its own energy and lets us read it (RAPL: Running
Average Power Limit, of Intel's and AMD's processors), the counters are read;
elsewhere the energy is estimated from the CPU-seconds. Either way it is the
processor's alone: no GPU, disk, network, power supply or cooling.
"""

import dataclasses
import os
import pathlib
import threading
import time
from typing import Self

RAPL = 'rapl'
ESTIMATE = 'estimate'

# Watts of one virtual CPU of a server, idle and busy: the averages over the
# processors of one large cloud, from SPECpower results. (Cloud Carbon Footprint,
# Methodology, "Compute": 0.74 and 3.5; two other clouds: 0.71 and 4.26, 0.78 and 3.76.)
IDLE_WATTS = 0.74
BUSY_WATTS = 3.5

_COUNTERS = pathlib.Path('/sys/class/powercap')
_MICROJOULES_PER_WH = 3600 * 1e6
# The smallest counters in use wrap after 65 kJ: at 1000 W, more than a minute.
_SECONDS_BETWEEN_READINGS = 30.0


def estimate_wh(cpu_seconds: float, seconds: float, cores: int | None = None) -> float:
  """Estimates the energy of the processor from the time that it worked.

  Wh = (cores * seconds * IDLE_WATTS + cpu_seconds * (BUSY_WATTS - IDLE_WATTS)) / 3600:
  each core that the work may use draws the idle power throughout, and the
  difference to the busy power while it works. (Cloud Carbon Footprint's linear
  model.) Processors differ from its constants by a factor of two either way.

  Args:
    cpu_seconds: of all threads together, user and system.
    seconds: of wall time.
    cores: logical CPUs; by default those that this process may use.

  Returns:
    Watt-hours.
  """
  cores = len(os.sched_getaffinity(0)) if cores is None else cores
  joules = cores * seconds * IDLE_WATTS + cpu_seconds * (BUSY_WATTS - IDLE_WATTS)
  return joules / 3600


def cpu_seconds() -> float:
  """Returns the CPU-seconds of this process, and of its children that have ended, so far."""
  spent = os.times()
  return spent.user + spent.system + spent.children_user + spent.children_system


class Meter:
  """Measures what runs within it; one may run within another.

  ```
  with Meter() as meter:
    train()
  record = {'seconds': meter.seconds, 'energy_wh': meter.energy_wh}
  ```

  Attributes:
    seconds: of wall time.
    cpu_seconds: of this process and of its children that ended meanwhile, user and system.
    energy_wh: of the processor, watt-hours. By RAPL it is that of the whole
      processor, so other programs at work count as well.
    source: `rapl` where it was measured, `estimate` where it was not.
  """

  def __init__(self, counters: pathlib.Path = _COUNTERS) -> None:
    """Begins at `with`; `counters` is the folder in which Linux shows its power zones."""
    self.seconds = 0.0
    self.cpu_seconds = 0.0
    self.energy_wh = 0.0
    self.source = ESTIMATE
    self._counters = counters
    self._rapl: _Rapl | None = None
    self._began = self._cpu_began = 0.0

  def __enter__(self) -> Self:
    self._rapl = _Rapl.of(self._counters)
    self._began = time.monotonic()
    self._cpu_began = cpu_seconds()
    return self

  def __exit__(self, *_) -> None:
    self.seconds = time.monotonic() - self._began
    self.cpu_seconds = cpu_seconds() - self._cpu_began
    measured = self._rapl.stop() if self._rapl else None
    if measured is None:
      self.energy_wh = estimate_wh(self.cpu_seconds, self.seconds)
    else:
      self.energy_wh, self.source = measured, RAPL


@dataclasses.dataclass(frozen=True)
class _Zone:
  """One counter of microjoules, which begins again at 0 above its range."""

  path: pathlib.Path
  range: int

  def read(self) -> int:
    return int((self.path / 'energy_uj').read_text(encoding='ascii'))


class _Rapl:
  """Adds up the counters, which are read often enough that none wraps unseen."""

  def __init__(self, zones: list[_Zone], readings: list[int]) -> None:
    self._zones = zones
    self._readings = readings
    self._microjoules = 0
    self._failed = False
    self._ended = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()

  @classmethod
  def of(cls, folder: pathlib.Path) -> '_Rapl | None':
    """Starts to measure; None where there is no counter, or none that may be read."""
    try:
      zones = _zones(folder)
      # Most systems let nobody but root read them.
      readings = [zone.read() for zone in zones]
    except (OSError, ValueError):
      return None
    return cls(zones, readings) if zones else None

  def stop(self) -> float | None:
    """Returns the watt-hours since the start; None where a counter could not be read."""
    self._ended.set()
    self._thread.join()
    self._add()
    return None if self._failed else self._microjoules / _MICROJOULES_PER_WH

  def _watch(self) -> None:
    while not self._ended.wait(_SECONDS_BETWEEN_READINGS):
      self._add()

  def _add(self) -> None:
    try:
      readings = [zone.read() for zone in self._zones]
    except (OSError, ValueError):
      self._failed = True
      return
    for zone, before, now in zip(self._zones, self._readings, readings, strict=True):
      # The largest value itself is shown, too: a wrap is one more than the difference.
      self._microjoules += now - before + (0 if now >= before else zone.range + 1)
    self._readings = readings


def _zones(folder: pathlib.Path) -> list[_Zone]:
  """Returns a counter for each processor and, where it has one of its own, for its memory.

  What lies below a processor's (core, uncore) is part of it, and the platform's
  (psys) holds the processor's.
  """
  found = []
  for path in sorted(folder.glob('intel-rapl:*')):
    name = (path / 'name').read_text(encoding='ascii').strip()
    if name.startswith('package') or name == 'dram':
      limit = int((path / 'max_energy_range_uj').read_text(encoding='ascii'))
      found.append(_Zone(path, limit))
  return found
