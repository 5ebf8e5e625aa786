"""A model server as far as a rollout asks it, by the official stubs: it loads, slowly.

It keeps TensorFlow Serving's rule: a config whose label names a version that is not
AVAILABLE is refused.
"""

import concurrent.futures

import grpc
from tensorflow_serving.apis import (
  get_model_status_pb2,
  model_management_pb2,
  model_service_pb2_grpc,
)

_STATE = get_model_status_pb2.ModelVersionStatus.State


class SlowServer(model_service_pb2_grpc.ModelServiceServicer):
  """A version becomes AVAILABLE after it was asked about a few times.

  Attributes:
    address: HOST:PORT.
    configs: what it was told, in order.
    refused: texts of its refusals.
    broken: versions that it cannot load.
    labels: version by label.
  """

  def __init__(self, asks=3, broken=()):
    self.configs, self.refused, self.broken = [], [], set(broken)
    self.labels = {}
    self._asks, self._left = asks, {}
    self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
    self.address = f'127.0.0.1:{self._server.add_insecure_port("127.0.0.1:0")}'

  def __enter__(self):
    self._server.start()
    return self

  def __exit__(self, *_):
    self._server.stop(None)

  @property
  def loaded(self):
    return {version for version, left in self._left.items() if left <= 0}

  def HandleReloadConfigRequest(self, request, context):
    self.configs.append(request.config)
    (model,) = request.config.model_config_list.config
    wanted = set(model.model_version_policy.specific.versions)
    unready = set(model.version_labels.values()) - self.loaded
    answer = model_management_pb2.ReloadConfigResponse()
    self._left = {version: self._left.get(version, self._asks) for version in wanted}
    if unready:
      self.refused.append(f'labels for {sorted(unready)}')
      answer.status.error_code = 9
      answer.status.error_message = f'version {sorted(unready)} is not available'
    else:
      self.labels = dict(model.version_labels)
    return answer

  def GetModelStatus(self, request, context):
    label = request.model_spec.version_label
    if label and label not in self.labels:
      context.abort(grpc.StatusCode.INVALID_ARGUMENT, f'Unrecognized label: {label}')
    answer = get_model_status_pb2.GetModelStatusResponse()
    for version in sorted(self._left):
      if version not in self.broken:
        self._left[version] -= 1
      if label and self.labels[label] != version:
        continue
      row = answer.model_version_status.add(version=version)
      row.state = _STATE.AVAILABLE if version in self.loaded else _STATE.LOADING
      if version in self.broken:
        row.state = _STATE.END
        row.status.error_message = 'no such variable'
    return answer
