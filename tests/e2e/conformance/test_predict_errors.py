"""What Predict refuses by REST: the code always, the text where a client may rely on it."""

import json

import pytest

from tests.e2e.conformance.client import error_of

TWO = 'half_plus_two:predict'
KINDS = 'kinds:predict'


@pytest.mark.parametrize(
  ('body', 'text'),
  [
    ('', 'JSON Parse error: The document is empty'),
    ('instances = [1, 2]', 'JSON Parse error: '),
    ('{"instances": [1, 2', 'JSON Parse error: '),
    ('{"instances": [1.0,]}', 'JSON Parse error: '),
    ("{'instances': [1.0]}", 'JSON Parse error: '),
  ],
  ids=['empty', 'no JSON', 'cut off', 'trailing comma', 'single quotes'],
)
def test_what_is_no_json(server, body, text):
  assert error_of(server.post(TWO, body), 400).startswith(text)


@pytest.mark.parametrize('body', ['[1.0, 2.0]', '"text"', '1', 'null'])
def test_what_is_no_object(server, body):
  error_of(server.post(TWO, body), 400)


@pytest.mark.parametrize(
  'body',
  [
    {},
    {'instances': [1.0], 'inputs': [1.0]},
    {'instances': []},
    {'instances': 1.0},
    {'instances': {'x': 1.0}},
    {'instances': None},
  ],
)
def test_not_one_list_of_values(server, body):
  error_of(server.post(TWO, body), 400)


@pytest.mark.parametrize('name', [100, None, ['serving_default']])
def test_the_name_of_the_signature_is_text(server, name):
  text = error_of(server.post(TWO, {'signature_name': name, 'instances': [1.0]}), 400)
  assert "'signature_name' key must be a string value." in text


@pytest.mark.parametrize('form', ['instances', 'inputs'])
def test_an_unknown_signature(server, form):
  text = error_of(server.post(TWO, {'signature_name': 'nothing', form: [1.0]}), 400)
  assert text == 'Serving signature name: "nothing" not found in signature def'


@pytest.mark.parametrize(
  ('model', 'http_code', 'text'),
  [
    ('nobody', 404, 'Servable not found for request: Latest(nobody)'),
    ('nobody/versions/50', 404, 'Servable not found for request: Specific(nobody, 50)'),
    (
      'half_plus_two/versions/99',
      404,
      'Servable not found for request: Specific(half_plus_two, 99)',
    ),
    ('half_plus_two/labels/none', 400, 'Unrecognized servable version label: none'),
  ],
)
def test_an_unknown_model_version_or_label(server, model, http_code, text):
  assert error_of(server.post(f'{model}:predict', {'instances': [1.0]}), http_code) == text


def test_an_unknown_model_is_told_before_what_else_is_wrong(server):
  text = error_of(server.post('nobody:predict', {}), 404)
  assert text == 'Servable not found for request: Latest(nobody)'


@pytest.mark.parametrize(
  ('signature', 'value'),
  [
    ('float32', '"x"'),
    ('float32', 'true'),
    ('float32', 'null'),
    ('float32', '{"b64": "aGVsbG8="}'),
    ('int32', '1.0'),
    ('int32', '1.5'),
    ('int32', 'true'),
    ('int32', '"1"'),
    ('int32', '2147483648'),
    ('int32', '-2147483649'),
    ('int64', '9223372036854775808'),
    ('int64', '1e3'),
    ('bool', '1'),
    ('bool', '"true"'),
    ('string', '1'),
    ('string', 'null'),
    ('string', '{"b64": "a"}'),
    ('string', '{"b64": 5}'),
    ('string', '{"b64": "aGVsbG8=", "other": 1}'),
  ],
)
@pytest.mark.parametrize('form', ['instances', 'inputs'])
def test_a_value_of_another_type(server, signature, value, form):
  body = f'{{"signature_name": "{signature}", "{form}": [{value}]}}'
  error_of(server.post(KINDS, body), 400)


@pytest.mark.parametrize(
  'rows',
  [
    [[1, 2], [3, 4], [5, 6, 7]],
    [[1, 2], [3, 4], [[5, 6]]],
    [1, [1]],
    [[1], 1],
    [[[1, 2], [3]]],
    [1, {'value': 1}],
    [{'value': 1}, 1],
    [{'value': 1}, {'other': 1}],
    [{'other': 1}],
    [{'value': 1, 'other': 1}],
    [{}],
  ],
  ids=str,
)
def test_rows_that_differ(server, rows):
  error_of(server.post(KINDS, {'signature_name': 'int32', 'instances': rows}), 400)


@pytest.mark.parametrize('columns', [[[1, 2], [3]], [1, [1]], [[1], 1]], ids=str)
def test_columns_that_are_ragged(server, columns):
  error_of(server.post(KINDS, {'signature_name': 'int32', 'inputs': columns}), 400)


@pytest.mark.parametrize(
  'body',
  [
    {'instances': [1, 2]},
    {'instances': [{'flag': True}]},
    {'instances': [{'flag': True, 'count': 1, 'other': 1}]},
    {'inputs': [1, 2]},
    {'inputs': {'flag': [True]}},
  ],
  ids=json.dumps,
)
def test_several_inputs_are_named(server, body):
  error_of(server.post(KINDS, {'signature_name': 'flags', **body}), 400)


@pytest.mark.parametrize('signature', ['uneven', 'total', 'first'])
def test_rows_of_outputs_that_are_not_of_one_batch(server, signature):
  error_of(server.post(KINDS, {'signature_name': signature, 'instances': [1.0, 2.0]}), 400)


# In rows every error of a value becomes INVALID_ARGUMENT.
@pytest.mark.parametrize(('form', 'http_code'), [('instances', 400), ('inputs', 501)])
def test_a_type_that_json_cannot_bring(server, form, http_code):
  error_of(server.post(KINDS, {'signature_name': 'half', form: [1.0]}), http_code)


def test_a_type_that_json_cannot_take(server):
  error_of(server.post(KINDS, {'signature_name': 'complex', 'inputs': [1.0]}), 400)


def test_what_the_graph_refuses(server):
  # It is no tf.Example.
  error_of(server.post('examples:predict', {'signature_name': 'sum', 'instances': ['no']}), 400)


def test_a_name_of_a_signature_under_a_million_brackets(server):
  body = '{"signature_name":' + '[' * 500_000 + ']' * 500_000 + '}'
  error_of(server.post(TWO, body), 400)


@pytest.mark.embedded_only(
  'its parser is no recursive one, and looks at no key that it does not know'
)
def test_a_million_brackets_anywhere(server):
  body = '{"instances": [1.0], "nested":' + '[' * 500_000 + ']' * 500_000 + '}'
  error_of(server.post(TWO, body), 400)


@pytest.mark.embedded_only('it stops reading at the end of the first value')
def test_what_comes_after_the_json(server):
  error_of(server.post(TWO, '{"instances": [1.0]} and more'), 400)
