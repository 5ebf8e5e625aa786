"""Asks a served model about images, by gRPC, with the official stubs.

  pip install tensorflow-serving-api
  python examples/clients/ask_grpc.py 127.0.0.1:8500 digits image.png ...

Prints for each the label, its probability and the version that answered.
"""

import pathlib
import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def ask(channel: grpc.Channel, model: str, images: list[bytes]) -> predict_pb2.PredictResponse:
  """Returns the answers about the images."""
  request = predict_pb2.PredictRequest()
  request.model_spec.name = model
  # Instead of the newest: request.model_spec.version_label = 'stable'
  request.inputs['image_bytes'].CopyFrom(tf.make_tensor_proto(images))
  stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
  return stub.Predict(request, timeout=30)


if __name__ == '__main__':
  address, model, *paths = sys.argv[1:]
  with grpc.insecure_channel(address) as channel:
    try:
      answer = ask(channel, model, [pathlib.Path(path).read_bytes() for path in paths])
    except grpc.RpcError as error:
      sys.exit(f'{error.code().name}: {error.details()}')
  labels = tf.make_ndarray(answer.outputs['label'])
  probabilities = tf.make_ndarray(answer.outputs['probability'])
  for label, probability in zip(labels, probabilities, strict=True):
    print(label.decode(), probability, 'version', answer.model_spec.version.value)
