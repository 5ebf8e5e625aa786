"""Asks a model server by TensorFlow Serving's gRPC API.

Importing it imports TensorFlow, as the official stubs do: some seconds.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
  get_model_status_pb2,
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from schemas import signatures
from schemas.errors import ConfigError, ServingError
from serving import backoff, rest_client
from serving.prediction import MODEL_VERSION, RejectedError, Reply, not_ours
from serving.target import Target

# Of the service's name, and of what stands for it in a plain message.
_REJECTED = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)
_BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
# gRPC says UNAVAILABLE of both: a server that is busy, and none at all.
_NOBODY = ('failed to connect', 'errors resolving', 'Tls handshake', 'Socket closed')
_TOO_LARGE = 'larger than max'


class GrpcClient:
  """A channel to one model; any thread may use it. Close it after use.

  Args:
    target: which model, and how it is asked.

  Raises:
    ConfigError: a file of TLS cannot be read.
  """

  def __init__(self, target: Target):
    self.target = target
    scheme, _, address = target.url.partition('://')
    address = address.rstrip('/')
    options = [
      ('grpc.max_receive_message_length', -1),
      ('grpc.max_send_message_length', -1),
      # A proxy of the environment does not lead to this machine.
      ('grpc.enable_http_proxy', 0 if target.is_loopback else 1),
    ]
    if scheme == 'grpcs' or target.ca or target.certificate:
      self._channel = grpc.secure_channel(address, _credentials(target), options)
    else:
      self._channel = grpc.insecure_channel(address, options)
    self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
    self._status = model_service_pb2_grpc.ModelServiceStub(self._channel).GetModelStatus

  def close(self) -> None:
    """Closes the channel."""
    self._channel.close()

  def check(self) -> None:
    """Asks for the state of the model, so that a wrong address is told once.

    Raises:
      ServingError: the server is not there, is none, does not know the model, or has no
        version of it in service.
    """
    request = get_model_status_pb2.GetModelStatusRequest()
    self._fill(request.model_spec)
    try:
      found = self._status(request, timeout=self.target.timeout_seconds)
    except grpc.RpcError as error:
      raise self._refused(error) from error
    name = get_model_status_pb2.ModelVersionStatus.State.Name
    rows = found.model_version_status
    states = {str(row.version): name(row.state) for row in rows}
    errors = [row.status.error_message for row in rows if row.status.error_message]
    if rest_client.AVAILABLE not in states.values():
      raise rest_client.not_in_service(self.target, states, errors)

  def predict(self, images: Sequence[bytes]) -> list[Reply]:
    """Asks about encoded images in one request.

    Returns:
      A Reply an image.

    Raises:
      RejectedError: the server does not take one of them.
      ServingError: the server is not there, refused, or gave no such answer.
    """
    request = predict_pb2.PredictRequest()
    self._fill(request.model_spec)
    request.model_spec.signature_name = signatures.SERVING_DEFAULT
    request.inputs[signatures.IMAGE_BYTES].CopyFrom(tf.make_tensor_proto(list(images)))
    response, call = backoff.patiently(lambda: self._ask(request), self.target.retries)
    told = {MODEL_VERSION: str(response.model_spec.version.value)}
    told |= {key: value for key, value in call.trailing_metadata() if isinstance(value, str)}
    outputs = {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()}
    if any(array.shape[:1] != (len(images),) for array in outputs.values()):
      raise not_ours({name: array.shape for name, array in outputs.items()})
    return [
      Reply({name: _plain(array[index]) for name, array in outputs.items()}, told)
      for index in range(len(images))
    ]

  def _ask(self, request: predict_pb2.PredictRequest) -> Any:
    try:
      return self._predict.with_call(request, timeout=self.target.timeout_seconds)
    except grpc.RpcError as error:
      raise self._refused(error) from error

  def _fill(self, spec: Any) -> None:
    spec.name = self.target.model_name
    if self.target.version is not None:
      spec.version.value = self.target.version
    if self.target.label is not None:
      spec.version_label = self.target.label

  def _refused(self, error: Any) -> ServingError:
    code, details = error.code(), error.details() or ''
    if code in _BUSY and any(sign in details for sign in _NOBODY):
      return ServingError(
        f'{self.target.url}: expected a model server. Received: {details}. {self._advice(details)}'
      )
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
      return ServingError(
        f'{self.target}: expected an answer within {self.target.timeout_seconds:g} s. '
        f'Received: {code.name}. Give it longer with --timeout, or ask for less at once.'
      )
    text = f'{self.target}: refused with {code.name}: {details}{rest_client.next_step(details)}'
    if code in _BUSY and _TOO_LARGE not in details:
      return backoff.BusyError(text)
    rejected = code in _REJECTED or _TOO_LARGE in details
    return RejectedError(text) if rejected else ServingError(text)

  def _advice(self, details: str) -> str:
    """What a person may try, by what the other side did with our first bytes."""
    if 'http1' in details:
      return 'It speaks no gRPC: a REST port is asked by http://HOST:PORT.'
    if 'CERTIFICATE_VERIFY_FAILED' in details:
      return 'Say who vouches for it: --ca FILE.'
    if 'WRONG_VERSION_NUMBER' in details:
      return 'It speaks no TLS: ask grpc:// instead of grpcs://.'
    if 'refused' in details or 'resolving' in details:
      return 'Start one with: sightline serve'
    if self.target.url.startswith('grpc:'):
      return 'A server with TLS is asked by grpcs://.'
    return 'A server that asks for a certificate is given it by --certificate and --key.'


def _plain(value: Any) -> Any:
  """Returns an element as JSON has it: a float32 by its shortest digits."""
  if isinstance(value, np.ndarray):
    return [_plain(element) for element in value]
  if isinstance(value, bytes):
    return value.decode(errors='replace')
  if isinstance(value, np.floating):
    return float(str(value))
  return value.item() if isinstance(value, np.generic) else value


def _credentials(target: Target) -> grpc.ChannelCredentials:
  def read(path: pathlib.Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()

  certificate, key = target.certificate or (None, None)
  try:
    return grpc.ssl_channel_credentials(read(target.ca), read(key), read(certificate))
  except OSError as error:
    raise ConfigError(f'{error.filename}: expected a file of TLS. Received: {error}.') from error
