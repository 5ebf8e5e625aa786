"""Predict by REST: rows and columns in, predictions and outputs out."""

import pytest

from tests.e2e.conformance import models

TWO = 'half_plus_two:predict'


@pytest.mark.parametrize('name', ['half_plus_two', 'half_plus_two_tf2'])
def test_rows(server, name):
  assert server.answer(f'{name}:predict', {'instances': [2.0, 3.0, 4.0]}) == {
    'predictions': [3.0, 3.5, 4.0]
  }


@pytest.mark.parametrize('name', ['half_plus_two', 'half_plus_two_tf2'])
def test_columns(server, name):
  assert server.answer(f'{name}:predict', {'inputs': [2.0, 3.0, 4.0]}) == {
    'outputs': [3.0, 3.5, 4.0]
  }


@pytest.mark.parametrize(
  ('body', 'expected'),
  [
    ({'instances': [[1.0, 2.0], [3.0, 4.0]]}, {'predictions': [[2.5, 3.0], [3.5, 4.0]]}),
    ({'instances': [[2.0], [4.0]]}, {'predictions': [[3.0], [4.0]]}),
    ({'instances': [{'x': 2.0}, {'x': 4.0}]}, {'predictions': [3.0, 4.0]}),
    ({'inputs': {'x': [2.0, 4.0]}}, {'outputs': [3.0, 4.0]}),
    ({'inputs': [[2.0], [4.0]]}, {'outputs': [[3.0], [4.0]]}),
    ({'inputs': 2.0}, {'outputs': 3.0}),
    ({'inputs': []}, {'outputs': []}),
    # Beside its one input an object may hold anything.
    ({'inputs': {'x': [2.0], 'other': 'ignored'}}, {'outputs': [3.0]}),
    # So may the request.
    ({'instances': [2.0], 'other': [1]}, {'predictions': [3.0]}),
    ({'signature_name': 'serving_default', 'instances': [3.0]}, {'predictions': [3.5]}),
    ({'signature_name': '', 'instances': [3.0]}, {'predictions': [3.5]}),
    ({'signature_name': 'serving_default', 'inputs': [3.0]}, {'outputs': [3.5]}),
    ({'instances': [1, 2.0, 3]}, {'predictions': [2.5, 3.0, 3.5]}),
  ],
)
def test_shapes_and_forms(server, body, expected):
  assert server.answer(TWO, body) == expected


@pytest.mark.parametrize(
  ('which', 'expected'),
  [
    ('', 4.0),
    ('/versions/123', 3.0),
    ('/versions/124', 4.0),
    (f'/labels/{models.STABLE}', 3.0),
    (f'/labels/{models.CANARY}', 4.0),
  ],
)
def test_versions_and_labels(server, which, expected):
  assert server.answer(f'two_versions{which}:predict', {'instances': [2.0]}) == {
    'predictions': [expected]
  }


def test_several_outputs_in_rows_are_objects(server):
  answer = server.answer('kinds:predict', {'instances': ['one', 'three']})
  assert answer == {
    'predictions': [
      {'length': 3, 'text': 'one', 'text_bytes': {'b64': 'b25l'}},
      {'length': 5, 'text': 'three', 'text_bytes': {'b64': 'dGhyZWU='}},
    ]
  }


def test_several_outputs_in_columns_are_one_object(server):
  answer = server.answer('kinds:predict', {'inputs': ['one', 'three']})
  assert answer == {
    'outputs': {
      'length': [3, 5],
      'text': ['one', 'three'],
      'text_bytes': [{'b64': 'b25l'}, {'b64': 'dGhyZWU='}],
    }
  }


def test_several_inputs_in_rows(server):
  body = {
    'signature_name': 'flags',
    'instances': [{'flag': True, 'count': 1}, {'flag': False, 'count': 2}],
  }
  assert server.answer('kinds:predict', body) == {
    'predictions': [{'next': 2, 'not': False}, {'next': 3, 'not': True}]
  }


def test_several_inputs_in_columns(server):
  body = {'signature_name': 'flags', 'inputs': {'flag': [True], 'count': [[1, 2], [3, 4]]}}
  assert server.answer('kinds:predict', body) == {
    'outputs': {'next': [[2, 3], [4, 5]], 'not': [False]}
  }


def test_a_scalar_output_comes_in_columns(server):
  body = {'signature_name': 'total', 'inputs': [1.0, 2.0]}
  assert server.answer('kinds:predict', body) == {'outputs': 3.0}


def test_no_rows_of_an_output(server):
  body = {'signature_name': 'none', 'instances': [1.0, 2.0]}
  assert server.answer('kinds:predict', body) == {'predictions': []}


def test_a_signature_of_examples_is_predicted_too(server):
  # A tf.Example without features.
  body = {'signature_name': 'sum', 'instances': [{'b64': 'CgA='}]}
  assert server.answer('examples:predict', body) == {'predictions': [[0.0]]}


def test_the_type_of_the_body_does_not_matter(server):
  answer = server.request(
    'POST',
    '/v1/models/half_plus_two:predict',
    content='{"instances": [2.0]}',
    headers={'content-type': 'application/x-www-form-urlencoded'},
  )
  assert answer.json() == {'predictions': [3.0]}
