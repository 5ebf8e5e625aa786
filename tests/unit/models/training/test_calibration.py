"""What is tuned on val: a temperature, and thresholds for those whom a person should see."""

import numpy as np
import pytest
import scipy.special

from models.training import calibration
from schemas.config import DecisionConfig


def drawn(heat: float, count: int = 20_000, classes: int = 4):
  """Logits whose truth is drawn from softmax(logits / heat)."""
  draw = np.random.default_rng(0)
  logits = draw.normal(0, 3, (count, classes)).astype(np.float32)
  probabilities = scipy.special.softmax(logits / heat, axis=1)
  truth = (probabilities.cumsum(axis=1) < draw.uniform(size=(count, 1))).sum(axis=1)
  return logits, np.minimum(truth, classes - 1)


@pytest.mark.parametrize('heat', [0.5, 1.0, 2.5])
def test_the_temperature_that_the_truth_was_drawn_with_is_found(heat):
  assert calibration.temperature(*drawn(heat)) == pytest.approx(heat, rel=0.03)


def test_a_network_that_is_right_on_all_of_val_is_not_certain_of_it():
  truth = np.arange(90) % 3
  logits = 4 * np.eye(3, dtype=np.float32)[truth]
  heat = calibration.temperature(logits, truth)
  # 91 of 92, by the rule of succession.
  assert scipy.special.softmax(logits / heat, axis=1).max() == pytest.approx(91 / 92, abs=1e-4)


def test_the_log_loss_is_that_of_scikit_learn():
  import sklearn.metrics

  logits, truth = drawn(1.0, 50)
  expected = sklearn.metrics.log_loss(
    truth, scipy.special.softmax(logits.astype(np.float64) / 1.7, axis=1), labels=range(4)
  )
  assert calibration.log_loss(logits, truth, 1.7) == pytest.approx(expected, abs=1e-9)


def tune(config: DecisionConfig, logits, truth, labels) -> calibration.Tuned:
  scores = np.arange(1.0, len(truth) + 1)
  return calibration.tune(config, logits, truth, scores, labels)


def asks(**values) -> DecisionConfig:
  return DecisionConfig(**{'accepted_accuracy': 0.9, 'least_threshold': 0.0, **values})


def test_a_threshold_is_the_lowest_that_keeps_the_promise():
  # From the surest on: nine right, then a wrong one, then nine wrong.
  probability = np.linspace(0.99, 0.51, 19)
  right = np.array([True] * 9 + [False] * 10)
  found = calibration.threshold(probability, right, asks())
  # 9 of 10 are right above it, and 9 of 11 would be too few.
  assert probability[10] < found < probability[9]
  assert calibration.threshold(probability, right, asks(least_threshold=0.95)) == 0.95


def test_a_wrong_one_among_the_surest_does_not_hide_the_right_ones_below():
  probability = np.linspace(0.99, 0.51, 40)
  right = np.array([False] + [True] * 39)
  assert calibration.threshold(probability, right, asks()) == 0.0


def test_equal_probabilities_are_not_parted():
  probability = np.array([0.9, 0.7, 0.7, 0.7])
  right = np.array([True, True, True, False])
  found = calibration.threshold(probability, right, asks(accepted_accuracy=1.0))
  assert 0.7 < found < 0.9


def test_where_no_threshold_keeps_the_promise_everything_is_flagged():
  assert calibration.threshold(np.array([0.9, 0.8]), np.array([False, True]), asks()) > 1
  assert calibration.threshold(np.array([]), np.array([], bool), asks()) > 1


def two_classes():
  """Logits of two classes: class 0 is always right, of class 1 the less sure half is wrong."""
  margins = np.linspace(0.1, 4.0, 40)
  logits = np.concatenate(
    [np.stack([margins, 0 * margins], axis=1), np.stack([0 * margins, margins], axis=1)]
  )
  truth = np.concatenate([np.zeros(40, int), (margins > 2.0).astype(int)])
  return logits.astype(np.float32), truth


def test_a_class_that_is_often_wrong_has_a_higher_threshold():
  logits, truth = two_classes()
  tuned = tune(asks(calibrate=False), logits, truth, ['easy', 'hard'])
  easy, hard = tuned.decision.thresholds
  assert tuned.own == ('easy', 'hard')
  assert easy == 0.0
  # 20 right ones and 2 wrong ones are 0.909: the margin lies between 1.8 and 1.9.
  assert 1 / (1 + np.exp(-1.8)) < hard < 1 / (1 + np.exp(-1.9))
  assert tuned.flagged == pytest.approx(18 / 80)
  assert tuned.accepted_accuracy == pytest.approx(60 / 62)


def test_a_class_of_few_answers_takes_the_threshold_of_all():
  logits, truth = two_classes()
  tuned = tune(asks(class_images=41), logits, truth, ['easy', 'hard'])
  assert tuned.own == ()
  assert tuned.decision.thresholds == (tuned.review_threshold,) * 2


def test_a_threshold_of_ones_own_is_taken_as_it_is_and_changes_who_is_flagged():
  logits, truth = two_classes()
  flagged = []
  for review in (0.0, 0.7, 0.9, 1.0):
    tuned = tune(asks(calibrate=False, review_threshold=review), logits, truth, ['easy', 'hard'])
    assert tuned.decision.thresholds == (review, review)
    flagged.append(tuned.flagged)
  assert flagged[0] == 0 and flagged[-1] == 1 and sorted(set(flagged)) == flagged


def test_a_temperature_lowers_the_log_loss_and_is_left_alone_where_it_is_not_wanted():
  logits, truth = drawn(2.5, 2000)
  tuned = tune(asks(), logits, truth, list('abcd'))
  assert tuned.log_loss[1] < tuned.log_loss[0]
  assert tune(asks(calibrate=False), logits, truth, list('abcd')).decision.temperature == 1


def test_the_limit_of_what_is_foreign_is_that_of_the_share_that_is_asked_for():
  logits, truth = two_classes()
  for share, expected in ((0.01, 80), (0.1, 73)):
    found = tune(asks(foreign_share=share), logits, truth, ['easy', 'hard']).decision.ood_limit
    # Of 80 scores, 1 to 80: the one that 0.9 of 81 do not exceed is 73.
    assert expected < found < expected + 1
