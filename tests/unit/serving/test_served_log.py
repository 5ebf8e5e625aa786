"""What the server answers is in its request log, whichever protocol it was asked by."""

import base64
import contextlib
import shutil

import grpc
import httpx
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
  classification_pb2,
  predict_pb2,
  prediction_log_pb2,
  prediction_service_pb2_grpc,
)

from serving.request_log import RequestLog
from tests.unit.serving import exports


def records(folder):
  files = sorted(str(path) for path in folder.iterdir() if path.is_file())
  return [
    prediction_log_pb2.PredictionLog.FromString(record)
    for record in tf.data.TFRecordDataset(files).as_numpy_iterator()
  ]


@pytest.fixture
def served(tmp_path, image_model):
  """Returns served(**settings of the log): a server and the folder of its log."""
  shutil.copytree(image_model, tmp_path / 'm/7')

  @contextlib.contextmanager
  def served(**settings):
    with contextlib.closing(RequestLog(tmp_path / 'log', **settings)) as log:
      with exports.served(tmp_path / 'm', 'm', log=log) as running:
        yield running, tmp_path / 'log'

  return served


def test_both_protocols_are_logged_with_who_answered(served):
  image = exports.encoded(3)
  with served(sampling_rate=1.0, images=True) as (server, folder):
    body = {'instances': [{'b64': base64.b64encode(image).decode()}]}
    rest = httpx.post(f'{server.url}/v1/models/m:predict', json=body)
    assert rest.status_code == 200
    request = predict_pb2.PredictRequest(output_filter=['label'])
    request.model_spec.name = 'm'
    request.inputs['image_bytes'].CopyFrom(tf.make_tensor_proto([image]))
    with grpc.insecure_channel(f'127.0.0.1:{server.grpc_port}') as channel:
      prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request)
    refused = httpx.post(f'{server.url}/v1/models/m:predict', json={'instances': ['x']})
    assert refused.status_code == 400
  found = records(folder)
  assert len(found) == 2  # A refusal is no answer.
  for log in found:
    logged = log.predict_log
    assert logged.response.model_spec.version.value == 7
    assert tf.make_ndarray(logged.request.inputs['image_bytes']).tolist() == [image]
    probabilities = tf.make_ndarray(logged.response.outputs['probabilities'])[0]
    assert probabilities.tolist() == pytest.approx(
      rest.json()['predictions'][0]['probabilities'], abs=1e-6
    )


def test_nothing_is_logged_that_is_not_drawn_and_the_metrics_say_how_much_was(served):
  with served(sampling_rate=0.5) as (server, folder):
    body = {'instances': [{'b64': base64.b64encode(exports.encoded(3)).decode()}]}
    for number in range(20):
      headers = {'x-request-id': f'request-{number}'}
      httpx.post(f'{server.url}/v1/models/m:predict', json=body, headers=headers)
    text = httpx.get(f'{server.url}/monitoring/prometheus/metrics').text
    assert ':sightline:serving:request_log_written_count' in text
    assert ':sightline:serving:request_log_dropped_count 0.0' in text
  found = records(folder)
  assert 2 < len(found) < 18
  # Without leave the picture itself is not kept.
  assert not any(exports.encoded(3) in log.SerializeToString() for log in found)


def test_a_classification_is_logged_as_one(tmp_path):
  path = tmp_path / 'c/1'

  class Classifier(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, 'inputs')])
    def classify(self, inputs):
      return {'scores': tf.fill([tf.shape(inputs)[0], 2], 0.5)}

  module = Classifier()
  tf.saved_model.save(module, str(path), {'serving_default': module.classify})
  with contextlib.closing(RequestLog(tmp_path / 'log', 1.0)) as log:
    with exports.served(tmp_path / 'c', 'c', log=log) as server:
      request = classification_pb2.ClassificationRequest()
      request.model_spec.name = 'c'
      request.input.example_list.examples.add()
      with grpc.insecure_channel(f'127.0.0.1:{server.grpc_port}') as channel:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Classify(request)
  (found,) = records(tmp_path / 'log')
  scores = found.classify_log.response.result.classifications[0].classes
  assert [one.score for one in scores] == [0.5, 0.5]
