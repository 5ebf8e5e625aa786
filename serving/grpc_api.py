"""TensorFlow Serving's gRPC services: PredictionService and ModelService."""

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
  classification_pb2,
  get_model_metadata_pb2,
  get_model_status_pb2,
  inference_pb2,
  model_management_pb2,
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
  regression_pb2,
)

from schemas.errors import ServingError
from serving import identity, status_error
from serving.calls import Answer, Call, fill_spec
from serving.inference import Inference
from serving.metrics import GRPC, REQUEST_COUNT, REQUEST_LATENCY
from serving.served_models import Spec
from serving.signature_checks import check_inputs
from serving.status_error import INVALID_ARGUMENT, StatusError
from serving.versions import VersionStatus

# The full names, as the health service knows them.
SERVICES = ('tensorflow.serving.PredictionService', 'tensorflow.serving.ModelService')
_SIGNATURE_DEF = 'signature_def'
_FOREVER_SECONDS = 1e6
# A few bytes can ask for a tensor of any shape with one value repeated.
_LARGEST_TENSOR_BYTES = 256 << 20

_STRINGS = 'string_val'
# Where a TensorProto keeps values of a type; others go into its raw bytes.
_FIELDS = {
  'float32': 'float_val',
  'float64': 'double_val',
  'int8': 'int_val',
  'int16': 'int_val',
  'int32': 'int_val',
  'int64': 'int64_val',
  'uint8': 'int_val',
  'uint16': 'int_val',
  'uint32': 'uint32_val',
  'uint64': 'uint64_val',
  'bool': 'bool_val',
  'object': _STRINGS,
}

_LOG = logging.getLogger(__name__)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
  """Predict, Classify, Regress, MultiInference and GetModelMetadata."""

  def __init__(self, inference: Inference):
    self._inference = inference

  def Predict(self, request, context):
    with self._asked('Predict', request.model_spec, context) as (call, done):
      answer = self._inference.predict(
        call,
        lambda signature: _read(request, signature),
        list(request.output_filter),
      )
      response = predict_pb2.PredictResponse()
      fill_spec(response.model_spec, answer)
      for name, array in answer.outputs.items():
        _write(response.outputs[name], array)
      done(answer)
    return response

  def Classify(self, request, context):
    with self._asked('Classify', request.model_spec, context) as (call, done):
      answer, result = self._inference.classify(call, request.input)
      response = classification_pb2.ClassificationResponse(result=result)
      fill_spec(response.model_spec, answer)
      done(answer)
    return response

  def Regress(self, request, context):
    with self._asked('Regress', request.model_spec, context) as (call, done):
      answer, result = self._inference.regress(call, request.input)
      response = regression_pb2.RegressionResponse(result=result)
      fill_spec(response.model_spec, answer)
      done(answer)
    return response

  def MultiInference(self, request, context):
    spec = (
      request.tasks[0].model_spec if request.tasks else inference_pb2.InferenceTask().model_spec
    )
    with self._asked('MultiInference', spec, context) as (call, done):
      answers, response = self._inference.multi_inference(call, request)
      done(answers[0])
    return response

  def GetModelMetadata(self, request, context):
    with _told(context):
      spec = _spec(request.model_spec)
      if not request.metadata_field:
        raise StatusError(
          INVALID_ARGUMENT, 'GetModelMetadataRequest must specify at least one metadata_field'
        )
      for field in request.metadata_field:
        if field != _SIGNATURE_DEF:
          raise StatusError(INVALID_ARGUMENT, f'Metadata field {field} is not supported')
      lent, signatures = self._inference.metadata(spec)
      response = get_model_metadata_pb2.GetModelMetadataResponse()
      response.model_spec.name = lent.name
      response.model_spec.version.value = lent.version
      definitions = get_model_metadata_pb2.SignatureDefMap()
      for name, signature in signatures.items():
        definitions.signature_def[name].CopyFrom(signature)
      response.metadata[_SIGNATURE_DEF].Pack(definitions)
    return response

  @contextlib.contextmanager
  def _asked(
    self, api: str, model_spec, context
  ) -> Iterator[tuple[Call, Callable[[Answer], None]]]:
    """Around one request: its call, and what is to be told of its answer."""
    begin = time.perf_counter()
    given = dict(context.invocation_metadata())
    request_id = identity.request_id(given.get(identity.REQUEST_ID))
    remaining = context.time_remaining()
    if remaining is not None and remaining > _FOREVER_SECONDS:
      remaining = None  # So gRPC says that there is no deadline.
    answered: list[Answer] = []

    def done(answer: Answer) -> None:
      context.set_trailing_metadata(tuple(identity.of(answer, request_id).items()))
      answered.append(answer)

    outcome = _Outcome()
    try:
      with _told(context, outcome), self._inference.arriving():
        call = Call(
          _spec(model_spec),
          model_spec.signature_name,
          request_id,
          None if remaining is None else time.monotonic() + remaining,
        )
        yield call, done
    finally:
      metrics = self._inference.metrics
      name = model_spec.name if model_spec.name in self._inference.models.names else ''
      version = str(answered[0].version) if answered else ''
      signature = answered[0].signature_name if answered else ''
      metrics.add(REQUEST_COUNT, name, status_error.name(outcome.code), version, signature)
      if answered:
        metrics.observe(
          REQUEST_LATENCY, (time.perf_counter() - begin) * 1e6, name, api, GRPC, version, signature
        )


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
  """GetModelStatus and HandleReloadConfigRequest."""

  def __init__(self, inference: Inference):
    self._models = inference.models

  def GetModelStatus(self, request, context):
    with _told(context):
      response = get_model_status_pb2.GetModelStatusResponse()
      for row in self._models.status(_spec(request.model_spec)):
        response.model_version_status.append(_status_row(row))
    return response

  def HandleReloadConfigRequest(self, request, context):
    response = model_management_pb2.ReloadConfigResponse()
    with _told(context):
      if request.config.WhichOneof('config') is None:
        raise StatusError(
          INVALID_ARGUMENT, 'ReloadConfigRequest: expected config { model_config_list }.'
        )
      self._models.reload(request.config)
    return response


class _Outcome:
  code = status_error.OK


@contextlib.contextmanager
def _told(context: Any, outcome: _Outcome | None = None) -> Iterator[None]:
  """Turns what is raised into the status that a client of gRPC sees."""
  outcome = outcome or _Outcome()
  try:
    yield
  except (ServingError, tf.errors.OpError) as error:
    outcome.code, text = status_error.code_and_text(error)
    if outcome.code == status_error.INTERNAL:
      _LOG.error('%s', text)
    # It raises: gRPC ends the call.
    context.abort(status_error.grpc_code(outcome.code), text)
  except Exception:  # noqa: BLE001 - a client is owed an answer, and a count
    outcome.code = status_error.INTERNAL
    _LOG.exception('A request failed.')
    context.abort(grpc.StatusCode.INTERNAL, 'Internal error; the log of the server says more.')


def _spec(model_spec) -> Spec:
  if not model_spec.name:
    raise StatusError(INVALID_ARGUMENT, 'Missing ModelSpec')
  choice = model_spec.WhichOneof('version_choice')
  if choice == 'version':
    return Spec(model_spec.name, model_spec.version.value)
  if choice == 'version_label':
    return Spec(model_spec.name, label=model_spec.version_label)
  return Spec(model_spec.name)


def _read(request: predict_pb2.PredictRequest, signature) -> dict[str, np.ndarray]:
  inputs = {}
  for name, proto in request.inputs.items():
    _check_size(name, proto)
    try:
      inputs[name] = tf.make_ndarray(proto)
    except (TypeError, ValueError, KeyError) as error:
      raise StatusError(INVALID_ARGUMENT, f'tensor parsing error: {name}: {error}') from error
  check_inputs(inputs, signature)
  return inputs


def _write(proto, array: np.ndarray) -> None:
  """Fills a TensorProto as TensorFlow Serving does: clients read float_val and its like."""
  kind = _kind(array.dtype)
  values = array.ravel().tolist()
  if kind is None or (kind.field == _STRINGS and not all(isinstance(v, bytes) for v in values)):
    proto.CopyFrom(tf.make_tensor_proto(array))
    return
  proto.dtype = kind.number
  # A scalar has a shape too, one without dimensions.
  proto.tensor_shape.SetInParent()
  for size in array.shape:
    proto.tensor_shape.dim.add(size=size)
  getattr(proto, kind.field).extend(values)


class _Kind(NamedTuple):
  number: int
  field: str


@functools.cache
def _kind(dtype: np.dtype) -> _Kind | None:
  field = _FIELDS.get(dtype.name)
  return _Kind(tf.dtypes.as_dtype(dtype).as_datatype_enum, field) if field else None


def _check_size(name: str, proto) -> None:
  count = math.prod(max(dimension.size, 0) for dimension in proto.tensor_shape.dim)
  if proto.tensor_shape.unknown_rank or any(d.size < 0 for d in proto.tensor_shape.dim):
    raise StatusError(INVALID_ARGUMENT, f'tensor parsing error: {name}: the shape is not known')
  if count * 8 > _LARGEST_TENSOR_BYTES:
    raise StatusError(
      INVALID_ARGUMENT,
      f'tensor parsing error: {name}: expected at most {_LARGEST_TENSOR_BYTES // 8} values. '
      f'Received: {count}.',
    )


def _status_row(row: VersionStatus) -> get_model_status_pb2.ModelVersionStatus:
  states = get_model_status_pb2.ModelVersionStatus.State
  found = get_model_status_pb2.ModelVersionStatus(
    version=row.version, state=states.Value(row.state)
  )
  found.status.error_code = row.code
  found.status.error_message = row.error_message
  return found
