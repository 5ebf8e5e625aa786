"""Labels: names for versions that a new config moves."""

import grpc
import pytest

from tests.e2e.conformance.client import error_of, refused

BODY = {'instances': [2.0]}


@pytest.fixture
def both(own_model):
  """Versions 1 (y = x/2 + 2) and 2 (y = x/2 + 3), without labels."""
  own_model.add(1)
  own_model.add(2, like='half_plus_three')
  own_model.entry.model_version_policy.all.SetInParent()
  own_model.serve()
  own_model.wait_for({1: 'AVAILABLE', 2: 'AVAILABLE'})
  return own_model


def test_a_label_is_given_and_moved_and_taken_away(server, both):
  both.entry.version_labels['stable'] = 1
  both.serve()
  assert server.predict_y(both.name, label='stable') == (3.0, 1)
  both.entry.version_labels['stable'] = 2
  both.serve()
  assert server.predict_y(both.name, label='stable') == (4.0, 2)
  both.entry.version_labels.clear()
  both.serve()
  error_of(server.post(f'{both.name}/labels/stable:predict', BODY), 400)


def test_two_labels_of_one_version(server, both):
  both.entry.version_labels['stable'] = 1
  both.entry.version_labels['other'] = 1
  both.serve()
  assert server.predict_y(both.name, label='stable') == (3.0, 1)
  assert server.predict_y(both.name, label='other') == (3.0, 1)


def test_a_label_of_a_version_that_is_not_loaded(server, both):
  both.entry.version_labels['stable'] = 1
  both.serve()
  both.entry.version_labels['stable'] = 7
  text = refused(both.serve, grpc.StatusCode.FAILED_PRECONDITION)
  assert '7' in text
  # The labels stay as they were.
  assert server.predict_y(both.name, label='stable') == (3.0, 1)


def test_a_label_is_of_its_model_alone(server, both):
  both.entry.version_labels['own'] = 1
  both.serve()
  error_of(server.post('two_versions/labels/own:predict', BODY), 400)
