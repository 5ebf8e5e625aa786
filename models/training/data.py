"""What a training reads: the records of train and val, and what Transform found out."""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import records
from models.training import input_pipeline
from schemas import features


class TrainingData:
  """The records of train and val, and what Transform found out about train."""

  def __init__(self, train: Sequence[str], val: Sequence[str], transform: tft.TFTransformOutput):
    self.train = records.count(train)
    self.val = records.count(val)
    self.transform = transform
    self.transform_layer = transform.transform_features_layer()
    self.labels = [
      label.decode() for label in transform.vocabulary_by_name(features.LABEL_VOCABULARY)
    ]
    self.parse_batch = input_pipeline.parse(
      transform.raw_feature_spec(), lambda raw: self.transform_layer(raw)
    )

  def pixel_statistics(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and variance that the transform graph holds: float32 [3] each."""
    one = next(iter(records.read_records(self.train.files).batch(1)))
    raw = tf.io.parse_example(one, self.transform.raw_feature_spec())
    out = self.transform_layer(raw)
    return out[features.PIXEL_MEAN][0].numpy(), out[features.PIXEL_VARIANCE][0].numpy()

  @functools.cached_property
  def label_ids(self) -> np.ndarray:
    """The label ids of train in file order: int64 [n]. Reads all of it, decodes none."""
    batched = records.read_records(self.train.files).batch(256)
    # In a map, where the part of the graph that nobody asks for is left out.
    ids = batched.map(lambda serialized: self.parse_batch(serialized)[1])
    return np.concatenate([part.numpy() for part in ids]).astype(np.int64)

  @functools.cached_property
  def sha256(self) -> str:
    """Of the records and of what Transform found: what a checkpoint must have been made from."""
    digest = hashlib.sha256(repr((self.labels, *map(list, self.pixel_statistics()))).encode())
    for file in (*self.train.files, *self.val.files):
      with open(file, 'rb') as stream:
        digest.update(hashlib.file_digest(stream, 'sha256').digest())
    return digest.hexdigest()
