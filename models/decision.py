"""What an export says beside its probabilities: how sure it is, and whom a person should see.

Tuned on val by models/training/calibration.py, and part of the export: whoever serves it
answers as it was tuned, without a second implementation that could differ.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from schemas import signatures


@dataclasses.dataclass(frozen=True)
class Decision:
  """How logits become an answer.

  Attributes:
    temperature: what logits are divided by; above 0. The most likely class stays the same.
    thresholds: of each class by its id: an answer of this class whose probability is lower
      is flagged.
    ood_limit: the ood_score above which an image is foreign; None where none is.
  """

  temperature: float
  thresholds: tuple[float, ...]
  ood_limit: float | None = None

  def __post_init__(self):
    if not (math.isfinite(self.temperature) and self.temperature > 0):
      raise ValueError(f'temperature: expected a number above 0. Received: {self.temperature}')
    if self.ood_limit is not None and not math.isfinite(self.ood_limit):
      raise ValueError(f'ood_limit: expected a finite number. Received: {self.ood_limit}')

  @classmethod
  def plain(cls, classes: int) -> 'Decision':
    """Returns one that changes nothing and flags nothing."""
    return cls(1.0, (0.0,) * classes)

  @classmethod
  def read(cls, identity: Mapping[str, Any]) -> 'Decision':
    """Reads it from the identity of an export; plain in what that is too old to know."""
    found = identity.get('decision')
    if found is None:
      return cls.plain(len(identity['labels']))
    return cls(found['temperature'], tuple(found['thresholds']), found.get('ood_limit'))


def answer(
  decision: Decision, logits: tf.Tensor, ood_score: tf.Tensor, labels: list[str]
) -> dict[str, tf.Tensor]:
  """Returns the outputs of a signature; a graph of plain TensorFlow operations.

  Args:
    decision: of K classes.
    logits: float32 [N, K].
    ood_score: float32 [N], as models/known_images.py has it.
    labels: the K names by id.

  Returns:
    signatures.OUTPUTS: `probabilities` float32 [N, K], `class_id` int64 [N], `label`
    string [N], `probability` float32 [N] of that label, `low_confidence` bool [N],
    `ood_score` float32 [N], and `foreign` bool [N].
  """
  probabilities = tf.nn.softmax(logits / decision.temperature)
  # Of the logits: two probabilities may round to the same number.
  class_id = tf.argmax(logits, axis=-1, output_type=tf.int64)
  probability = tf.reduce_max(probabilities, axis=-1)
  thresholds = tf.constant(decision.thresholds, tf.float32)
  if decision.ood_limit is None:
    foreign = tf.zeros_like(ood_score, tf.bool)
  else:
    foreign = ood_score > tf.constant(decision.ood_limit, tf.float32)
  return {
    signatures.PROBABILITIES: probabilities,
    signatures.CLASS_ID: class_id,
    signatures.PREDICTED_LABEL: tf.gather(tf.constant(labels), class_id),
    signatures.PROBABILITY: probability,
    signatures.LOW_CONFIDENCE: probability < tf.gather(thresholds, class_id),
    signatures.OOD_SCORE: ood_score,
    signatures.FOREIGN: foreign,
  }
