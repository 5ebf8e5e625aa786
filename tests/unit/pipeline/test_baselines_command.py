"""The table of baselines."""

import pytest
from rich.console import Console

from pipeline import baselines_command
from schemas.errors import RunError


def whole(**model) -> dict:
  return {
    'run_id': '20260102-030405',
    'dataset': {'dataset_sha256': '0123456789abcdef'},
    'paths': {'log': 'runs/x/logs/1.log'},
    'model': {
      'best_val_accuracy': 0.875,
      'parameters': 128_950,
      'weights': {'source': 'none'},
      'stages': [{'seconds': 10.0}, {'seconds': 2.5}],
    }
    | model,
  }


def test_a_row_names_its_run_its_split_and_what_it_cost():
  found = baselines_command.figures(whole())
  assert (found['run_id'], found['dataset_sha256']) == ('20260102-030405', '0123456789abcdef')
  assert (found['val_accuracy'], found['seconds']) == (0.875, 12.5)
  console = Console(width=79, record=True, file=open('/dev/null', 'w'))
  console.print(baselines_command.render([{'name': 'small network', **found}]))
  text = console.export_text()
  line = next(line for line in text.splitlines() if 'small network' in line)
  assert line.split() == [
    'small', 'network', '20260102-030405', '01234567', '0.8750', '128,950', 'none', '12',
  ]  # fmt: skip


def test_a_run_that_has_trained_nothing_is_an_error():
  with pytest.raises(RunError, match='20260102-030405.*runs/x/logs/1.log'):
    baselines_command.figures(whole(best_val_accuracy=None))
