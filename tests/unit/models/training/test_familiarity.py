"""What is fitted on train and val to tell what is foreign."""

import numpy as np
import pytest
import sklearn.covariance

from models.training import familiarity


def drawn(count: int, width: int = 10, classes: int = 3):
  """Features of classes about means of their own, with one covariance; and that covariance."""
  draw = np.random.default_rng(0)
  turn, _ = np.linalg.qr(draw.normal(size=(width, width)))
  deviations = np.linspace(0.2, 4.0, width)
  label_ids = draw.integers(classes, size=count)
  values = draw.normal(20, 3, (classes, width))[label_ids]
  values = values + (draw.normal(size=(count, width)) * deviations) @ turn.T
  return values.astype(np.float32), label_ids, (turn * deviations**2) @ turn.T


def fitted(values: np.ndarray, label_ids: np.ndarray, classes: int = 3, batch: int = 7):
  moments = familiarity.Moments(classes, values.shape[1])
  for start in range(0, len(values), batch):
    moments.add(values[start : start + batch], label_ids[start : start + batch])
  return moments.known()


def covariance_of(known) -> np.ndarray:
  inside = known.axes @ known.axes.T
  return (known.axes * known.deviations**2) @ known.axes.T + known.rest**2 * (
    np.eye(len(inside)) - inside
  )


def test_means_and_covariance_are_those_of_scikit_learn():
  values, label_ids, _ = drawn(200)
  known = fitted(values, label_ids)
  means = np.array([values[label_ids == k].mean(axis=0) for k in range(3)])
  np.testing.assert_allclose(known.means, means, rtol=1e-5)
  oas = sklearn.covariance.OAS(assume_centered=True).fit(values - means[label_ids])
  # Nine of ten axes are kept, and one number for one axis: nothing is lost.
  np.testing.assert_allclose(covariance_of(known), oas.covariance_, rtol=1e-3, atol=1e-3)


def test_the_covariance_that_the_features_were_drawn_with_is_found():
  values, label_ids, true = drawn(20_000)
  found = covariance_of(fitted(values, label_ids, batch=5000))
  np.testing.assert_allclose(found, true, atol=0.05 * true.max())


def test_of_many_features_the_largest_axes_are_kept_and_the_mean_of_the_others(monkeypatch):
  monkeypatch.setattr(familiarity, 'RANK', 4)
  values, label_ids, true = drawn(20_000)
  known = fitted(values, label_ids, batch=5000)
  variances = np.linalg.eigvalsh(true)
  assert known.axes.shape == (10, 4)
  np.testing.assert_allclose(known.deviations**2, variances[-4:], rtol=0.05)
  assert known.rest**2 == pytest.approx(variances[:-4].mean(), rel=0.05)


def test_fewer_images_than_features_leave_no_variance_of_0():
  values, label_ids, _ = drawn(6)
  known = fitted(values, label_ids)
  assert known.rest > 0.1 and (known.deviations > 0.1).all()


def test_features_that_do_not_vary_are_no_error():
  known = fitted(np.ones((6, 10), np.float32), np.arange(6) % 3)
  assert all(np.isfinite(part).all() for part in known)
  assert known.rest > 0


def test_a_class_that_train_does_not_hold_has_no_mean():
  values, label_ids, _ = drawn(60)
  assert fitted(values, label_ids, classes=5).means.shape == (3, 10)


def test_the_axes_point_one_way():
  values, label_ids, _ = drawn(200)
  axes = fitted(values, label_ids).axes
  assert (axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] > 0).all()


@pytest.mark.parametrize(
  ('count', 'share', 'rank'),
  [
    (99, 0.01, 99),  # 1 of 100
    (199, 0.01, 198),  # 2 of 200
    (200, 0.01, 199),  # 1 of 201: 2 would be too many
    (9, 0.5, 5),
    (12, 0.01, 12),  # too few: 1 of 13
  ],
)
def test_the_limit_is_the_conformal_quantile(count, share, rank):
  scores = np.random.default_rng(0).permutation(np.arange(1.0, count + 1))
  found = familiarity.limit(scores, share)
  assert rank < found < rank + 1


def test_a_share_of_all_calls_everything_foreign():
  assert familiarity.limit(np.array([1.0, 2.0]), 1.0) == 0.0


def test_known_images_are_called_foreign_as_often_as_was_asked():
  draw = np.random.default_rng(0)
  shares = []
  for _ in range(400):
    limit = familiarity.limit(draw.chisquare(5, 150), 0.05)
    shares.append((draw.chisquare(5, 500) > limit).mean())
  # 7 of 151 are above the 144th on average; the mean of 400 is good to a tenth of a point.
  assert np.mean(shares) == pytest.approx(7 / 151, abs=0.004)
