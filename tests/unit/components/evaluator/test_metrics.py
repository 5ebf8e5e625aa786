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


@pytest.mark.filterwarnings('error')
def test_every_figure_is_that_of_scikit_learn():
  draw = np.random.default_rng(3)
  labels = [f'class {number}' for number in range(12)]
  truth = draw.integers(0, 12, 400)
  logits = draw.normal(size=(400, 12)) + 1.5 * np.eye(12)[truth]
  probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
  predicted = probabilities.argmax(axis=1)
  found = metrics.measure(truth, probabilities, labels)
  macro = {'average': 'macro'}
  expected = {
    'balanced_accuracy': sklearn.metrics.balanced_accuracy_score(truth, predicted),
    'macro_precision': sklearn.metrics.precision_score(truth, predicted, **macro),
    'macro_recall': sklearn.metrics.recall_score(truth, predicted, **macro),
    'macro_f1': sklearn.metrics.f1_score(truth, predicted, **macro),
    'macro_roc_auc': sklearn.metrics.roc_auc_score(truth, probabilities, multi_class='ovr'),
    'macro_pr_auc': sklearn.metrics.average_precision_score(np.eye(12)[truth], probabilities),
    'log_loss': sklearn.metrics.log_loss(truth, probabilities),
    'brier': sum(
      sklearn.metrics.brier_score_loss(truth == index, probabilities[:, index])
      for index in range(12)
    ),
  }
  assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-6)
  assert found['top_k']['k'] == 5
  assert found['top_k']['value'] == pytest.approx(
    sklearn.metrics.top_k_accuracy_score(truth, probabilities, k=5), abs=1e-6
  )
  assert found['accuracy']['value'] == sklearn.metrics.accuracy_score(truth, predicted)
  np.testing.assert_array_equal(
    found['confusion_matrix'], sklearn.metrics.confusion_matrix(truth, predicted)
  )
  for index, name in enumerate(labels):
    one = found['per_class'][name]
    of = truth == index
    assert one['roc_auc'] == pytest.approx(
      sklearn.metrics.roc_auc_score(of, probabilities[:, index]), abs=1e-6
    )
    assert one['precision'] == pytest.approx(
      sklearn.metrics.precision_score(of, predicted == index), abs=1e-6
    )


def test_of_two_classes_there_is_no_top_k_and_of_three_it_is_the_first_two():
  assert metrics.measure(TRUTH, np.eye(2)[TRUTH], ['cat', 'dog'])['top_k'] is None
  # Of the six, all have their class among the first two.
  assert metrics.measure(TRUTH, PROBABILITIES, LABELS)['top_k'] == {
    'k': 2,
    **metrics.proportion(6, 6),
  }


@pytest.mark.filterwarnings('error')
def test_probabilities_as_they_are_stored_are_no_reason_to_warn():
  rows = np.random.default_rng(0).dirichlet(np.ones(7), 50).astype(np.float32)
  truth = np.arange(50) % 7
  found = metrics.measure(truth, rows, [str(number) for number in range(7)])
  expected = -np.log(rows[np.arange(50), truth]).mean()
  assert found['log_loss'] == pytest.approx(expected, rel=1e-5)
