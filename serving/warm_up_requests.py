"""The requests that an export brings along to be warmed with.

TensorFlow Serving's SavedModel Warmup: assets.extra/tf_serving_warmup_requests holds
PredictionLog records, which are replayed before the version answers anybody.
"""

import pathlib
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from google.protobuf import message
from tensorflow_serving.apis import prediction_log_pb2

from schemas import signatures
from schemas.errors import ExportError
from serving import example_calls
from serving.servable import Servable

FILE = f'{signatures.EXTRA_FOLDER}/{signatures.WARM_UP_FILE}'
MOST = 1000

Request = tuple[str, Mapping[str, np.ndarray]]


def replay(servable: Servable) -> int:
  """Runs every request of the file, if there is one.

  Returns:
    How many there were.

  Raises:
    ExportError: the file cannot be read, or holds more than 1,000 records or other ones.
    ServingError, tf.errors.OpError: the model does not answer one of them.
  """
  path = servable.path / FILE
  if not path.is_file():
    return 0
  count = 0
  for log in _records(path):
    for signature_name, inputs in _requests(log):
      servable.run(signature_name, inputs)
    count += 1
  return count


def _records(path: pathlib.Path) -> Iterator[prediction_log_pb2.PredictionLog]:
  try:
    for number, record in enumerate(tf.data.TFRecordDataset(str(path)).as_numpy_iterator()):
      if number == MOST:
        raise ExportError(f'{path}: expected at most {MOST} records. Received: more.')
      yield prediction_log_pb2.PredictionLog.FromString(record)
  except (message.DecodeError, tf.errors.OpError) as error:
    raise ExportError(f'{path}: expected TFRecords of PredictionLog. Received: {error}.') from error


def _requests(log: prediction_log_pb2.PredictionLog) -> Iterator[Request]:
  kind = log.WhichOneof('log_type')
  if kind == 'predict_log':
    request = log.predict_log.request
    yield (
      _name(request.model_spec),
      {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()},
    )
  elif kind in ('classify_log', 'regress_log'):
    request = getattr(log, kind).request
    yield _name(request.model_spec), {example_calls.INPUTS: example_calls.records(request.input)}
  elif kind == 'multi_inference_log':
    request = log.multi_inference_log.request
    records = example_calls.records(request.input)
    for task in request.tasks:
      yield _name(task.model_spec), {example_calls.INPUTS: records}
  else:
    raise ExportError(f'Unsupported log_type for warmup: {kind}')


def _name(model_spec) -> str:
  return model_spec.signature_name or signatures.SERVING_DEFAULT
