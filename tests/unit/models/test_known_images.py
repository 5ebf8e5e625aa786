"""The score of what is foreign: Mahalanobis' distance, by SciPy."""

import numpy as np
import pytest
import scipy.spatial
import tensorflow as tf

from models.known_images import Distance, KnownImages


@pytest.fixture(scope='module')
def known() -> KnownImages:
  draw = np.random.default_rng(0)
  axes, _ = np.linalg.qr(draw.normal(size=(8, 3)))
  # Far from the origin, where squares of large numbers would swallow the distances.
  means = draw.normal(50, 4, (4, 8))
  return KnownImages(means, axes, np.array([3.0, 1.5, 0.9]), np.array(0.4))


def expected(known: KnownImages, features: np.ndarray) -> np.ndarray:
  inside = known.axes @ known.axes.T
  covariance = (known.axes * known.deviations**2) @ known.axes.T
  covariance += known.rest**2 * (np.eye(8) - inside)
  distances = scipy.spatial.distance.cdist(
    features, known.means, 'mahalanobis', VI=np.linalg.inv(covariance)
  )
  return distances.min(axis=1) ** 2 / 8


@pytest.mark.parametrize('spread', [0.3, 3.0, 300.0])
def test_the_score_is_the_squared_distance_to_the_nearest_class_a_feature(known, spread):
  draw = np.random.default_rng(1)
  features = known.means[draw.integers(4, size=40)] + draw.normal(0, spread, (40, 8))
  found = Distance(known)(tf.constant(features, tf.float32)).numpy()
  np.testing.assert_allclose(found, expected(known, features), rtol=2e-4)


def test_a_class_mean_is_at_0_and_no_score_is_below(known):
  found = Distance(known)(tf.constant(known.means, tf.float32)).numpy()
  assert (found >= 0).all()
  np.testing.assert_allclose(found, 0, atol=1e-3)


def test_its_variables_have_one_order_and_are_not_trained(known):
  first, second = Distance(known).variables, Distance(known).variables
  assert [one.name for one in first] == [one.name for one in second]
  assert not any(one.trainable for one in first)
