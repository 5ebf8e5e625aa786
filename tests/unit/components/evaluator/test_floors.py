"""The network beside simple models, on the same images."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.evaluator import floors
from components.floors import executor
from schemas.errors import DataError

IDS = [f'id-{number}' for number in range(100)]


def write(folder, right: dict[str, int], best: str | None):
  """Floors that are right on their first so many images."""
  columns = {
    name: ['a' if number < count else 'b' for number in range(100)] for name, count in right.items()
  }
  table = pa.table({'image_id': IDS, 'label': ['a'] * 100, **columns})
  pq.write_table(table, folder / executor.ANSWERS_FILE)
  summary = {'best': best, 'floors': [{'name': name, 'seconds': 1.5} for name in right]}
  (folder / executor.SUMMARY_FILE).write_text(json.dumps(summary))
  return str(folder)


def measured(folder, network: int, best='SVM on colours') -> dict:
  uri = write(folder, {'majority': 20, 'SVM on colours': 80}, best)
  answers = floors.read(uri, IDS)
  return floors.measure(answers, np.arange(100) < network, [''] * 100)


def test_floors_stand_beside_the_network_best_first(tmp_path):
  found = measured(tmp_path, 95)
  assert [row['name'] for row in found['floors']] == ['SVM on colours', 'majority']
  svm, majority = found['floors']
  assert svm['accuracy']['value'] == 0.8 and svm['accuracy']['n'] == 100
  assert (svm['comparison']['only_first'], svm['comparison']['only_second']) == (15, 0)
  assert svm['comparison']['verdict'] == majority['comparison']['verdict'] == 'better'
  assert floors.refusal(found) is None


def test_a_network_that_is_level_with_the_best_floor_is_refused(tmp_path):
  for network in (60, 80, 84):
    reason = floors.refusal(measured(tmp_path, network))
    assert 'the best simple model (SVM on colours, 0.8000)' in reason
    assert 'floors.gates: false' in reason


def test_without_a_classical_floor_nothing_is_refused(tmp_path):
  assert floors.refusal(measured(tmp_path, 10, best=None)) is None


def test_answers_are_put_in_the_order_of_the_predictions(tmp_path):
  uri = write(tmp_path, {'SVM on colours': 80}, None)
  answers = floors.read(uri, IDS[::-1])
  np.testing.assert_array_equal(answers.right['SVM on colours'], np.arange(100)[::-1] < 80)
  assert answers.ids_sha256 == floors.ids_sha256(IDS)


def test_floors_of_other_images_are_an_error(tmp_path):
  uri = write(tmp_path, {'majority': 20}, None)
  with pytest.raises(DataError, match='another hash of their ids'):
    floors.read(uri, IDS[:-1])
