"""Classify and Regress: tf.Examples in, classes, scores or values out.

The conditions are those of TensorFlow Serving's classifier.cc and regressor.cc.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.status_error import INVALID_ARGUMENT, StatusError

INPUTS = 'inputs'
_CLASSES, _SCORES, _OUTPUTS = 'classes', 'scores', 'outputs'


def records(given: input_pb2.Input) -> np.ndarray:
  """Returns the serialised tf.Examples, bytes [N], each with the context merged in.

  Raises:
    StatusError: INVALID_ARGUMENT: there is none.
  """
  kind = given.WhichOneof('kind')
  if kind == 'example_list':
    found = [example.SerializeToString() for example in given.example_list.examples]
  elif kind == 'example_list_with_context':
    found = [
      _merged(given.example_list_with_context.context, example)
      for example in given.example_list_with_context.examples
    ]
  else:
    found = []
  if not found:
    raise StatusError(INVALID_ARGUMENT, 'Input is empty.')
  records: np.ndarray = np.empty(len(found), object)
  records[:] = found
  return records


def _merged(context: tf.train.Example, example: tf.train.Example) -> bytes:
  merged = tf.train.Example()
  merged.CopyFrom(context)
  for name, feature in example.features.feature.items():
    merged.features.feature[name].CopyFrom(feature)
  return merged.SerializeToString()


def _check_examples_input(name: str, signature: meta_graph_pb2.SignatureDef, kind: str) -> None:
  if list(signature.inputs) != [INPUTS]:
    raise StatusError(
      INVALID_ARGUMENT,
      f'Expected {kind} signature {name} to have exactly one input, "{INPUTS}". '
      f'Received: {", ".join(sorted(signature.inputs))}.',
    )
  if signature.inputs[INPUTS].dtype != tf.string.as_datatype_enum:
    raise StatusError(
      INVALID_ARGUMENT, f'Expected {kind} signature {name} to take strings in "{INPUTS}".'
    )


def check_classify(name: str, signature: meta_graph_pb2.SignatureDef) -> list[str]:
  """Returns the outputs of a classifier that there are: classes, scores or both.

  Raises:
    StatusError: INVALID_ARGUMENT: the signature is no classifier.
  """
  _check_examples_input(name, signature, 'Classification')
  wanted = [key for key in (_CLASSES, _SCORES) if key in signature.outputs]
  # One output more than these may be there; it is passed over.
  if not wanted or len(signature.outputs) > 2:
    raise StatusError(
      INVALID_ARGUMENT,
      f'Expected classification signature {name} to have the outputs "{_CLASSES}", "{_SCORES}" '
      f'or both. Received: {", ".join(sorted(signature.outputs))}.',
    )
  return wanted


def check_regress(name: str, signature: meta_graph_pb2.SignatureDef) -> list[str]:
  """Returns the output of a regressor.

  Raises:
    StatusError: INVALID_ARGUMENT: the signature is no regressor.
  """
  _check_examples_input(name, signature, 'Regression')
  if list(signature.outputs) != [_OUTPUTS]:
    raise StatusError(
      INVALID_ARGUMENT,
      f'Expected regression signature {name} to have exactly one output, "{_OUTPUTS}". '
      f'Received: {", ".join(sorted(signature.outputs))}.',
    )
  return [_OUTPUTS]


def classifications(
  outputs: Mapping[str, np.ndarray], size: int
) -> classification_pb2.ClassificationResult:
  """Writes classes string [N, n] and scores float32 [N, n], whichever there are.

  Raises:
    StatusError: INVALID_ARGUMENT: they have other shapes.
  """
  arrays: dict[str, Any] = {}
  for key, array in outputs.items():
    if array.ndim != 2 or len(array) != size:
      raise StatusError(
        INVALID_ARGUMENT,
        f'Expected output "{key}" of shape [{size}, n]. Received: {list(array.shape)}.',
      )
    arrays[key] = array
  if len({array.shape for array in arrays.values()}) > 1:
    raise StatusError(INVALID_ARGUMENT, 'Tensors class and score should match in shape.')
  result = classification_pb2.ClassificationResult()
  for index in range(size):
    row = result.classifications.add()
    for place in range(next(iter(arrays.values())).shape[1]):
      one = row.classes.add()
      if _CLASSES in arrays:
        one.label = arrays[_CLASSES][index, place].decode('utf-8', 'replace')
      if _SCORES in arrays:
        one.score = float(arrays[_SCORES][index, place])
  return result


def regressions(outputs: Mapping[str, np.ndarray], size: int) -> regression_pb2.RegressionResult:
  """Writes outputs float32 [N] or [N, 1].

  Raises:
    StatusError: INVALID_ARGUMENT: it has another shape or type.
  """
  array = outputs[_OUTPUTS]
  if array.dtype != np.float32:
    raise StatusError(
      INVALID_ARGUMENT, f'Expected output "{_OUTPUTS}" of float32. Received: {array.dtype}.'
    )
  if array.shape not in ((size,), (size, 1)):
    raise StatusError(
      INVALID_ARGUMENT,
      f'Expected output "{_OUTPUTS}" of shape [{size}] or [{size}, 1]. '
      f'Received: {list(array.shape)}.',
    )
  result = regression_pb2.RegressionResult()
  for value in array.reshape(-1):
    result.regressions.add(value=float(value))
  return result
