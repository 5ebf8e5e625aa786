"""The table of the self-test, its gaps and its exit code, on planted functions."""

import json
import types

import pytest
from rich.console import Console

from pipeline import selftest_command
from pipeline.selftest import session
from pipeline.selftest.caught import Caught, Outcome, refusal
from schemas.errors import DataError, ExportError

CONTROL = Outcome(session.CONTROL, 'nothing', '', '', 'every gate let it pass', 60.0)


def _fault(found: Caught | None):
  return types.SimpleNamespace(
    name='BGR channels', planted='the export swaps red and blue', gate='Trainer: export',
    plant=lambda bench: found,
  )  # fmt: skip


def _planted(found: Caught | None) -> Outcome:
  return session.plant(_fault(found), None)


CAUGHT = _planted(Caught('Trainer: export', 'export: differ by 0.3'))
MISSED = _planted(None)
BY_ANOTHER = _planted(Caught('Evaluator', 'accuracy is 0.3'))
REFUSED = Outcome(session.CONTROL, 'nothing', '', 'DataGate', 'drift', 1.0)


@pytest.fixture
def run(monkeypatch, capfd):
  """Returns run(outcomes, ...): exit code and what was printed."""

  def run(outcomes, **options):
    monkeypatch.setattr(selftest_command, '_outcomes', lambda folder: outcomes)
    code = selftest_command.run(**options)
    return code, capfd.readouterr().out

  return run


def test_all_caught_and_a_clean_control_is_success(run, tmp_path):
  code, out = run([CONTROL, CAUGHT], json_file=tmp_path / 'found.json')
  assert code == 0
  assert '1 of 1 faults caught, in 60 s.' in out and 'gap' not in out
  found = json.loads((tmp_path / 'found.json').read_text())['outcomes']
  assert [row['caught_by'] for row in found] == ['', 'Trainer: export']
  assert [row['ok'] for row in found] == [True, True]
  assert found[1]['said'] == 'export: differ by 0.3'


@pytest.mark.parametrize(
  'outcomes, gap',
  [
    ([CONTROL, MISSED], 'expected Trainer: export, caught by nobody'),
    ([CONTROL, CAUGHT, BY_ANOTHER], 'expected Trainer: export, caught by Evaluator'),
    ([REFUSED], 'DataGate refused what is clean'),
  ],
)
def test_a_gap_is_named_and_is_the_exit_code(run, outcomes, gap):
  code, out = run(outcomes)
  assert code == 3
  assert gap in ' '.join(out.split())


def test_the_table_has_a_row_for_each_with_the_gates_own_words():
  console = Console(width=200, record=True, file=open('/dev/null', 'w'))
  words = f'image {"0123456789abcdef" * 4} ' + 'word ' * 100
  long = Outcome('drifted data', 'dark', 'DataGate', 'DataGate', words, 1.0)
  console.print(selftest_command.render([CONTROL, CAUGHT, MISSED, long]))
  lines = console.export_text().splitlines()
  assert lines[0].split() == ['fault', 'caught', 'by', 'what', 'it', 'said']
  assert 'Trainer: export' in lines[2] and 'export: differ by 0.3' in lines[2]
  assert 'nobody' in lines[3] and 'no gate refused it' in lines[3]
  assert 'image 0123456789ab... word' in lines[4]
  # Cut at a word; all of it is in the JSON.
  assert 'word ...' in ' '.join(' '.join(lines).split())


def test_what_a_gate_raises_is_a_refusal_and_a_defect_is_not():
  def refuses():
    raise ExportError('no')

  assert refusal('gate', refuses) == Caught('gate', 'no')
  assert refusal('gate', lambda: None) is None
  with pytest.raises(ZeroDivisionError):
    refusal('gate', lambda: 1 / 0)


def test_a_file_that_cannot_be_written_is_told(run, tmp_path):
  with pytest.raises(DataError, match='expected a file that can be written'):
    run([CONTROL], json_file=tmp_path / 'no' / 'found.json')
