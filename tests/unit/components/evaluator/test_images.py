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
      'column/shop': ['north', 'south', 'south'],
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
  np.testing.assert_array_equal(found.slices['column/shop=north'], [False, False, True, False])


def test_an_image_of_another_run_is_an_error(dataset):
  with pytest.raises(DataError, match=r'none for 1 of 2, for instance x.*of one run'):
    images.read(dataset, ['a', 'x'], ['label'])


def test_a_column_that_is_not_there_is_named(dataset):
  with pytest.raises(DataError, match='Missing: column/time'):
    images.read(dataset, ['a'], ['label', 'column/time'])
