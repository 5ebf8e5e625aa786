"""Runs a model over a split once and stores what it answered."""

import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from components.evaluator import looks
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


class Written(NamedTuple):
  """What `write` left.

  Attributes:
    path: predictions.parquet.
    images_sha256: of the images and their labels: another one is another test set.
    from_record: whether what the candidate says comes from an earlier look.
  """

  path: pathlib.Path
  images_sha256: str
  from_record: bool


def write(
  folder: pathlib.Path,
  patterns: Sequence[str],
  candidate: pathlib.Path,
  baseline: pathlib.Path | None,
  record: looks.Record | None = None,
) -> Written:
  """Writes predictions.parquet; each model runs over the images once, or not at all.

  Args:
    folder: where to.
    patterns: of the record files.
    candidate: its export.
    baseline: that of the model in service, or None; its columns are then null.
    record: of earlier looks: what a model said there it is not asked again.

  Returns:
    The file: one row an image in file order; `image_id` and `label` string,
    `label_id` int64 by the candidate's vocabulary, `candidate` and `baseline`
    float32 [K] probabilities, each by the vocabulary of the candidate, and
    `baseline_label` string, what the model in service says by its own vocabulary, and
    `leak` string: whether another split holds a copy, null where records do not say.
  """
  record = record or looks.Record(None)
  files = records.record_files(patterns)
  model = tf.saved_model.load(str(candidate))
  images = _identify(model, files)
  sha256 = looks.images_sha256(list(zip(images['image_id'], images['label'], strict=True)))
  answers, known = record.answers(sha256, candidate, lambda: _ask(model, files))
  table = {**images, 'candidate': list(answers)}
  if baseline is None:
    table |= dict.fromkeys(('baseline', 'baseline_label'), [None] * len(answers))
  else:
    theirs, _ = record.answers(
      sha256, baseline, lambda: _ask(tf.saved_model.load(str(baseline)), files)
    )
    names = labels(baseline)
    table['baseline'] = list(_reorder(theirs, names, labels(candidate)))
    table['baseline_label'] = [names[row.argmax()] for row in theirs]
  path = folder / FILE
  pq.write_table(pa.table(table, schema=_SCHEMA), path)
  return Written(path, sha256, known)


def _ask(model, files: Sequence[str]) -> np.ndarray:
  """Returns what a model says of every record: float32 [N, K]."""
  classify = model.signatures[signatures.SERVING_EXAMPLES]
  found = [
    classify(batch)[signatures.PROBABILITIES].numpy()
    for batch in records.read_records(files).batch(_BATCH)
  ]
  return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def _identify(model, files: Sequence[str]) -> dict[str, list]:
  """Returns ids, labels, label ids and leaks of all records, by column."""
  transform = model.signatures[signatures.TRANSFORM_FEATURES]
  columns: dict[str, list] = {'image_id': [], 'label': [], 'label_id': [], 'leak': []}
  for batch in records.read_records(files).batch(_BATCH):
    columns['label_id'] += transform(batch)[features.LABEL_ID].numpy().reshape(-1).tolist()
    for row in _rows(batch):
      for name, value in zip(('image_id', 'label', 'leak'), row, strict=True):
        columns[name].append(value)
  return columns


def _rows(batch: tf.Tensor) -> Iterator[tuple[str, str, str | None]]:
  for record in batch.numpy():
    feature = tf.train.Example.FromString(record).features.feature
    yield (
      feature[features.IMAGE_ID].bytes_list.value[0].decode(),
      feature[features.LABEL].bytes_list.value[0].decode(),
      feature[features.LEAK].bytes_list.value[0].decode() if features.LEAK in feature else None,
    )


def _reorder(answers: np.ndarray, theirs: list[str], ours: list[str]) -> np.ndarray:
  """Returns answers in the candidate's order; a label that only one knows has probability 0."""
  result: np.ndarray = np.zeros((len(answers), len(ours)), np.float32)
  position = {label: index for index, label in enumerate(theirs)}
  for index, label in enumerate(ours):
    if label in position:
      result[:, index] = answers[:, position[label]]
  return result


def image_ids(predicted: pathlib.Path) -> list[str]:
  """Returns the ids of the images that predictions.parquet holds, in its order."""
  return pq.read_table(predicted, columns=['image_id'])['image_id'].to_pylist()


def labels(export: pathlib.Path) -> list[str]:
  """Returns the labels of an export by id."""
  return weights_hash.read_identity(export)['labels']
