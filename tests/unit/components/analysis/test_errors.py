"""Errors among stored predictions, by hand."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.analysis import errors

LABELS = ['cat', 'dog', 'eel']


def stored(folder, rows):
  ids, labels, label_ids, candidates = zip(*rows, strict=True)
  table = pa.table(
    {
      'image_id': ids,
      'label': labels,
      'label_id': pa.array(label_ids, pa.int64()),
      'candidate': pa.array(candidates, pa.list_(pa.float32())),
    }
  )
  pq.write_table(table, folder / 'predictions.parquet')
  return errors.read(folder)


def test_the_surest_errors_come_first_and_equals_by_id(tmp_path):
  found = stored(
    tmp_path,
    [
      ('d', 'cat', 0, [0.1, 0.75, 0.15]),
      ('b', 'cat', 0, [0.1, 0.9, 0.0]),
      ('a', 'cat', 0, [1.0, 0.0, 0.0]),
      ('c', 'eel', 2, [0.25, 0.75, 0.0]),
      ('b', 'cat', 0, [0.1, 0.9, 0.0]),  # the same bytes under another name
      ('e', 'newt', -1, [0.0, 0.5, 0.5]),
    ],
  )
  assert [found.image_id[place] for place in found.wrong()] == ['b', 'c', 'd', 'e']
  assert found.class_id.tolist() == [1, 1, 0, 1, 1]
  np.testing.assert_allclose(found.probability, [0.75, 0.9, 1.0, 0.75, 0.5])


def test_pairs_are_counted_with_the_images_of_the_label(tmp_path):
  wrong = [(f'{number}', 'cat', 0, [0.0, 0.5 + number / 100, 0.2]) for number in range(30)]
  found = stored(
    tmp_path, [*wrong, ('x', 'cat', 0, [1.0, 0.0, 0.0]), ('y', 'dog', 1, [0.9, 0.1, 0.0])]
  )
  first, second = errors.confused(found, LABELS)
  assert (first['label'], first['predicted'], first['count'], first['of']) == (
    'cat', 'dog', 30, 31
  )  # fmt: skip
  # Of many the surest.
  assert first['image_ids'] == [f'{number}' for number in range(29, 5, -1)]
  assert second == {
    'label': 'dog', 'predicted': 'cat', 'count': 1, 'of': 1, 'image_ids': ['y']
  }  # fmt: skip
