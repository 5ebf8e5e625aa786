"""What is answered when the model cannot: the version before it, or a stated label.

A client is told by the header x-fallback, and by low_confidence in the answer.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from schemas import signatures
from schemas.errors import ServingError
from serving.servable import numpy_dtype

PREVIOUS = 'previous'
DEFAULT = 'default'

# The client's own fault, or the server's load: another version would say the same.
_NO_FAILURE = (
  tf.errors.INVALID_ARGUMENT,
  tf.errors.FAILED_PRECONDITION,
  tf.errors.OUT_OF_RANGE,
  tf.errors.UNIMPLEMENTED,
  tf.errors.CANCELLED,
  tf.errors.DEADLINE_EXCEEDED,
)


@dataclasses.dataclass(frozen=True)
class Fallback:
  """Settings.

  Attributes:
    previous: whether the next lower version in service answers; the policy of the model
      has to keep it there.
    label: that is answered where no version can; '' for an error instead.
  """

  previous: bool = False
  label: str = ''


def is_failure(error: Exception) -> bool:
  """Whether the model failed, and not the request."""
  if isinstance(error, ServingError):
    return False
  return not isinstance(error, tf.errors.OpError) or error.error_code not in _NO_FAILURE


def stated(
  label: str, signature: meta_graph_pb2.SignatureDef, rows: int
) -> dict[str, np.ndarray] | None:
  """Returns an answer that says `label` with probability 0, and that a person should look.

  Args:
    label: that is stated.
    signature: whose outputs are filled: class_id with -1, the others with zeros.
    rows: N, images of the request.

  Returns:
    An array for each output; None for a signature that gives no label, or an output of
    unknown shape.
  """
  if signatures.PREDICTED_LABEL not in signature.outputs:
    return None
  outputs: dict[str, np.ndarray] = {}
  for name, info in signature.outputs.items():
    sizes = [dimension.size for dimension in info.tensor_shape.dim][1:]
    if info.tensor_shape.unknown_rank or -1 in sizes:
      return None
    outputs[name] = np.full((rows, *sizes), _value(name, label), numpy_dtype(info))
  return outputs


def _value(name: str, label: str) -> bytes | int | bool:
  values: Mapping[str, bytes | int | bool] = {
    signatures.PREDICTED_LABEL: label.encode(),
    signatures.CLASS_ID: -1,
    signatures.LOW_CONFIDENCE: True,
  }
  return values.get(name, 0)
