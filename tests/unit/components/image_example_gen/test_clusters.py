import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from components.image_example_gen.clusters import Clusters


def test_by_hand():
  clusters = Clusters(6)
  assert clusters.join(4, 2)
  assert clusters.join(5, 4)
  assert not clusters.join(2, 5)
  assert clusters.join(1, 0)
  assert clusters.roots().tolist() == [0, 0, 2, 3, 2, 2]
  assert clusters.root(5) == 2


def test_as_scipy_finds_components():
  draw = np.random.default_rng(0)
  pairs = draw.integers(0, 2000, (1500, 2))
  clusters = Clusters(2000)
  for first, second in pairs:
    clusters.join(int(first), int(second))
  graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(2000, 2000))
  _, labels = connected_components(graph, directed=False)
  lowest = np.array([np.flatnonzero(labels == label)[0] for label in labels])
  np.testing.assert_array_equal(clusters.roots(), lowest)


def test_four_bytes_an_image_and_long_chains():
  clusters = Clusters(100_000)
  for position in range(100_000 - 1, 0, -1):
    clusters.join(position, position - 1)
  roots = clusters.roots()
  assert roots.dtype == np.int32
  assert not roots.any()


def test_nothing():
  assert Clusters(0).roots().tolist() == []
