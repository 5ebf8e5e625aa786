"""The notebook that steps through the components, executed. (The other: test_pipeline.py.)"""

import json
import pathlib
import re

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from tests.e2e import notebooks

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> pathlib.Path:
  return tmp_path_factory.mktemp('notebook')


@pytest.fixture(scope='module')
def text(executed) -> str:
  return notebooks.printed(executed.cells)


@pytest.fixture(scope='module')
def executed(folder):
  notebook = notebooks.read('components')
  notebooks.execute(notebook, folder, SIGHTLINE_NOTEBOOK_FOLDER=folder)
  return notebook


def test_it_runs_the_pipeline_up_to_the_verdict(executed, folder):
  ran = {path.parents[1].name for path in (folder / 'run/artifacts').glob('*/*/[0-9]*')}
  assert ran == {
    'ImageExampleGen',
    'Audit',
    'StatisticsGen',
    'SchemaGen',
    'ExampleValidator',
    'DataGate',
    'Transform',
    'Trainer',
    'Evaluator',
  }


def test_it_shows_the_split_of_the_first_digits(text, folder):
  labels = sklearn.datasets.load_digits().target[:300]
  for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
    row = re.search(rf'^{label} +(\d+) +(\d+) +(\d+) +(\d+)$', text, re.MULTILINE).groups()
    *parts, total = map(int, row)
    assert sum(parts) == total == count
  (path,) = folder.glob('run/artifacts/ImageExampleGen/dataset/*/manifest.parquet')
  assert set(pd.read_parquet(path)['path']) == {f'digit_{number:04d}.png' for number in range(300)}


def test_it_shows_statistics_schema_and_anomalies(executed, text):
  assert re.search(r'image/width +8.0+ +0.0+ +8.0+ +8.0+', text)
  assert "'label'" in text and "'0', '1', '2', '3'" in text
  shown = json.dumps([cell.get('outputs', []) for cell in executed.cells])
  assert shown.count('No anomalies found') == 3


def test_it_shows_the_verdict_and_the_pictures_of_the_training(executed, text, folder):
  (path,) = folder.glob('run/artifacts/Evaluator/evaluation/*/verdict.json')
  accuracy = json.loads(path.read_text(encoding='utf-8'))['candidate']['accuracy']
  assert f'accuracy {accuracy["value"]:.4f} on {accuracy["n"]} images' in text
  drawn = notebooks.pictures(executed.cells)
  # Three digits, the augmented images and the curves.
  assert [picture.shape[:2] for picture in drawn[:3]] == [(8, 8)] * 3
  assert len(drawn) == 5 and min(picture.shape[1] for picture in drawn[3:]) > 300


def test_what_is_committed_holds_nothing_of_the_machine_that_made_it():
  evaluation, components = notebooks.read('evaluation'), notebooks.read('components')
  outputs = [output for cell in evaluation.cells for output in cell.get('outputs', [])]
  assert len(notebooks.pictures(evaluation.cells)) >= 4
  assert not [output for output in outputs if output.get('name') == 'stderr']
  assert not re.search(r'/(home|root|tmp|work|Users)/', json.dumps(outputs))
  assert not any(cell.get('outputs') for cell in components.cells)
