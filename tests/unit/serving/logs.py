"""Records of the request log as a server makes them."""

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from schemas import signatures


def asked(images, labels=None, probabilities=None, version=7, inputs=None, **outputs):
  """A predict call with images as it is handed to the log: with all its bytes."""
  log = prediction_log_pb2.PredictionLog()
  request, response = log.predict_log.request, log.predict_log.response
  request.model_spec.name = response.model_spec.name = 'digits'
  response.model_spec.version.value = version
  response.model_spec.signature_name = signatures.SERVING_DEFAULT
  for name, value in (inputs or {signatures.IMAGE_BYTES: images}).items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
  n = len(images)
  answered = {
    signatures.PREDICTED_LABEL: labels or ['red'] * n,
    signatures.PROBABILITY: tf.constant(probabilities or [0.5] * n, tf.float32),
    signatures.LOW_CONFIDENCE: [False] * n,
    signatures.OOD_SCORE: tf.constant([0.25] * n, tf.float32),
    signatures.FOREIGN: [False] * n,
    **outputs,
  }
  for name, value in answered.items():
    response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
  return log
