"""How honest the probabilities are, measured on test."""

import numpy as np
import pytest
import scipy.special

from components.evaluator import calibration, metrics
from models.decision import Decision


def test_the_expected_calibration_error_by_hand():
  # Two bins: 0.9 twice, right once; 0.3 twice, right twice.
  confidence = np.array([0.9, 0.9, 0.3, 0.3])
  right = np.array([True, False, True, True])
  expected = 2 / 4 * abs(0.5 - 0.9) + 2 / 4 * abs(1.0 - 0.3)
  assert calibration.expected_error(confidence, right) == pytest.approx(expected)
  assert calibration.expected_error(np.array([]), np.array([], bool)) is None


def test_a_confidence_of_one_has_a_bin():
  assert calibration.expected_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_the_brier_score_is_that_of_scikit_learn():
  import sklearn.metrics

  draw = np.random.default_rng(0)
  probabilities = draw.dirichlet(np.ones(2), 50)
  truth = draw.integers(0, 2, 50)
  # scikit-learn's counts one of two classes, ours both.
  expected = 2 * sklearn.metrics.brier_score_loss(truth, probabilities[:, 1])
  assert metrics.brier(truth, probabilities) == pytest.approx(expected)


def test_what_softmax_said_without_the_temperature_is_found_again():
  logits = np.random.default_rng(0).normal(0, 4, (30, 5))
  calibrated = scipy.special.softmax(logits / 2.5, axis=1).astype(np.float32)
  found = calibration.uncalibrated(Decision(2.5, (0.0,) * 5), calibrated)
  np.testing.assert_allclose(found, scipy.special.softmax(logits, axis=1), rtol=1e-4, atol=1e-6)
  certain = calibration.uncalibrated(Decision(2.5, (0.0,) * 2), np.array([[1.0, 0.0]]))
  np.testing.assert_array_equal(certain, [[1.0, 0.0]])


def test_a_model_that_is_too_sure_is_mended_by_its_temperature():
  draw = np.random.default_rng(0)
  logits = draw.normal(0, 3, (5000, 4))
  truth = np.array([draw.choice(4, p=row) for row in scipy.special.softmax(logits / 3, axis=1)])
  calibrated = scipy.special.softmax(logits / 3, axis=1).astype(np.float32)
  found = calibration.measure(Decision(3.0, (0.0,) * 4), truth, calibrated)
  assert found['ece_after'] < 0.03 < 0.2 < found['ece_before']
  assert sum(one['n'] for one in found['reliability']) == 5000


def test_who_is_flagged_and_how_often_the_rest_is_right():
  probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.1, 0.9]], np.float32)
  truth = np.array([0, 1, 0, 1])
  found = calibration.measure(Decision(1.0, (0.7, 0.85)), truth, probabilities)
  assert found['flagged']['value'] == 0.5
  assert found['accepted_accuracy']['value'] == 1.0
  assert found['accepted_accuracy']['n'] == 2
  everything = calibration.measure(Decision(1.0, (2.0, 2.0)), truth, probabilities)
  assert everything['flagged']['value'] == 1.0
  assert everything['accepted_accuracy']['value'] is None
