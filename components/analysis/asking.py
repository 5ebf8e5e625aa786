"""Asking a model about encoded pictures: the export's serving_default, or what stands for it."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from schemas import signatures

# Pictures in one call: of 448 x 448 pixels these are decoded in less than 100 MB.
BATCH = 64


@dataclasses.dataclass(frozen=True)
class Answers:
  """What a model says of N pictures.

  Attributes:
    class_id: int64 [N].
    probability: float32 [N], of that class.
    unsure: bool [N], flagged low_confidence: a person should look.
  """

  class_id: np.ndarray
  probability: np.ndarray
  unsure: np.ndarray


Ask = Callable[[Sequence[bytes]], Answers]


def of_model(loaded) -> Ask:
  """Returns what asks the signature serving_default of a SavedModel.

  Its batch dimension is open: TensorFlow traces nothing anew for a last, smaller batch.

  Args:
    loaded: what tf.saved_model.load returned.
  """

  def ask(pictures: Sequence[bytes]) -> Answers:
    parts = []
    for start in range(0, len(pictures), BATCH):
      batch = tf.constant(list(pictures[start : start + BATCH]), tf.string)
      # Through the model each time: a function alone does not keep its variables.
      answer = loaded.signatures[signatures.SERVING_DEFAULT](**{signatures.IMAGE_BYTES: batch})
      names = (signatures.CLASS_ID, signatures.PROBABILITY, signatures.LOW_CONFIDENCE)
      parts.append([answer[name].numpy() for name in names])
    return Answers(*(np.concatenate(part) for part in zip(*parts, strict=True)))

  return ask
