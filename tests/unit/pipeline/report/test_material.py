"""What is gathered of a run from its folder and from the metadata store."""

import json

from pipeline.report import material
from tests.unit.pipeline.report import recorded
from tests.unit.pipeline.run_store import Store


def test_a_run_that_only_the_store_knows_has_its_files_found_there(tmp_path):
  store = Store(tmp_path)
  folders = {name: tmp_path / name for name in ('evaluation', 'gate', 'analysis')}
  for folder in folders.values():
    folder.mkdir()
  (folders['evaluation'] / 'verdict.json').write_text(json.dumps(recorded.VERDICT))
  (folders['gate'] / 'report.json').write_text('{"passed": true, "drift": ["a"]}')
  (folders['analysis'] / 'analysis.json').write_text(json.dumps(recorded.ANALYSIS))
  verdict = store.artifact('ModelEvaluation', str(folders['evaluation']))
  gate = store.artifact('components.GateReport', str(folders['gate']))
  analysis = store.artifact('components.Analysis', str(folders['analysis']))
  store.execution('r1', 'DataGate', [], [gate])
  store.execution('r1', 'Evaluator', [], [verdict])
  store.execution('r1', 'Analysis', [], [analysis])
  found = material.read(tmp_path, 'r1')
  assert found.verdict['candidate']['accuracy']['value'] == 0.825
  assert found.checked['drift'] == ['a']
  assert found.analysis['images'] == 40 and found.pictures == folders['analysis']
  assert found.curves == () and found.gates == []


def test_a_run_without_an_entry_in_the_store_is_read_from_its_folder(tmp_path):
  recorded.write(tmp_path / 'x', analysis=recorded.ANALYSIS)
  Store(tmp_path / 'x').execution('another', 'Trainer')
  found = material.read(tmp_path / 'x', recorded.RUN)
  assert found.verdict['reasons'] == ['Accuracy 0.8250 meets the absolute bar.']
  assert found.config['evaluate']['min_accuracy'] == 0.8
  assert [row['loss'] for row in found.curves] == ['2.0', '1.0', '0.5']
  assert found.packages == {'numpy': '2.0', 'keras': None}
  assert found.recorded.version == '17'


def test_artifacts_that_were_deleted_leave_the_summary(tmp_path):
  root = recorded.write(tmp_path / 'x')
  (root / 'evaluation/verdict.json').unlink()
  (root / 'curves.csv').unlink()
  found = material.read(root, recorded.RUN)
  assert found.verdict['candidate']['accuracy']['n'] == 40
  assert found.verdict['blessed'] and found.curves == ()
