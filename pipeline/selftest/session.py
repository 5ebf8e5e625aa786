"""The whole self-test: the clean control, then every fault of the table."""

import pathlib
import time
from typing import Any

from pipeline.selftest.caught import Caught, Outcome
from schemas.errors import SightlineError

CONTROL = 'none (control)'
_PLANTED = 'nothing: clean data, an honest export'


def run(folder: pathlib.Path) -> list[Outcome]:
  """Makes the clean experiment and plants the faults, one at a time.

  Args:
    folder: an empty one, for all that is written.

  Returns:
    The control first. Where a gate refuses what is clean, it is the only one: what
    the faults are planted into is not there.
  """
  from pipeline.selftest.bench import Bench
  from pipeline.selftest.faults import FAULTS

  began = time.monotonic()
  try:
    bench = Bench(folder)
    bench.train_and_export()
    found = control(bench)
  except SightlineError as error:
    found = Caught('the pipeline', str(error))
  seconds = time.monotonic() - began
  if found:
    return [Outcome(CONTROL, _PLANTED, '', found.gate, found.said, seconds)]
  said = f'every gate let it pass; {bench.accuracy:.1%} of test right'
  outcomes = [Outcome(CONTROL, _PLANTED, '', '', said, seconds)]
  return outcomes + [plant(fault, bench) for fault in FAULTS]


def control(bench) -> Caught | None:
  """Asks every gate about the clean experiment; returns the first that refuses it."""
  artifact, folder = bench.root / 'model', bench.root / 'evaluated'
  return (
    bench.check_statistics(*bench.data.pixel_statistics())
    or bench.prove(bench.exported)
    or bench.evaluate(artifact, folder)
    or bench.validate(artifact, folder / 'predictions')
  )


def plant(fault, bench: Any) -> Outcome:
  """Plants one fault, and says who caught it."""
  began = time.monotonic()
  found = fault.plant(bench)
  return Outcome(
    fault.name,
    fault.planted,
    fault.gate,
    found.gate if found else '',
    found.said if found else 'no gate refused it',
    time.monotonic() - began,
  )
