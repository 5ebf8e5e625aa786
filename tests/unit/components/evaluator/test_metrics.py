"""Figures of stored predictions, against hand computation and scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics

from components.evaluator import metrics

LABELS = ['cat', 'dog', 'owl']
TRUTH = np.array([0, 0, 0, 1, 1, 1])
PROBABILITIES = np.array(
  [
    [0.8, 0.1, 0.1],
    [0.6, 0.3, 0.1],
    [0.2, 0.7, 0.1],
    [0.1, 0.8, 0.1],
    [0.5, 0.4, 0.1],
    [0.3, 0.6, 0.1],
  ]
)


def test_accuracy_confusion_and_per_class_figures():
  found = metrics.measure(TRUTH, PROBABILITIES, LABELS)
  assert found['accuracy']['value'] == pytest.approx(4 / 6)
  assert found['accuracy']['n'] == 6
  assert found['confusion_matrix'] == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
  assert found['per_class']['cat']['precision'] == pytest.approx(2 / 3)
  assert found['per_class']['cat']['recall'] == pytest.approx(2 / 3)
  assert found['per_class']['dog']['f1'] == pytest.approx(2 / 3)
  # cat against the rest: of 9 pairs, 8 are in order.
  assert found['per_class']['cat']['roc_auc'] == pytest.approx(
    sklearn.metrics.roc_auc_score(TRUTH == 0, PROBABILITIES[:, 0])
  )
  assert found['log_loss'] == pytest.approx(-np.mean(np.log([0.8, 0.6, 0.2, 0.8, 0.4, 0.6])))


def test_a_class_without_test_images_has_no_figures_instead_of_zeros():
  found = metrics.measure(TRUTH, PROBABILITIES, LABELS)
  owl = found['per_class']['owl']
  assert owl['n'] == 0
  assert owl['recall'] is None and owl['f1'] is None and owl['roc_auc'] is None
  assert found['macro_f1'] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
  'correct, total, low, high',
  [
    # Wilson (1927), computed by hand from the formula with z = 1.959964.
    (0, 10, 0.0, 0.27753),
    (5, 10, 0.23659, 0.76341),
    (10, 10, 0.72247, 1.0),
  ],
)
def test_the_interval_is_that_of_wilson(correct, total, low, high):
  assert metrics.interval(correct, total) == pytest.approx((low, high), abs=1e-5)


def test_nothing_observed_is_no_zero():
  assert metrics.proportion(0, 0) == {'value': None, 'n': 0, 'interval': [0.0, 1.0]}
