"""TensorFlow Serving's JSON form of Classify and Regress: `examples` in, `results` out."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.tensor_json import FormatError, decoded_base64, is_base64, plain_float, text_or_base64

EXAMPLES = 'examples'
CONTEXT = 'context'


def read_input(parsed: Mapping[str, Any]) -> input_pb2.Input:
  """Builds the examples of a request, with the context where there is one.

  Raises:
    FormatError: there are none, or a feature's values are not of one type.
  """
  examples = parsed.get(EXAMPLES)
  if not isinstance(examples, list) or not examples:
    raise FormatError(
      f"When method is classify or regress, key '{EXAMPLES}' is expected and "
      'must be a list with at least one element.'
    )
  given = input_pb2.Input()
  if CONTEXT in parsed:
    filled = given.example_list_with_context
    _fill(filled.context, parsed[CONTEXT], CONTEXT)
  else:
    filled = given.example_list
  for index, example in enumerate(examples):
    _fill(filled.examples.add(), example, f'{EXAMPLES}[{index}]')
  return given


def write_classifications(result: classification_pb2.ClassificationResult) -> dict:
  """Returns {"results": [[[label, score], ...], ...]}."""
  return {
    'results': [
      [[text_or_base64('', one.label), plain_float(one.score)] for one in row.classes]
      for row in result.classifications
    ]
  }


def write_regressions(result: regression_pb2.RegressionResult) -> dict:
  """Returns {"results": [value, ...]}."""
  return {'results': [plain_float(one.value) for one in result.regressions]}


def _fill(example: tf.train.Example, given: Any, where: str) -> None:
  if not isinstance(given, dict):
    raise FormatError(f'{where}: Example must be JSON object but got {type(given).__name__}.')
  # An example without features is one all the same.
  example.features.SetInParent()
  for name, value in given.items():
    _fill_feature(example.features.feature[name], value, f'{where}: feature {name}')


def _fill_feature(feature: tf.train.Feature, given: Any, where: str) -> None:
  values = given if isinstance(given, list) else [given]
  kinds = {_kind(value, where) for value in values}
  if len(kinds) > 1:
    raise FormatError(f'{where}: expected values of one type. Received: {sorted(kinds)}.')
  kind = kinds.pop() if kinds else ''
  try:
    if kind == 'bytes':
      feature.bytes_list.value.extend(
        decoded_base64(where, value) if is_base64(value) else value.encode() for value in values
      )
    elif kind == 'int64':
      feature.int64_list.value.extend(int(value) for value in values)
    elif kind == 'float':
      feature.float_list.value.extend(values)
  except (ValueError, OverflowError) as error:
    raise FormatError(f'{where}: expected values of {kind}. Received: {error}.') from error


def _kind(value: Any, where: str) -> str:
  if isinstance(value, str) or is_base64(value):
    return 'bytes'
  if isinstance(value, bool | int):
    return 'int64'
  if isinstance(value, float):
    return 'float'
  raise FormatError(
    f'{where}: expected a number, a string, {{"b64": "..."}} or a list of them. '
    f'Received: {type(value).__name__}.'
  )
