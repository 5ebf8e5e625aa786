"""The nearest by cosine, against SciPy over everything at once."""

import numpy as np
import scipy.spatial

from components.analysis import neighbours


def batches(values, size):
  for start in range(0, len(values), size):
    names = [f'n{place}' for place in range(start, min(start + size, len(values)))]
    yield names, values[start : start + size]


def test_batch_by_batch_finds_what_all_at_once_finds():
  draw = np.random.default_rng(0)
  queries, values = draw.normal(size=(4, 7)), draw.normal(size=(53, 7))
  expected = scipy.spatial.distance.cdist(queries, values, 'cosine')
  found = neighbours.nearest(queries, batches(values, 10), 3)
  for row, distances in zip(found, expected, strict=True):
    order = np.argsort(distances)[:3]
    assert [name for name, _ in row] == [f'n{place}' for place in order]
    np.testing.assert_allclose([far for _, far in row], distances[order], atol=1e-9)


def test_length_does_not_count_and_of_equals_the_first_is_taken():
  values = np.array([[0.0, 0.0], [3.0, 3.0], [1.0, 1.0], [-1.0, -1.0]])
  (row,) = neighbours.nearest(np.array([[2.0, 2.0]]), batches(values, 3), 4)
  assert [name for name, _ in row] == ['n1', 'n2', 'n0', 'n3']
  np.testing.assert_allclose([far for _, far in row], [0, 0, 1, 2], atol=1e-12)


def test_fewer_than_asked_for_are_all():
  assert [len(row) for row in neighbours.nearest(np.eye(2), batches(np.eye(2), 1), 3)] == [2, 2]
