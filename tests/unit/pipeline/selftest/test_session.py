"""The whole self-test: every planted fault is caught by its gate, and the clean one by none."""

import pytest

from pipeline.selftest import session
from pipeline.selftest.faults import FAULTS

ASKED_FOR = {
  'statistics from all splits',
  'double normalisation',
  'BGR channels',
  'shuffled labels',
  'leaked split',
  'BatchNorm in training mode',
  'augmented evaluation',
  'export that cannot be served',
  'wrong vocabulary order at serving',
  'drifted data',
}


def test_the_table_plants_what_was_asked_for_once_each():
  names = [fault.name for fault in FAULTS]
  assert len(set(names)) == len(names)
  assert set(names) >= ASKED_FOR


@pytest.mark.long
def test_every_fault_is_caught_by_its_gate_and_the_control_by_none(tmp_path):
  control, *outcomes = session.run(tmp_path)
  assert control.fault == session.CONTROL and control.ok, control
  assert [outcome.fault for outcome in outcomes] == [fault.name for fault in FAULTS]
  assert [outcome for outcome in outcomes if not outcome.ok] == []
