"""Reads the request log: a row an image, for statistics, comparison and replay."""

import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from schemas import signatures
from schemas.errors import DataError
from serving import log_files, request_record

REQUEST_ID = 'request_id'
TIME = 'time'
MODEL = 'model'
VERSION = 'version'
SIGNATURE = 'signature'
# As in the CSV of `sightline model diagnose`; `label` is what a person says.
PREDICTED = 'predicted'
IMAGE = 'image'
# By column: the output of the model that it holds.
_ANSWERED = {
  PREDICTED: signatures.PREDICTED_LABEL,
  **{
    name: name
    for name in (
      signatures.PROBABILITY,
      signatures.LOW_CONFIDENCE,
      signatures.OOD_SCORE,
      signatures.FOREIGN,
    )
  },
}
COLUMNS = (REQUEST_ID, TIME, MODEL, VERSION, SIGNATURE, *_ANSWERED, *request_record.MEASURED)


def frame(path: pathlib.Path | str) -> pd.DataFrame:
  """Returns a log as a table; TFDV's generate_statistics_from_dataframe takes it as it is.

  Args:
    path: the folder of the log, or one of its files.

  Returns:
    A row an image of a predict call, oldest file first: request_id, time (float, seconds
    since 1970), model, version (string), signature, predicted (the class), probability,
    low_confidence (0 or 1), ood_score, foreign (0 or 1), and the measurements by the
    names of schemas/features.py. A column of which nothing is known is left out.

  Raises:
    DataError: there is no whole file, or one is damaged.
  """
  table = pd.DataFrame(rows(path), columns=list(COLUMNS))
  table = table.dropna(axis='columns', how='all')
  for name in (signatures.LOW_CONFIDENCE, signatures.FOREIGN):
    if name in table and table[name].notna().all():
      table[name] = table[name].astype('int64')  # TFDV knows no bool.
  return table


def rows(path: pathlib.Path | str, images: bool = False) -> Iterator[dict[str, Any]]:
  """Yields a row an image, with the keys COLUMNS.

  Args:
    path: the folder of the log, or one of its files.
    images: adds `image`, the encoded bytes; None where the log holds no images.

  Raises:
    DataError: there is no whole file, or one is damaged.
  """
  for log in read(path):
    if log.WhichOneof('log_type') == 'predict_log':
      yield from _rows(log, images)


def read(path: pathlib.Path | str) -> Iterator[prediction_log_pb2.PredictionLog]:
  """Yields the records of a log, oldest file first.

  Raises:
    DataError: there is no whole file, or one is damaged.
  """
  path = pathlib.Path(path)
  files = [path] if path.is_file() else log_files.whole(path)
  if not files:
    raise DataError(
      f'{path}: expected a request log. Received: no file *{log_files.SUFFIX}. A file is complete '
      'after serve.request_log.minutes, or when the server stops.'
    )
  for file in files:
    try:
      for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        yield prediction_log_pb2.PredictionLog.FromString(record)
    except tf.errors.OpError as error:
      raise DataError(
        f'{file}: expected records of the request log. Received: {error.message}. '
        'Move the file away to read the others.'
      ) from error


def _rows(log: prediction_log_pb2.PredictionLog, images: bool) -> Iterator[dict[str, Any]]:
  metadata, response = log.log_metadata, log.predict_log.response
  spec = response.model_spec
  every: dict[str, Any] = {
    REQUEST_ID: metadata.request_origin,
    TIME: float(metadata.timestamp_secs),
    MODEL: spec.name,
    VERSION: str(spec.version.value),
    SIGNATURE: spec.signature_name,
  }
  columns = _ANSWERED | {name: name for name in request_record.MEASURED}
  found = {name: _values(response.outputs, output) for name, output in columns.items()}
  count = max((len(values) for values in found.values() if values), default=0)
  pictures = request_record.images_of(log.predict_log.request) if images else []
  for place in range(count):
    row = every | {
      name: values[place] if values and place < len(values) else None
      for name, values in found.items()
    }
    if images:
      row[IMAGE] = pictures[place] if place < len(pictures) else None
    yield row


def _values(outputs: Any, name: str) -> list[Any] | None:
  if name not in outputs:
    return None
  values: Iterable[Any] = tf.make_ndarray(outputs[name]).ravel().tolist()
  return [value.decode(errors='replace') if isinstance(value, bytes) else value for value in values]
