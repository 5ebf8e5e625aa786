"""Whether a request fits the signature that it asks for; the texts are TensorFlow Serving's."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from schemas import signatures
from serving.servable import Servable, numpy_dtype
from serving.status_error import FAILED_PRECONDITION, INVALID_ARGUMENT, UNIMPLEMENTED, StatusError

# What tf.saved_model.signature_constants calls them.
CLASSIFY = tf.saved_model.CLASSIFY_METHOD_NAME
REGRESS = tf.saved_model.REGRESS_METHOD_NAME


class UnknownSignatureError(StatusError):
  """The model has no signature of that name.

  Attributes:
    signature_name: that name.
  """

  def __init__(self, signature_name: str):
    super().__init__(FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.')
    self.signature_name = signature_name


def signature_of(servable: Servable, name: str) -> meta_graph_pb2.SignatureDef:
  if name not in servable.signatures:
    raise UnknownSignatureError(name)
  return servable.signatures[name]


def check_inputs(inputs: Mapping[str, np.ndarray], signature: meta_graph_pb2.SignatureDef) -> None:
  """Compares what a client sent with what the signature takes.

  Raises:
    StatusError: INVALID_ARGUMENT: an input is missing, not of the signature, or of
      another type.
  """
  expected, received = set(signature.inputs), set(inputs)
  if expected != received:
    raise StatusError(
      INVALID_ARGUMENT,
      f'input size does not match signature: {len(received)}!={len(expected)} '
      f'len({{{",".join(sorted(received))}}})!=len({{{",".join(sorted(expected))}}}). '
      f'Sent extra: {{{",".join(sorted(received - expected))}}}. '
      f'Missing but required: {{{",".join(sorted(expected - received))}}}.',
    )
  for name, info in signature.inputs.items():
    if inputs[name].dtype != numpy_dtype(info):
      raise StatusError(
        INVALID_ARGUMENT,
        f'{name}: expected {tf.dtypes.as_dtype(info.dtype).name}. '
        f'Received: {inputs[name].dtype.name}.',
      )


def check_filter(output_filter: Sequence[str], signature: meta_graph_pb2.SignatureDef) -> None:
  for index, name in enumerate(output_filter):
    if name not in signature.outputs:
      raise StatusError(
        INVALID_ARGUMENT,
        f'output tensor alias not found in signature: {name} '
        f'Outputs expected to be in the set {{{",".join(sorted(signature.outputs))}}}.',
      )
    if name in output_filter[:index]:
      raise StatusError(INVALID_ARGUMENT, f'duplicate output tensor alias: {name}')


def check_tasks(tasks) -> None:
  names = {task.model_spec.name for task in tasks}
  if len(names) > 1:
    raise StatusError(
      INVALID_ARGUMENT,
      'All ModelSpecs in a MultiInferenceRequest must access the same model name.',
    )
  seen: set[str] = set()
  for task in tasks:
    signature_name = task.model_spec.signature_name or signatures.SERVING_DEFAULT
    if signature_name in seen:
      raise StatusError(INVALID_ARGUMENT, f'Duplicate evaluation of signature: {signature_name}')
    seen.add(signature_name)
    if task.method_name not in (CLASSIFY, REGRESS):
      raise StatusError(UNIMPLEMENTED, f'Unsupported signature method_name: {task.method_name}')
