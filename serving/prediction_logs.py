"""Requests and answers as TensorFlow Serving's PredictionLog, as its request log has them."""

import tensorflow as tf
from tensorflow_serving.apis import (
  classification_pb2,
  input_pb2,
  prediction_log_pb2,
  regression_pb2,
)

from serving.calls import Answer, fill_spec


def of_predict(answer: Answer) -> prediction_log_pb2.PredictionLog:
  """Returns an answer of Inference.predict, with its inputs."""
  log = prediction_log_pb2.PredictionLog()
  predicted = log.predict_log
  for spec in (predicted.request.model_spec, predicted.response.model_spec):
    fill_spec(spec, answer)
  for name, array in answer.inputs.items():
    predicted.request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
  for name, array in answer.outputs.items():
    predicted.response.outputs[name].CopyFrom(tf.make_tensor_proto(array))
  return log


def of_classify(
  answer: Answer, given: input_pb2.Input, result: classification_pb2.ClassificationResult
) -> prediction_log_pb2.PredictionLog:
  """Returns an answer of Inference.classify."""
  log = prediction_log_pb2.PredictionLog()
  log.classify_log.request.input.CopyFrom(given)
  log.classify_log.response.result.CopyFrom(result)
  for spec in (log.classify_log.request.model_spec, log.classify_log.response.model_spec):
    fill_spec(spec, answer)
  return log


def of_regress(
  answer: Answer, given: input_pb2.Input, result: regression_pb2.RegressionResult
) -> prediction_log_pb2.PredictionLog:
  """Returns an answer of Inference.regress."""
  log = prediction_log_pb2.PredictionLog()
  log.regress_log.request.input.CopyFrom(given)
  log.regress_log.response.result.CopyFrom(result)
  for spec in (log.regress_log.request.model_spec, log.regress_log.response.model_spec):
    fill_spec(spec, answer)
  return log
