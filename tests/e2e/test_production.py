"""The split production through a whole run: scored, shown, and nothing is fitted to it."""

import json
import pathlib

import pyarrow.parquet as pq
import pytest
from tensorflow_data_validation import load_schema_text

from tests.e2e.experiment import Experiment, sightline, write_csv, write_images

pytestmark = [pytest.mark.slow, pytest.mark.long]

SERVED = 18


def test_production_is_scored_beside_test_and_blesses_nothing(tmp_path):
  experiment = Experiment(tmp_path)
  rows = write_images(experiment.data)
  for number, row in enumerate(rows):
    row['split'] = 'production' if number < SERVED else ''
  # Labels that nobody trained on.
  rows[0]['label'] = rows[1]['label'] = 'violet'
  write_csv(experiment.data, rows)
  finished = experiment.run('data.production=true', 'data.near_copies=false')
  # Whether so small a model is blessed is not what is asked here.
  assert finished.code in (0, 3), finished.output
  found = finished.summary
  production = found['production']
  assert production['accuracy']['n'] == SERVED
  assert production['unknown_labels'] == {'violet': 2}
  assert production['accuracy']['value'] <= (SERVED - 2) / SERVED
  assert sorted(found['model']['labels']) == ['blue', 'green', 'red']
  assert found['accuracy']['n'] + SERVED < len(rows)
  assert found['leaks']['affected'] == 0

  lines = finished.output.splitlines()
  at = next(i for i, line in enumerate(lines) if line.startswith('accuracy   '))
  assert lines[at + 1].startswith('production ')
  assert f'on {SERVED} production images (95 % interval' in lines[at + 1]
  assert (
    "2 of them have a label that no training image has, and count as wrong: 'violet' 2"
    in (lines[at + 2])
  )
  run = found['run_id']
  shown = sightline('runs', 'show', experiment.config, run, cwd=tmp_path).output
  assert f'(n {SERVED}, 95 %' in shown and 'accuracy on production' in shown

  artifacts = experiment.root / 'artifacts'
  schema = load_schema_text(str(_only(artifacts, 'SchemaGen/schema/*/schema.pbtxt')))
  [label] = [feature for feature in schema.feature if feature.name == 'label']
  assert list(label.string_domain.value) == ['blue', 'green', 'red']
  assert not (artifacts / 'ProductionEvaluator' / 'blessing').exists()
  report = json.loads(_only(artifacts, 'DataGate/report/*/report.json').read_text())
  assert report['splits'] == ['train', 'val', 'test']
  predicted = pq.read_table(
    _only(artifacts, 'ProductionEvaluator/evaluation/*/predictions.parquet')
  ).to_pylist()
  assert sorted({row['label'] for row in predicted}) == ['blue', 'green', 'red', 'violet']
  assert {row['label_id'] for row in predicted if row['label'] == 'violet'} == {-1}


def _only(folder: pathlib.Path, pattern: str) -> pathlib.Path:
  [path] = folder.glob(pattern)
  return path
