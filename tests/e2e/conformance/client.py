"""How the cases ask a server: plain HTTP, and TensorFlow Serving's own gRPC stubs."""

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
  get_model_status_pb2,
  model_management_pb2,
  model_service_pb2_grpc,
  predict_pb2,
  prediction_service_pb2_grpc,
)

RPC_SECONDS = 20.0


@dataclasses.dataclass
class Client:
  """One server and the folder of its models.

  Attributes:
    url: of REST.
    grpc_address: host and port of gRPC.
    folder: of the models, on this machine.
    base: the same folder as the server sees it.
    embedded: whether it is Sightline's own server.
    config_file: that it was started with and looks at again, if it does.
    socket_path: of its Unix socket, if it listens on one.
    log: what it wrote to stderr, if it was started here.
  """

  url: str
  grpc_address: str
  folder: pathlib.Path
  base: pathlib.PurePosixPath
  embedded: bool
  config_file: pathlib.Path | None = None
  socket_path: str = ''
  log: pathlib.Path | None = None

  def __post_init__(self):
    self._http = httpx.Client(base_url=self.url, timeout=RPC_SECONDS)
    # A request of 64 MiB and more is for the server to refuse.
    self.channel = grpc.insecure_channel(self.grpc_address, [('grpc.max_send_message_length', -1)])
    self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
    self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

  def close(self) -> None:
    self._http.close()
    self.channel.close()

  def get(self, path: str) -> httpx.Response:
    return self._http.get(path)

  def request(self, method: str, path: str, **given: Any) -> httpx.Response:
    return self._http.request(method, path, **given)

  def post(self, model_and_verb: str, body: Any) -> httpx.Response:
    """Posts to a model; a body of text or bytes goes as it is, anything else as JSON."""
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return self._http.post(f'/v1/models/{model_and_verb}', content=content)

  def answer(self, model_and_verb: str, body: Any) -> Any:
    """Returns the JSON of a request that is answered."""
    response = self.post(model_and_verb, body)
    assert response.status_code == 200, response.text
    assert response.headers['content-type'] == 'application/json'
    return response.json()

  def predict_y(self, name: str, x: float = 2.0, **spec: Any) -> tuple[float, int]:
    """Asks one of the half_plus models by gRPC; returns y and the version that answered."""
    response = self.predictions.Predict(predict_request(name, {'x': np.float32([x])}, **spec))
    return response.outputs['y'].float_val[0], response.model_spec.version.value

  def states(self, name: str) -> dict[int, str]:
    """Returns the state of every version of a model that the server knows."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = name
    rows = self.models.GetModelStatus(request, RPC_SECONDS).model_version_status
    return {row.version: _state_name(row.state) for row in rows}

  def reload(self, config) -> model_management_pb2.ReloadConfigResponse:
    request = model_management_pb2.ReloadConfigRequest(config=config)
    return self.models.HandleReloadConfigRequest(request, RPC_SECONDS)


def _state_name(state: int) -> str:
  return get_model_status_pb2.ModelVersionStatus.State.Name(state)


def predict_request(
  name: str,
  inputs: Mapping[str, Any],
  signature_name: str = '',
  version: int | None = None,
  label: str = '',
  output_filter: tuple[str, ...] = (),
) -> predict_pb2.PredictRequest:
  request = predict_pb2.PredictRequest()
  fill(request.model_spec, name, signature_name, version, label)
  for key, value in inputs.items():
    request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
  request.output_filter.extend(output_filter)
  return request


def fill(spec, name: str, signature_name: str = '', version: int | None = None, label: str = ''):
  spec.name = name
  spec.signature_name = signature_name
  if version is not None:
    spec.version.value = version
  if label:
    spec.version_label = label


def example(**features: Any) -> tf.train.Example:
  """A tf.Example of float, int and bytes features of one value each."""
  made = tf.train.Example()
  for name, value in features.items():
    feature = made.features.feature[name]
    if isinstance(value, bytes):
      feature.bytes_list.value.append(value)
    elif isinstance(value, int):
      feature.int64_list.value.append(value)
    else:
      feature.float_list.value.append(value)
  return made


def refused(call: Callable[[], Any], code: grpc.StatusCode) -> str:
  """Checks that a call of gRPC is refused with that code; returns what it is told."""
  with pytest.raises(grpc.RpcError) as told:
    call()
  assert told.value.code() is code, told.value.details()
  return told.value.details()


def error_of(response: httpx.Response, http_code: int) -> str:
  """Checks a refusal of REST: its code, and the one form that every body has."""
  assert response.status_code == http_code, response.text
  assert response.headers['content-type'] == 'application/json'
  body = response.json()
  assert list(body) == ['error']
  assert body['error']
  return body['error']


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
  """Asks again and again until something holds."""
  end = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < end, f'{what}: not within {seconds:g} seconds'
    time.sleep(0.02)
