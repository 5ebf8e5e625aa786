"""What the manifest says of the judged images."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.evaluator import images
from schemas.errors import DataError


@pytest.fixture
def dataset(tmp_path):
  table = pa.table(
    {
      'image_id': ['c', 'a', 'b'],
      'cluster': ['crate', '', 'crate'],
      'label': ['red', 'blue', 'red'],
      'column/shop': ['north', 'south', None],
      'split': ['train', 'train', 'train'],
      'contrast': [0.1, 0.2, 0.3],
      'aspect': [0.5, 1.0, 2.0],
    }
  )
  pq.write_table(table, tmp_path / images.MANIFEST)
  return str(tmp_path)


def test_facts_are_in_the_order_of_the_predictions(dataset):
  found = images.read(dataset, ['a', 'b', 'c', 'b'], ['label', 'column/shop'])
  assert found.clusters == ['', 'crate', 'crate', 'crate']
  assert sorted(found.slices) == [
    'column/shop=north', 'column/shop=south', 'label=blue', 'label=red'
  ]  # fmt: skip
  np.testing.assert_array_equal(found.slices['label=red'], [False, True, True, True])
  # b has no shop: it is in neither slice.
  np.testing.assert_array_equal(found.slices['column/shop=north'], [False, False, True, False])
  np.testing.assert_array_equal(found.slices['column/shop=south'], [True, False, False, False])


def test_measurements_are_cut_at_thirds_of_train_and_shapes_at_fixed_limits(dataset):
  keys = ['bucket/contrast', 'bucket/aspect', 'bucket/cluster']
  found = images.read(dataset, ['a', 'b', 'c'], keys)
  # Thirds of 0.1, 0.2, 0.3 by hand, linear between: 0.1667 and 0.2333.
  assert found.values['bucket/contrast'] == ['middle', 'high', 'low']
  assert found.values['bucket/aspect'] == ['square', 'wide', 'tall']
  assert found.values['bucket/cluster'] == ['alone', 'copies or group', 'copies or group']


def test_all_images_of_equal_contrast_are_in_one_slice(tmp_path):
  table = pa.table(
    {
      'image_id': ['a', 'b'],
      'cluster': ['', ''],
      'split': ['train', 'test'],
      'contrast': [0.2, 0.2],
    }
  )
  pq.write_table(table, tmp_path / images.MANIFEST)
  found = images.read(str(tmp_path), ['a', 'b'], ['bucket/contrast'])
  assert found.values['bucket/contrast'] == ['middle', 'middle']


def test_an_image_of_another_run_is_an_error(dataset):
  with pytest.raises(DataError, match=r'none for 1 of 2, for instance x.*of one run'):
    images.read(dataset, ['a', 'x'], ['label'])


def test_a_column_that_is_not_there_is_named(dataset):
  with pytest.raises(DataError, match='Missing: column/time'):
    images.read(dataset, ['a'], ['label', 'column/time'])
