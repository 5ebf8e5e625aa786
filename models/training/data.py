"""What a training reads: the records of train and val, and what Transform found out."""

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
