"""Classify and Regress by REST: tf.Examples written as JSON."""

import re

import pytest

from tests.e2e.conformance import models
from tests.e2e.conformance.client import error_of


@pytest.mark.parametrize('name', ['half_plus_two', 'half_plus_two_tf2'])
def test_classify(server, name):
  body = {'signature_name': 'classify_x_to_y', 'examples': [{'x': 2.0}]}
  assert server.answer(f'{name}:classify', body) == {'results': [[['', 3.0]]]}


@pytest.mark.parametrize('name', ['half_plus_two', 'half_plus_two_tf2'])
def test_regress(server, name):
  body = {'signature_name': 'regress_x_to_y', 'examples': [{'x': 80.0}]}
  assert server.answer(f'{name}:regress', body) == {'results': [42.0]}


@pytest.mark.parametrize(
  ('which', 'expected'), [('/versions/123', 12.0), (f'/labels/{models.CANARY}', 13.0)]
)
@pytest.mark.parametrize(('verb', 'form'), [('classify', [['', 0]]), ('regress', 0)])
def test_versions_and_labels(server, which, expected, verb, form):
  body = {'signature_name': f'{verb}_x_to_y', 'examples': [{'x': 20.0}]}
  answer = server.answer(f'two_versions{which}:{verb}', body)
  assert answer == {'results': [[['', expected]] if form else expected]}


def test_classes_and_scores(server):
  body = {'examples': [{'x': 0.2, 'y': 0.7}, {'x': 0.7, 'y': 0.1}]}
  assert server.answer('examples:classify', body) == {
    'results': [[['first', 0.2], ['second', 0.7]], [['first', 0.7], ['second', 0.1]]]
  }


def test_classes_alone(server):
  body = {'signature_name': 'classes', 'examples': [{'s': 'bike'}, {'s': {'b64': 'YnVz'}}]}
  assert server.answer('examples:classify', body) == {'results': [[['bike', 0.0]], [['bus', 0.0]]]}


def test_scores_alone(server):
  body = {'signature_name': 'scores', 'examples': [{'x': 0.25, 'y': 0.5}]}
  assert server.answer('examples:classify', body) == {'results': [[['', 0.25], ['', 0.5]]]}


def test_scores_beside_another_output(server):
  body = {'signature_name': 'scores_and_more', 'examples': [{'x': 0.25, 'y': 0.5}]}
  assert server.answer('examples:classify', body) == {'results': [[['', 0.25], ['', 0.5]]]}


@pytest.mark.parametrize('signature', ['sum', 'flat_sum'])
def test_values_of_one_dimension_or_two(server, signature):
  body = {'signature_name': signature, 'examples': [{'x': 1.5, 'y': 0.5}, {'x': [0.25]}]}
  assert server.answer('examples:regress', body) == {'results': [2.0, 0.25]}


def test_a_value_that_is_no_number(server):
  body = {
    'signature_name': 'quotient',
    'examples': [{'x': 0.2, 'y': 1.0}, {'x': 1.0}, {'x': -1.0}, {'x': 0.0}],
  }
  answer = server.post('examples:regress', body)
  assert re.sub(r'\s', '', answer.text) == '{"results":[0.2,Infinity,-Infinity,NaN]}'


def test_numbers_that_are_none_are_read(server):
  body = '{"signature_name": "sum", "examples": [{"x": Infinity}, {"x": -Infinity}, {"x": NaN}]}'
  answer = server.post('examples:regress', body)
  assert re.sub(r'\s', '', answer.text) == '{"results":[Infinity,-Infinity,NaN]}'


@pytest.mark.parametrize(('value', 'expected'), [(7, 7.0), (True, 1.0), ([False], 0.0)])
def test_whole_numbers_and_truth_values_are_int64(server, value, expected):
  body = {'signature_name': 'count', 'examples': [{'n': value}]}
  assert server.answer('examples:regress', body) == {'results': [expected]}


def test_a_whole_number_is_no_float_feature(server):
  # The graph wants a float.
  error_of(server.post('examples:regress', {'signature_name': 'sum', 'examples': [{'x': 1}]}), 400)


def test_the_context_holds_for_every_example(server):
  body = {
    'signature_name': 'sum',
    'context': {'y': 10.0},
    'examples': [{'x': 1.0}, {'x': 2.0}],
  }
  assert server.answer('examples:regress', body) == {'results': [11.0, 12.0]}


def test_an_example_goes_before_the_context(server):
  body = {'signature_name': 'sum', 'context': {'y': 10.0}, 'examples': [{'x': 1.0, 'y': 2.0}]}
  assert server.answer('examples:regress', body) == {'results': [3.0]}


def test_an_example_may_be_empty(server):
  assert server.answer('examples:regress', {'signature_name': 'sum', 'examples': [{}]}) == {
    'results': [0.0]
  }


@pytest.mark.parametrize(
  'body',
  [
    '',
    '[]',
    '{}',
    '{"signature_name": ["sum"], "examples": [{"x": 1.0}]}',
    '{"signature_name": "sum", "instances": [{"x": 1.0}]}',
    '{"signature_name": "sum", "context": [{"x": 1.0}], "examples": [{"x": 1.0}]}',
    '{"signature_name": "sum", "examples": {"x": 1.0}}',
    '{"signature_name": "sum", "examples": []}',
    '{"signature_name": "sum", "examples": [[{"x": 1.0}]]}',
    '{"signature_name": "sum", "examples": [1.0]}',
    '{"signature_name": "sum", "examples": [{"x": null}]}',
    '{"signature_name": "sum", "examples": [{"x": [1.0, null]}]}',
    '{"signature_name": "sum", "examples": [{"x": [10, 10.5]}]}',
    '{"signature_name": "sum", "examples": [{"x": [10, {"test": 10}]}]}',
    '{"signature_name": "sum", "examples": [{"x": {"test": 10}}]}',
    '{"signature_name": "sum", "examples": [{"x": [[10], 20]}]}',
    '{"signature_name": "sum", "examples": [{"s": ["text", 1.0]}]}',
    '{"signature_name": "sum", "examples": [{"s": {"b64": "a"}}]}',
    '{"signature_name": "count", "examples": [{"n": 18446744073709551603}]}',
  ],
)
@pytest.mark.parametrize('verb', ['classify', 'regress'])
def test_what_is_refused(server, body, verb):
  error_of(server.post(f'examples:{verb}', body), 400)


@pytest.mark.parametrize(
  ('model', 'body'),
  [
    ('half_plus_two:classify', {'examples': [{'x': 1.0}]}),
    ('half_plus_two:classify', {'signature_name': 'regress_x_to_y', 'examples': [{'x': 1.0}]}),
    ('half_plus_two:regress', {'signature_name': 'classify_x_to_y', 'examples': [{'x': 1.0}]}),
    ('half_plus_two:regress', {'signature_name': 'regress_number', 'examples': [{'x': 1.0}]}),
    ('half_plus_two:regress', {'signature_name': 'nothing', 'examples': [{'x': 1.0}]}),
    ('half_plus_two:classify', {'signature_name': 'nothing', 'examples': [{'x': 1.0}]}),
    ('half_plus_two:regress', {'signature_name': 'regress_x_to_y', 'examples': [{}]}),
    ('examples:regress', {'signature_name': 'wide', 'examples': [{'x': 1.0}]}),
  ],
)
def test_a_signature_that_does_not_fit(server, model, body):
  error_of(server.post(model, body), 400)


@pytest.mark.parametrize('verb', ['classify', 'regress'])
def test_an_unknown_model(server, verb):
  text = error_of(server.post(f'nobody:{verb}', {'examples': [{'x': 1.0}]}), 404)
  assert text == 'Servable not found for request: Latest(nobody)'
