"""Runs a model over a split once and stores what it answered."""

import pathlib
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from models import records
from schemas import features, signatures, weights_hash

FILE = 'predictions.parquet'
_BATCH = 64
_SCHEMA = pa.schema(
  [
    ('image_id', pa.string()),
    ('label', pa.string()),
    ('label_id', pa.int64()),
    ('candidate', pa.list_(pa.float32())),
    ('baseline', pa.list_(pa.float32())),
    ('baseline_label', pa.string()),
    ('leak', pa.string()),
  ]
)


def write(
  folder: pathlib.Path,
  patterns: Sequence[str],
  candidate: pathlib.Path,
  baseline: pathlib.Path | None,
) -> pathlib.Path:
  """Writes predictions.parquet.

  Args:
    folder: where to.
    patterns: of the record files.
    candidate: its export.
    baseline: that of the model in service, or None; its columns are then null.

  Returns:
    The file: one row an image in file order; `image_id` and `label` string,
    `label_id` int64 by the candidate's vocabulary, `candidate` and `baseline`
    float32 [K] probabilities, each by the vocabulary of the candidate, and
    `baseline_label` string, what the model in service says by its own vocabulary, and
    `leak` string: whether another split holds a copy, null where records do not say.
  """
  path = folder / FILE
  files = records.record_files(patterns)
  model = tf.saved_model.load(str(candidate))
  other = _Baseline(candidate, baseline) if baseline else None
  with pq.ParquetWriter(path, _SCHEMA) as writer:
    for batch in records.read_records(files).batch(_BATCH):
      ids, labels, leaks = zip(*_identify(batch), strict=True)
      answers, says = other.answer(batch) if other else ([None] * len(ids), [None] * len(ids))
      rows = {
        'image_id': ids,
        'label': labels,
        'label_id': _label_ids(model, batch),
        'candidate': list(_probabilities(model, batch)),
        'baseline': answers,
        'baseline_label': says,
        'leak': leaks,
      }
      writer.write_table(pa.table(rows, schema=_SCHEMA))
  return path


def _probabilities(model, batch: tf.Tensor) -> np.ndarray:
  answer = model.signatures[signatures.SERVING_EXAMPLES](batch)
  return answer[signatures.PROBABILITIES].numpy()


def _label_ids(model, batch: tf.Tensor) -> np.ndarray:
  answer = model.signatures[signatures.TRANSFORM_FEATURES](batch)
  return answer[features.LABEL_ID].numpy().reshape(-1)


def _identify(batch: tf.Tensor) -> Iterator[tuple[str, str, str | None]]:
  for record in batch.numpy():
    feature = tf.train.Example.FromString(record).features.feature
    yield (
      feature[features.IMAGE_ID].bytes_list.value[0].decode(),
      feature[features.LABEL].bytes_list.value[0].decode(),
      feature[features.LEAK].bytes_list.value[0].decode() if features.LEAK in feature else None,
    )


class _Baseline:
  """The model in service, answering in the candidate's order of labels.

  A label that one of the two does not know has probability 0.
  """

  def __init__(self, candidate: pathlib.Path, baseline: pathlib.Path):
    self._model = tf.saved_model.load(str(baseline))
    self._ours = labels(candidate)
    self._theirs = labels(baseline)
    self._position = {label: index for index, label in enumerate(self._theirs)}

  def answer(self, batch: tf.Tensor) -> tuple[list[np.ndarray], list[str]]:
    rows = _probabilities(self._model, batch)
    return [self._reorder(row) for row in rows], [self._theirs[row.argmax()] for row in rows]

  def _reorder(self, row: np.ndarray) -> np.ndarray:
    return np.array(
      [row[self._position[label]] if label in self._position else 0.0 for label in self._ours],
      np.float32,
    )


def image_ids(predicted: pathlib.Path) -> list[str]:
  """Returns the ids of the images that predictions.parquet holds, in its order."""
  return pq.read_table(predicted, columns=['image_id'])['image_id'].to_pylist()


def labels(export: pathlib.Path) -> list[str]:
  """Returns the labels of an export by id."""
  return weights_hash.read_identity(export)['labels']
