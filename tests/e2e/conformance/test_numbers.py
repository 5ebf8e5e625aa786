"""How numbers, text and bytes are written in answers and read in requests."""

import json
import re
import struct

import pytest

KINDS = 'kinds:predict'


def written(server, signature: str, value: str) -> str:
  """The one value of an answer as its text stands there."""
  body = f'{{"signature_name": "{signature}", "instances": [{value}]}}'
  answer = server.post(KINDS, body)
  assert answer.status_code == 200, answer.text
  return re.fullmatch(r'\{\s*"predictions":\s*\[\s*(\S+)\s*\]\s*\}', answer.text)[1]


def float32(value: float) -> float:
  return struct.unpack('f', struct.pack('f', value))[0]


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    ('1', '1.0'),
    ('-3', '-3.0'),
    ('0', '0.0'),
    ('0.5', '0.5'),
    ('0.1', '0.1'),
    ('0.2', '0.2'),
    ('999999', '999999.0'),
    ('0.0003', '0.0003'),
    ('0.00003', '3e-05'),
    ('555557.5', '555557.5'),
    ('NaN', 'NaN'),
    ('Infinity', 'Infinity'),
    ('-Infinity', '-Infinity'),
    # More than a float32 can hold, and less.
    ('1.7976931348623157e+308', 'Infinity'),
    ('-1.7976931348623157e+308', '-Infinity'),
    ('2.2250738585072014e-308', '0.0'),
  ],
)
def test_a_float32_in_its_shortest_form(server, value, expected):
  assert written(server, 'float32', value) == expected


@pytest.mark.parametrize('value', [1 / 3, 0.7, 16777217.0, 1435774380.0, 9e6, 1e-10, 3.4e38])
def test_a_float32_is_read_back_exactly(server, value):
  assert float32(float(written(server, 'float32', repr(value)))) == float32(value)


@pytest.mark.parametrize(('value', 'expected'), [('0.1', '0.1'), ('2', '2.0'), ('NaN', 'NaN')])
def test_a_float64_in_its_shortest_form(server, value, expected):
  assert written(server, 'float64', value) == expected


@pytest.mark.parametrize('value', [1 / 3, 0.662, 1e300, 123456789.125])
def test_a_float64_is_read_back_exactly(server, value):
  assert float(written(server, 'float64', repr(value))) == value


@pytest.mark.parametrize(
  ('signature', 'value'),
  [
    ('int32', '2147483647'),
    ('int32', '-2147483648'),
    ('int64', '9223372036854775807'),
    ('int64', '-9223372036854775808'),
    ('uint8', '255'),
    ('bool', 'true'),
    ('bool', 'false'),
    ('string', '"word"'),
    ('string', '""'),
  ],
)
def test_a_value_comes_back_as_it_went_in(server, signature, value):
  assert written(server, signature, value) == value


@pytest.mark.parametrize('text', ['Grüße, 世界', 'quote " and \\ and \n', '\u0001'])
def test_text_comes_back_as_it_went_in(server, text):
  answer = server.answer(KINDS, {'signature_name': 'string', 'instances': [text]})
  assert answer == {'predictions': [text]}


def test_text_may_be_escaped(server):
  answer = server.answer(KINDS, '{"signature_name": "string", "instances": ["\\u00e9"]}')
  assert answer == {'predictions': ['é']}


@pytest.mark.parametrize(
  ('instances', 'expected'),
  [
    ([{'b64': 'aGVsbG8='}, {'b64': 'd29ybGQ='}], ['hello', 'world']),
    ([[{'b64': 'aGVsbG8='}], [{'b64': 'd29ybGQ='}]], [['hello'], ['world']]),
    ([{'value': [[{'b64': 'aGVsbG8='}], ['world']]}], [[['hello'], ['world']]]),
    ([{'b64': ''}], ['']),
  ],
  ids=['scalars', 'lists', 'named', 'nothing'],
)
def test_base64_in_rows(server, instances, expected):
  answer = server.answer(KINDS, {'signature_name': 'string', 'instances': instances})
  assert answer == {'predictions': expected}


def test_base64_in_columns_may_be_a_scalar(server):
  answer = server.answer(KINDS, {'signature_name': 'string', 'inputs': {'b64': 'aGVsbG8='}})
  assert answer == {'outputs': 'hello'}


def test_an_output_named_bytes_comes_in_base64(server):
  body = {'signature_name': 'only_bytes', 'instances': [['hello', 'world'], ['tf', 'serving']]}
  assert server.answer(KINDS, body) == {
    'predictions': [
      [{'b64': 'aGVsbG8='}, {'b64': 'd29ybGQ='}],
      [{'b64': 'dGY='}, {'b64': 'c2VydmluZw=='}],
    ]
  }


@pytest.mark.embedded_only('it writes bytes that are no text into the answer as they are')
def test_bytes_that_are_no_text_come_in_base64(server):
  body = {'signature_name': 'string', 'instances': [{'b64': '/9j/'}]}
  assert server.answer(KINDS, body) == {'predictions': [{'b64': '/9j/'}]}


def test_tensors_of_three_dimensions(server):
  rows = [[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]]
  for form, key in (('instances', 'predictions'), ('inputs', 'outputs')):
    answer = server.answer(KINDS, json.dumps({'signature_name': 'int32', form: rows}))
    assert answer == {key: rows}
