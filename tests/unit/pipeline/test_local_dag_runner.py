"""A run that TFX's own command line started: its log exists, and it is not mute."""

import json
import logging

import pytest

from pipeline import local_dag_runner, runner
from schemas.errors import RunError
from schemas.loader import build_config


def test_components_and_summary_are_shown_and_libraries_go_to_the_log(
  tmp_path, capsys, monkeypatch
):
  def execute(compiled, run, listener):
    listener.planned(['Trainer'])
    listener.started('Trainer')
    logging.getLogger('some.library').warning('a word of a library')
    listener.finished('Trainer', runner.FAILED, 1.0)
    run.error = 'it has no data'
    raise RunError(run.error)

  monkeypatch.setattr(runner, 'execute', execute)
  config = build_config({'name': 'x', 'run': {'root': str(tmp_path)}}, 'test')
  with pytest.raises(SystemExit) as caught:
    local_dag_runner.LocalDagRunner(config).run_with_ir(None)
  assert caught.value.code == 1

  (path,) = tmp_path.glob('*/summary.json')
  found = json.loads(path.read_text())
  shown = capsys.readouterr().err
  assert 'Component Trainer is running.' in shown and 'Component Trainer: failed' in shown
  assert 'x, run' in shown and 'it has no data' in shown and str(path) in shown
  assert 'a word of a library' not in shown
  log = (tmp_path / 'logs' / f'{found["run_id"]}.log').read_text()
  assert found['paths']['log'].endswith(f'logs/{found["run_id"]}.log')
  assert 'a word of a library' in log and 'Component Trainer is running.' in log
