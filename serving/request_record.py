"""One record of the request log: a PredictionLog that holds no picture unless it may.

What TensorFlow Serving's messages have no field for lies in these places:

- the request id in `log_metadata.request_origin`, a free text that nothing reads;
- what was measured of each image in `predict_log.response.outputs`, under the names that
  the training records use (`image/width`, ...), a value an image. So the request stays
  what was asked, and with its images it can be asked again, also as a warm-up of
  TensorFlow Serving.
"""

import functools
import hashlib
from collections.abc import Sequence

import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from models import decoder, image_file, measurements
from schemas import features, signatures

# By the key of the response's outputs: the dtype in which it is kept.
MEASURED = {
  features.IMAGE_ID: tf.string,
  features.IMAGE_FORMAT: tf.string,
  features.BYTES: tf.int64,
  features.WIDTH: tf.int64,
  features.HEIGHT: tf.int64,
  features.ASPECT: tf.float32,
  features.BRIGHTNESS: tf.float32,
  features.CONTRAST: tf.float32,
  features.SHARPNESS: tf.float32,
}


def complete(
  log: prediction_log_pb2.PredictionLog,
  request_id: str,
  timestamp: float,
  sampling_rate: float,
  keep_images: bool,
) -> prediction_log_pb2.PredictionLog:
  """Adds what a reader needs, and takes out what must not be kept.

  Args:
    log: what was asked and answered. Of a predict call the images are measured.
    request_id: of the request.
    timestamp: of the answer, seconds since 1970.
    sampling_rate: share of the requests that is logged, 0..1.
    keep_images: false: every input that holds text or bytes is removed, whatever its
      name, and every serialised example; numbers stay.

  Returns:
    A message of its own.
  """
  made = prediction_log_pb2.PredictionLog()
  made.CopyFrom(log)
  metadata = made.log_metadata
  metadata.request_origin = request_id
  metadata.timestamp_secs = int(timestamp)
  metadata.sampling_config.sampling_rate = sampling_rate
  kind = made.WhichOneof('log_type')
  if kind == 'predict_log':
    metadata.model_spec.CopyFrom(made.predict_log.response.model_spec)
    images = images_of(made.predict_log.request)
    _add_measured(made.predict_log.response, images)
    if not keep_images:
      _remove_bytes(made.predict_log.request)
  elif kind in ('classify_log', 'regress_log', 'multi_inference_log'):
    part = getattr(made, kind)
    if kind != 'multi_inference_log':
      metadata.model_spec.CopyFrom(part.response.model_spec)
    if not keep_images:
      part.request.ClearField('input')
  return made


def images_of(request: predict_pb2.PredictRequest) -> list[bytes]:
  """Returns the encoded images of a request, in its order; [] where it holds none."""
  if signatures.IMAGE_BYTES in request.inputs:
    return list(tf.make_ndarray(request.inputs[signatures.IMAGE_BYTES]).ravel())
  if signatures.EXAMPLES in request.inputs:
    records = tf.make_ndarray(request.inputs[signatures.EXAMPLES]).ravel()
    return [_image_of(tf.train.Example.FromString(record)) for record in records]
  return []


def _image_of(example: tf.train.Example) -> bytes:
  # Asked first: looking a key up would add it.
  if features.IMAGE not in example.features.feature:
    return b''
  return b''.join(example.features.feature[features.IMAGE].bytes_list.value[:1])


def _remove_bytes(request: predict_pb2.PredictRequest) -> None:
  for name in [
    name for name, tensor in request.inputs.items() if tensor.dtype == types_pb2.DT_STRING
  ]:
    del request.inputs[name]


def _add_measured(response: predict_pb2.PredictResponse, images: Sequence[bytes]) -> None:
  rows = [_measure(data) for data in images]
  if not rows:
    return
  for name, dtype in MEASURED.items():
    values = [row[name] for row in rows]
    response.outputs[name].CopyFrom(tf.make_tensor_proto(values, dtype))


def _measure(data: bytes) -> dict[str, bytes | float]:
  """Measures an image as ingest does; what cannot be decoded has no size and no measures."""
  row: dict[str, bytes | float] = {
    name: b'' if dtype == tf.string else 0 if dtype == tf.int64 else float('nan')
    for name, dtype in MEASURED.items()
  }
  row[features.IMAGE_ID] = hashlib.sha256(data).hexdigest().encode()
  row[features.BYTES] = len(data)
  try:
    prepared = image_file.prepare(data)
    pixels = _decode()(prepared.encoded).numpy()
  except (image_file.ImageFileError, tf.errors.OpError):
    return row
  measured = measurements.measure(pixels)
  height, width = pixels.shape[:2]
  return row | {
    features.IMAGE_FORMAT: prepared.header.format.encode(),
    features.WIDTH: width,
    features.HEIGHT: height,
    features.ASPECT: width / height,
    features.BRIGHTNESS: measured.brightness,
    features.CONTRAST: measured.contrast,
    features.SHARPNESS: measured.sharpness,
  }


@functools.cache
def _decode():
  # Traced once: eager, each of its operations would be dispatched by Python.
  return tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])
