"""TensorFlow Serving's JSON form of tensors, to and from NumPy.

Its reference is the RESTful API page of TensorFlow Serving; where the page is
silent, json_tensor.cc.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from schemas.errors import ServingError

ROW = 'instances'
COLUMN = 'inputs'
SIGNATURE_NAME = 'signature_name'
_B64 = 'b64'
# Outputs of such a name come back in base64, and so does what is no text.
_BYTES_SUFFIX = '_bytes'
# NumPy's names of what TensorFlow Serving reads from JSON and writes to it.
TYPES = frozenset(
  ('float32', 'float64', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint32', 'uint64')
) | {'bool', 'object'}

# As an escape; two of them may be a whole character.
_SURROGATE = re.compile(rb'\\u[dD][89a-fA-F]')


class FormatError(ServingError):
  """The body is not what the API expects; TensorFlow Serving's INVALID_ARGUMENT."""


def parse_object(body: bytes) -> dict:
  """Returns the JSON object of a request's body.

  NaN, Infinity and -Infinity are read, as TensorFlow Serving does.

  Raises:
    FormatError: the body is no JSON object, or its signature_name no string.
  """
  if not body:
    raise FormatError('JSON Parse error: The document is empty')
  try:
    # Decoded here: given bytes, json lets half a surrogate pair pass, which is no text.
    parsed = json.loads(body.decode())
    if _SURROGATE.search(body):
      json.dumps(parsed, ensure_ascii=False).encode()
  except (ValueError, RecursionError) as error:
    raise FormatError(f'JSON Parse error: {error}') from error
  if not isinstance(parsed, dict):
    raise FormatError(f'JSON Value: expected an object. Received: {type(parsed).__name__}.')
  if not isinstance(parsed.get(SIGNATURE_NAME, ''), str):
    raise FormatError(f"'{SIGNATURE_NAME}' key must be a string value.")
  return parsed


def read_inputs(parsed: Mapping[str, Any], dtypes: Mapping[str, np.dtype]) -> dict[str, np.ndarray]:
  """Builds the arrays of a predict request.

  Args:
    parsed: of parse_object.
    dtypes: of each input of the signature; object for strings.

  Raises:
    FormatError: there is not exactly one of `instances` and `inputs`, a key is missing,
      a value has another type, or rows differ in shape.
  """
  if (ROW in parsed) == (COLUMN in parsed):
    raise FormatError(
      f"Expected exactly one of the keys '{ROW}' and '{COLUMN}'. "
      f'Received: {", ".join(sorted(parsed)) or "none"}.'
    )
  columns: Mapping[str, Any]
  if ROW in parsed:
    columns = _columns_of_rows(parsed[ROW], dtypes)
  else:
    columns = _columns(parsed[COLUMN], dtypes)
  return {name: _array(name, columns[name], dtype) for name, dtype in dtypes.items()}


def write_outputs(outputs: Mapping[str, np.ndarray], row: bool) -> dict:
  """Builds the answer: `predictions`, one value a row, or `outputs`, one value an output.

  Raises:
    FormatError: row form was asked for and the outputs differ in batch size, or one is
      of a type that JSON cannot hold.
  """
  values = {name: _plain(name, array) for name, array in outputs.items()}
  if not row:
    return {'outputs': values if len(values) != 1 else next(iter(values.values()))}
  sizes = {name: len(value) if isinstance(value, list) else -1 for name, value in values.items()}
  if -1 in sizes.values() or len(set(sizes.values())) > 1:
    raise FormatError(
      f'Expected outputs of one batch size. Received: {sizes}. Ask in the columnar form.'
    )
  if len(values) == 1:
    return {'predictions': next(iter(values.values()))}
  return {
    'predictions': [
      dict(zip(values, row_values, strict=True))
      for row_values in zip(*values.values(), strict=True)
    ]
  }


def _columns_of_rows(rows: Any, dtypes: Mapping[str, np.dtype]) -> dict[str, Any]:
  if not isinstance(rows, list) or not rows:
    raise FormatError(f"'{ROW}': expected a list that is not empty.")
  named = isinstance(rows[0], dict) and not is_base64(rows[0])
  if not named:
    if len(dtypes) != 1:
      raise FormatError(
        f"'{ROW}': expected objects with the keys {', '.join(sorted(dtypes))}. "
        'Received: plain values.'
      )
    return {next(iter(dtypes)): rows}
  for index, row in enumerate(rows):
    if not isinstance(row, dict) or set(row) != set(dtypes):
      received = ', '.join(sorted(row)) if isinstance(row, dict) else type(row).__name__
      raise FormatError(
        f"'{ROW}'[{index}]: expected an object with exactly the keys "
        f'{", ".join(sorted(dtypes))}. Received: {received}.'
      )
  return {name: [row[name] for row in rows] for name in dtypes}


def _columns(value: Any, dtypes: Mapping[str, np.dtype]) -> Mapping[str, Any]:
  if isinstance(value, dict) and not is_base64(value):
    missing = sorted(set(dtypes) - set(value))
    if missing:
      raise FormatError(
        f"'{COLUMN}': expected the keys {', '.join(sorted(dtypes))}. Missing: {', '.join(missing)}."
      )
    return value
  if len(dtypes) != 1:
    raise FormatError(f"'{COLUMN}': expected an object with the keys {', '.join(sorted(dtypes))}.")
  return {next(iter(dtypes)): value}


def is_base64(value: Any) -> bool:
  """Whether a value is {"b64": ...}, the form of bytes."""
  return isinstance(value, dict) and set(value) == {_B64}


def _array(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
  leaves: list = []
  shape = _shape_and_leaves(name, value, 0, leaves)
  array = np.empty(len(leaves), dtype)
  for index, leaf in enumerate(leaves):
    try:
      array[index] = _leaf(name, leaf, dtype)
    except OverflowError as error:
      raise FormatError(f'{name}: {leaf} does not fit {dtype}.') from error
  return array.reshape(shape)


def _shape_and_leaves(name: str, value: Any, depth: int, leaves: list) -> tuple[int, ...]:
  if not isinstance(value, list):
    leaves.append(value)
    return ()
  if depth == 32:  # NumPy's own limit
    raise FormatError(f'{name}: expected at most 32 dimensions.')
  shapes = {_shape_and_leaves(name, part, depth + 1, leaves) for part in value}
  if len(shapes) > 1:
    raise FormatError(f'{name}: expected rows of one shape. Received: {sorted(shapes)}.')
  return (len(value), *(shapes.pop() if shapes else ()))


def _leaf(name: str, leaf: Any, dtype: np.dtype) -> Any:
  kind = dtype.kind
  if kind == 'O':
    if is_base64(leaf):
      return decoded_base64(name, leaf)
    if isinstance(leaf, str):
      return leaf.encode()
  elif kind == 'b':
    if isinstance(leaf, bool):
      return leaf
  elif isinstance(leaf, bool):
    pass
  elif kind in 'iu' and isinstance(leaf, int):
    return leaf
  elif kind == 'f' and isinstance(leaf, int | float):
    return leaf
  expected = {'O': 'a string or {"b64": "..."}', 'b': 'true or false', 'f': 'a number'}.get(
    kind, 'an integer'
  )
  raise FormatError(f'{name}: expected {expected}. Received: {json.dumps(leaf)[:60]}.')


def decoded_base64(name: str, value: Any) -> bytes:
  """Returns the bytes of {"b64": "..."}.

  Raises:
    FormatError: it is no base64; `name` says where.
  """
  try:
    return base64.b64decode(value[_B64], validate=True)
  except (binascii.Error, TypeError, ValueError) as error:
    raise FormatError(f'{name}: expected base64. Received: {error}.') from error


def _plain(name: str, array: np.ndarray) -> Any:
  array = np.asarray(array)
  if array.dtype.kind in 'OSU':
    leaves: list = array.astype(object).ravel().tolist()
    values = [text_or_base64(name, leaf) for leaf in leaves]
    plain: np.ndarray = np.empty(len(values), object)
    plain[:] = values
    return plain.reshape(array.shape).tolist()
  if array.dtype == np.float32:
    # By way of its shortest decimal: 0.1 and not 0.10000000149011612.
    return array.astype('U').astype(np.float64).tolist()
  if array.dtype.name not in TYPES:
    raise FormatError(f'Failed to write JSON value for tensor type: {array.dtype.name}')
  return array.tolist()


def text_or_base64(name: str, value: Any) -> Any:
  """Returns text, or {"b64": "..."} for what is none and for outputs named *_bytes."""
  data = value if isinstance(value, bytes) else str(value).encode()
  if not name.endswith(_BYTES_SUFFIX):
    try:
      return data.decode()
    except UnicodeDecodeError:
      pass
  return {_B64: base64.b64encode(data).decode()}


def plain_float(value: float) -> float:
  """Returns a float32 by way of its shortest decimal."""
  return float(str(np.float32(value)))
