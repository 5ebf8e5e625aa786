"""A live server by gRPC's PredictionService, for serving/verification.py."""

import contextlib
import pathlib
from collections.abc import Iterator

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
  get_model_metadata_pb2,
  predict_pb2,
  prediction_service_pb2_grpc,
)

from schemas import signatures
from schemas.errors import ServingError
from serving.verification import Asked

_SHA256 = 'x-model-sha256'


class GrpcServer:
  """A server at host:port; see verification.Server."""

  def __init__(self, channel: grpc.Channel, address: str, model_name: str, timeout_seconds: float):
    self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    self._address, self._name, self._timeout = address, model_name, timeout_seconds

  def version(self) -> str:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=['signature_def'])
    request.model_spec.name = self._name
    try:
      found = self._stub.GetModelMetadata(request, timeout=self._timeout)
    except grpc.RpcError as error:
      if error.code() == grpc.StatusCode.NOT_FOUND:
        raise ServingError(
          f'{self._address}: expected a server of the model {self._name!r}. Received: '
          f'{error.details()} Name the model that it serves: --model NAME'
        ) from error
      raise self._not_there(error) from error
    return str(found.model_spec.version.value)

  def ask(self, image: bytes) -> Asked:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = self._name
    request.model_spec.signature_name = signatures.SERVING_DEFAULT
    request.inputs[signatures.IMAGE_BYTES].CopyFrom(tf.make_tensor_proto([image], tf.string))
    try:
      answer, call = self._stub.Predict.with_call(request, timeout=self._timeout)
    except grpc.RpcError as error:
      if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
        return Asked(' '.join((error.details() or '').split()))
      raise self._not_there(error) from error
    if signatures.PROBABILITIES not in answer.outputs:
      raise ServingError(
        f'{self._address}: expected the answer of a Sightline model. Received: the outputs '
        f'{", ".join(sorted(answer.outputs))}.'
      )
    probabilities = np.asarray(tf.make_ndarray(answer.outputs[signatures.PROBABILITIES]))
    trailing = dict(call.trailing_metadata() or ())
    return Asked(
      probabilities[0], str(answer.model_spec.version.value), str(trailing.get(_SHA256, ''))
    )

  def _not_there(self, error: grpc.RpcError) -> ServingError:
    return ServingError(
      f'{self._address}: expected a model server that speaks gRPC. Received: {error.code().name}: '
      f'{error.details()}. Start one with: sightline serve; of REST give http://HOST:PORT'
    )


@contextlib.contextmanager
def opened(
  address: str, model_name: str, ca: str | None = None, timeout_seconds: float = 60.0
) -> Iterator[GrpcServer]:
  """Connects to a server.

  Args:
    address: such as 127.0.0.1:8500, or unix:/path.
    model_name: that it serves.
    ca: file of who vouches for its certificate; without one nothing is encrypted.
    timeout_seconds: for one answer.

  Raises:
    ServingError: the file cannot be read.
  """
  if ca is None:
    channel = grpc.insecure_channel(address)
  else:
    try:
      roots = pathlib.Path(ca).read_bytes()
    except OSError as error:
      raise ServingError(f'--ca: expected a file of certificates. Received: {error}.') from error
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(roots))
  with channel:
    yield GrpcServer(channel, address, model_name, timeout_seconds)
