import numpy as np

from components.audit import folds


def _data(seed=0, count=600):
  rng = np.random.default_rng(seed)
  labels = rng.choice(4, count, p=[0.6, 0.2, 0.15, 0.05])
  clusters = np.full(count, -1)
  for number in range(40):  # clusters of one class, of 2 to 6 images
    members = rng.choice(
      np.flatnonzero((labels == number % 4) & (clusters < 0)), rng.integers(2, 4)
    )
    clusters[members] = number
  return labels, clusters


def test_a_cluster_lies_in_one_fold():
  labels, clusters = _data()
  found = folds.assign(labels, clusters, 0)
  for number in range(40):
    assert len(set(found[clusters == number])) == 1


def test_classes_are_spread_evenly():
  labels, clusters = _data()
  found = folds.assign(labels, clusters, 0)
  for label in range(4):
    counts = np.bincount(found[labels == label], minlength=5)
    assert counts.max() - counts.min() <= 1, (label, counts)


def test_the_seed_decides():
  labels, clusters = _data()
  first = folds.assign(labels, clusters, 3)
  np.testing.assert_array_equal(first, folds.assign(labels, clusters, 3))
  assert (first != folds.assign(labels, clusters, 4)).any()


def test_training_rows_hold_some_of_every_class_and_no_more_than_asked_for():
  labels = np.array([0] * 9000 + [1] * 15 + [2] * 50)
  candidates = np.flatnonzero(np.arange(len(labels)) % 9 != 4)
  rows = folds.training_rows(labels, candidates, 1000, 20, 0)
  assert len(rows) == 1000 == len(set(rows))
  assert set(rows) <= set(candidates)
  assert (labels[rows] == 1).sum() == (labels[candidates] == 1).sum()
  assert (labels[rows] == 2).sum() >= 20
  np.testing.assert_array_equal(
    folds.training_rows(labels, candidates[:900], 1000, 20, 0), candidates[:900]
  )
