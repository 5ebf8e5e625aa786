"""The arithmetic of the stages, by hand."""

import numpy as np
import pytest

from components.serving_validator import stages

# whole, nothing, decode, fit, decision
ROUNDS = np.array([[20.0, 1, 5, 8, 2], [30, 1, 6, 8, 4], [23, 2, 5, 9, 3]])


def test_the_stages_of_a_round_by_hand():
  # decode 5 - 1, resize 8 - 5, decision 2 - 1, network 20 - 8 - 1, call 1
  np.testing.assert_allclose(stages.split(ROUNDS)[0], [4, 3, 11, 1, 1])
  assert stages.NAMES == ('decode', 'resize', 'network', 'decision', 'call')


def test_they_add_up_to_the_whole_call_in_each_round():
  np.testing.assert_allclose(stages.split(ROUNDS).sum(axis=1), ROUNDS[:, stages.WHOLE])


def test_medians_are_of_the_stages_and_not_differences_of_medians():
  # decode 4, 5, 3; resize 3, 2, 4; decision 1, 3, 1; network 11, 19, 13; call 1, 1, 2
  found = stages.medians(ROUNDS)
  assert found == pytest.approx({'decode': 4, 'resize': 3, 'network': 13, 'decision': 1, 'call': 1})
