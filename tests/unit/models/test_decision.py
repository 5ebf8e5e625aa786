"""How logits become an answer."""

import numpy as np
import pytest
import tensorflow as tf

from models.decision import Decision, answer
from schemas import signatures

LABELS = ['a', 'b', 'c']
LOGITS = tf.constant([[2.0, 1.0, 0.0], [0.0, 3.0, 2.9], [0.1, 0.0, 0.2]])


def ask(decision: Decision, logits: tf.Tensor = LOGITS) -> dict[str, np.ndarray]:
  scores = tf.constant([0.5, 1.5, 2.5])[: len(logits)]
  said = answer(decision, logits, scores, LABELS)
  assert tuple(said) == signatures.OUTPUTS
  return {name: value.numpy() for name, value in said.items()}


def test_a_plain_one_is_softmax_and_flags_nothing():
  said = ask(Decision.plain(3))
  np.testing.assert_allclose(said['probabilities'], tf.nn.softmax(LOGITS), atol=1e-7)
  np.testing.assert_array_equal(said['class_id'], [0, 1, 2])
  assert said['label'].tolist() == [b'a', b'b', b'c']
  assert said['low_confidence'].tolist() == [False] * 3
  assert said['foreign'].tolist() == [False] * 3


@pytest.mark.parametrize('temperature', [0.05, 0.7, 20.0])
def test_a_temperature_changes_probabilities_and_no_answer(temperature):
  said = ask(Decision(temperature, (0.0,) * 3))
  np.testing.assert_allclose(said['probabilities'], tf.nn.softmax(LOGITS / temperature), atol=1e-6)
  np.testing.assert_array_equal(said['class_id'], [0, 1, 2])
  np.testing.assert_allclose(said['probability'], said['probabilities'].max(axis=1), atol=1e-7)


def test_probabilities_that_round_to_the_same_number_hide_no_answer():
  said = ask(Decision(20.0, (0.0,) * 3), tf.constant([[1.0, 1.0 + 1e-6, 0.0]]))
  assert said['class_id'] == [1]


def test_each_class_has_a_threshold_of_its_own():
  probabilities = tf.nn.softmax(LOGITS).numpy().max(axis=1)
  thresholds = (probabilities[0] + 0.01, probabilities[1] - 0.01, 2.0)
  said = ask(Decision(1.0, tuple(map(float, thresholds))))
  assert said['low_confidence'].tolist() == [True, False, True]


def test_an_export_without_one_is_plain():
  assert Decision.read({'labels': LABELS}) == Decision.plain(3)
  identity = {'labels': LABELS, 'decision': {'temperature': 1.5, 'thresholds': [0.1, 0.2, 0.3]}}
  # Written before there was an ood_limit: nothing is foreign.
  assert Decision.read(identity) == Decision(1.5, (0.1, 0.2, 0.3), None)
  identity['decision']['ood_limit'] = 1.25
  assert Decision.read(identity) == Decision(1.5, (0.1, 0.2, 0.3), 1.25)
  assert Decision.read(identity) != Decision(1.5, (0.1, 0.2, 0.3), 1.5)


@pytest.mark.parametrize(
  ('limit', 'expected'),
  [(1.0, [False, True, True]), (1.5, [False, False, True]), (9.0, [False] * 3)],
)
def test_foreign_is_what_lies_above_the_limit(limit, expected):
  said = ask(Decision(1.0, (0.0,) * 3, limit))
  assert said['foreign'].tolist() == expected
  np.testing.assert_array_equal(said['ood_score'], np.float32([0.5, 1.5, 2.5]))


@pytest.mark.parametrize('temperature', [0.0, -1.0, float('nan'), float('inf')])
def test_a_temperature_is_a_number_above_0(temperature):
  with pytest.raises(ValueError, match='temperature'):
    Decision(temperature, (0.0,))


def test_a_limit_is_a_finite_number():
  with pytest.raises(ValueError, match='ood_limit'):
    Decision(1.0, (0.0,), float('nan'))
