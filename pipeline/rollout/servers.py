"""Asks a model server which versions it has and which one answers, and tells it a new config.

Either server will do: these are TensorFlow Serving's own calls. By gRPC a server is told
a new config at once; one that is named by its REST address reads the file itself, so it
has to poll it.
"""

import abc
import base64
import dataclasses
import functools
import io
from typing import Any

import httpx

from schemas import signatures
from schemas.errors import ServingError

AVAILABLE = 'AVAILABLE'
END = 'END'
_SECONDS = 30.0
_LOOPBACK = ('127.0.0.1', 'localhost', '::1')
_VERSION, _SHA256 = 'x-model-version', 'x-model-sha256'


@dataclasses.dataclass(frozen=True)
class State:
  """What a server says of a version; `error` is empty where there is none."""

  state: str
  error: str = ''


@dataclasses.dataclass(frozen=True)
class Answer:
  """Which version is behind a label.

  Attributes:
    version: its number.
    weights_sha256: that the server names; TensorFlow Serving names none: ''.
    asked: what it was asked for: an answer to a picture, or the status of the label.
  """

  version: int
  weights_sha256: str
  asked: str


class Server(abc.ABC):
  """A model server at an address."""

  def __init__(self, address: str):
    self.address = address

  @abc.abstractmethod
  def tell(self, tree: Any, seconds: float) -> bool:
    """Hands over a ModelServerConfig; false where the server has to read the file itself.

    Raises:
      ServingError: the server is not there, or refused.
    """

  @abc.abstractmethod
  def states(self, model: str) -> dict[int, State]:
    """Returns what it knows of each version; {} where it does not know the model.

    Raises:
      ServingError: the server is not there.
    """

  @abc.abstractmethod
  def answering(self, model: str, label: str) -> Answer | None:
    """Returns which version is behind a label; None where the server does not know the label.

    Raises:
      ServingError: the server is not there.
    """


def connect(address: str) -> Server:
  """Returns the server at http(s)://HOST:PORT (REST), or at HOST:PORT (gRPC).

  Raises:
    ServingError: it is no address.
  """
  if address.startswith(('http://', 'https://')):
    return RestServer(address.rstrip('/'))
  host, colon, port = address.removeprefix('grpc://').rpartition(':')
  if not colon or not host or not port.isdigit():
    raise ServingError(
      f'--server: expected HOST:PORT of gRPC, such as 127.0.0.1:8500, or the URL of REST, such as '
      f'http://127.0.0.1:8501. Received: {address}.'
    )
  return GrpcServer(f'{host}:{port}')


class RestServer(Server):
  """By REST. It polls the model config file."""

  def tell(self, tree: Any, seconds: float) -> bool:
    return False

  def states(self, model: str) -> dict[int, State]:
    return _rest_states(self._ask('GET', f'/v1/models/{model}'))

  def answering(self, model: str, label: str) -> Answer | None:
    path = f'/v1/models/{model}/labels/{label}'
    body = {'instances': [{'b64': base64.b64encode(_picture()).decode()}]}
    response = self._ask('POST', f'{path}:predict', body)
    if response.status_code == 200 and response.headers.get(_VERSION, '').isdigit():
      said = response.headers
      return Answer(int(said[_VERSION]), said.get(_SHA256, ''), 'an answer to a picture')
    # TensorFlow Serving's answers by REST name no version; its status of a label does.
    found = _rest_states(self._ask('GET', path))
    return next((Answer(number, '', 'the status of the label') for number in found), None)

  def _ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
    # A proxy of the environment does not lead to this machine.
    environment = httpx.URL(self.address).host not in _LOOPBACK
    try:
      with httpx.Client(timeout=_SECONDS, trust_env=environment) as client:
        return client.request(method, self.address + path, json=body)
    except httpx.HTTPError as error:
      raise _not_there(self.address, f'{type(error).__name__} {error}') from error


class GrpcServer(Server):
  """By gRPC. It is told a new config at once."""

  def tell(self, tree: Any, seconds: float) -> bool:
    import grpc
    from tensorflow_serving.apis import model_management_pb2

    request = model_management_pb2.ReloadConfigRequest(config=tree)
    try:
      status = self._models.HandleReloadConfigRequest(request, timeout=seconds).status
    except grpc.RpcError as error:
      raise _not_there(self.address, f'{error.code().name} {error.details()}') from error
    if status.error_code:
      raise ServingError(
        f'{self.address}: expected the server to take the new config. Received: '
        f'{status.error_message or status.error_code}.'
      )
    return True

  def states(self, model: str) -> dict[int, State]:
    return self._states(model, '') or {}

  def answering(self, model: str, label: str) -> Answer | None:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.version_label = model, label
    request.inputs[signatures.IMAGE_BYTES].CopyFrom(tf.make_tensor_proto([_picture()]))
    try:
      response, call = self._predictions.Predict.with_call(request, timeout=_SECONDS)
    except grpc.RpcError as error:
      if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        raise _not_there(self.address, f'{error.code().name} {error.details()}') from error
      found = self._states(model, label) or {}
      return next((Answer(number, '', 'the status of the label') for number in found), None)
    trailing = dict(call.trailing_metadata() or ())
    version = response.model_spec.version.value
    return Answer(version, str(trailing.get(_SHA256, '')), 'an answer to a picture')

  def _states(self, model: str, label: str) -> dict[int, State] | None:
    import grpc
    from tensorflow_serving.apis import get_model_status_pb2

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = model
    if label:
      request.model_spec.version_label = label
    try:
      rows = self._models.GetModelStatus(request, timeout=_SECONDS).model_version_status
    except grpc.RpcError as error:
      if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
        return None
      raise _not_there(self.address, f'{error.code().name} {error.details()}') from error
    name = get_model_status_pb2.ModelVersionStatus.State.Name
    return {row.version: State(name(row.state), row.status.error_message) for row in rows}

  @functools.cached_property
  def _channel(self) -> Any:
    import grpc

    return grpc.insecure_channel(self.address)

  @functools.cached_property
  def _models(self) -> Any:
    from tensorflow_serving.apis import model_service_pb2_grpc

    return model_service_pb2_grpc.ModelServiceStub(self._channel)

  @functools.cached_property
  def _predictions(self) -> Any:
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    return prediction_service_pb2_grpc.PredictionServiceStub(self._channel)


def _rest_states(response: httpx.Response) -> dict[int, State]:
  if response.status_code != 200:
    return {}
  try:
    return {
      int(row['version']): State(row['state'], row['status'].get('error_message', ''))
      for row in response.json()['model_version_status']
    }
  except (ValueError, KeyError, TypeError) as error:
    raise ServingError(
      f'{response.url}: expected the status of a model. Received: {response.text[:200]}'
    ) from error


def _not_there(address: str, text: str) -> ServingError:
  return ServingError(
    f'{address}: expected a model server. Received: {text}. '
    'Start one with: sightline serve CONFIG, or name another with --server.'
  )


@functools.cache
def _picture() -> bytes:
  """Returns a small picture that any image model takes."""
  from PIL import Image

  stream = io.BytesIO()
  Image.radial_gradient('L').resize((32, 32)).convert('RGB').save(stream, 'PNG')
  return stream.getvalue()
