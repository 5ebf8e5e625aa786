"""Simple models on thumbnails: what they learn, and what they may see."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.floors import executor, models
from components.image_example_gen import ingest
from schemas.errors import DataError

SIDE = 32


def coloured(count: int):
  """Red, green and blue images under noise, in turn; every third of test is mislabelled."""
  draw = np.random.default_rng(0)
  thumbnails = draw.integers(0, 90, (count, SIDE, SIDE, 3))
  channel = np.arange(count) % 3
  thumbnails[np.arange(count), :, :, channel] += 120
  return thumbnails.astype(np.uint8), np.array(['red', 'green', 'blue'])[channel]


@pytest.fixture(scope='module')
def fitted():
  thumbnails, labels = coloured(90)
  train, val, asked = np.arange(60), np.arange(60, 75), np.arange(75, 90)
  return {one.name: one for one in models.fit(thumbnails, labels, train, val, asked)}, labels[asked]


def test_chance_the_largest_class_and_the_classical_ones_are_there(fitted):
  floors, truth = fitted
  assert list(floors)[:2] == [models.RANDOM, models.MAJORITY]
  assert {name.split(' ')[0] for name in floors} >= {'logistic', 'SVM', 'gradient'}
  assert {'SVM on colours', 'SVM on gradients', 'SVM on small pixels'} <= set(floors)
  assert (floors['SVM on colours'].answers == truth).all()
  assert floors['SVM on colours'].val_accuracy == 1.0
  assert len(set(floors[models.RANDOM].answers)) == 3
  assert len(set(floors[models.MAJORITY].answers)) == 1
  # No image has an edge that another class has not.
  assert (floors['SVM on gradients'].answers == truth).mean() < 0.8


def test_the_best_is_chosen_on_val_and_is_a_classical_one(fitted):
  floors, _ = fitted
  best = models.best(list(floors.values()))
  assert best.val_accuracy == 1.0
  assert best.name not in (models.RANDOM, models.MAJORITY)
  assert models.best([floors[models.RANDOM], floors[models.MAJORITY]]) is None


def test_labels_of_test_are_not_looked_at():
  thumbnails, labels = coloured(60)
  train, val, asked = np.arange(30), np.arange(30, 45), np.arange(45, 60)
  wrong = labels.copy()
  wrong[asked] = 'nobody'
  for one, other in zip(
    models.fit(thumbnails, labels, train, val, asked),
    models.fit(thumbnails, wrong, train, val, asked),
    strict=True,
  ):
    np.testing.assert_array_equal(one.answers, other.answers)


def test_a_single_class_has_no_classical_model():
  thumbnails, _ = coloured(10)
  places = np.arange(10)
  floors = list(models.fit(thumbnails, np.array(['red'] * 10), places, places[:0], places))
  assert [one.name for one in floors] == [models.RANDOM, models.MAJORITY]
  assert floors[0].val_accuracy is None


def test_of_many_images_as_many_are_drawn_as_an_svm_can_take(monkeypatch):
  monkeypatch.setattr(models, 'MOST_IMAGES', 12)
  thumbnails, labels = coloured(90)
  floors = {
    one.name: one
    for one in models.fit(thumbnails, labels, np.arange(60), np.arange(60, 75), np.arange(75, 90))
  }
  assert floors['SVM on colours'].val_accuracy == 1.0


@pytest.fixture
def dataset(tmp_path):
  thumbnails, labels = coloured(30)
  splits = ['train'] * 18 + ['val'] * 6 + ['test'] * 5 + ['production']
  columns = {
    'path': [f'{number}.png' for number in range(30)],
    'image_id': [f'id-{number}' for number in range(30)],
    'label': labels.tolist(),
    'split': splits,
    'cluster': [''] * 30,
    'row': list(range(2, 32)),
    **{name: [8] * 30 for name in ('width', 'height')},
    **{name: [0.5] * 30 for name in ('brightness', 'contrast', 'sharpness')},
  }
  folder = tmp_path / 'dataset'
  folder.mkdir()
  pq.write_table(pa.table(columns), folder / ingest.MANIFEST_FILE)
  np.save(folder / ingest.THUMBNAILS_FILE, thumbnails)
  return folder


def test_every_image_of_test_is_answered_once(dataset, tmp_path):
  output = tmp_path / 'floors'
  output.mkdir()
  executor.write(dataset, output)
  table = pq.read_table(output / executor.ANSWERS_FILE)
  assert table['image_id'].to_pylist() == [f'id-{number}' for number in range(24, 29)]
  assert table['SVM on colours'].to_pylist() == table['label'].to_pylist()
  summary = json.loads((output / executor.SUMMARY_FILE).read_text())
  assert summary['train_images'] == 18
  assert {floor['name'] for floor in summary['floors']} == set(table.column_names) - {
    'image_id', 'label'
  }  # fmt: skip
  assert summary['best'] in table.column_names


def test_without_thumbnails_there_is_an_error_that_says_what_to_do(dataset, tmp_path):
  (dataset / ingest.THUMBNAILS_FILE).unlink()
  with pytest.raises(DataError, match='no thumbnails.*floors.fit: false'):
    executor.write(dataset, tmp_path)
