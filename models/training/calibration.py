"""Tunes on val what the export says of itself: its temperature, and who is flagged.

Val chose the best epoch, too, so that what is tuned on it is a little hopeful. The
Evaluator says on test what it came to.
"""

import dataclasses

import numpy as np
import scipy.optimize
import scipy.special

from models.decision import Decision
from models.training import familiarity
from schemas.config import DecisionConfig

# Of the temperature.
_LOWEST, _HIGHEST = 0.05, 20.0


@dataclasses.dataclass(frozen=True)
class Tuned:
  """A decision, and how it was come to.

  Attributes:
    decision: for the export.
    review_threshold: of all answers on val together: of the classes without one of their own.
    own: names of the classes that have a threshold of their own.
    log_loss: on val without the temperature, and with it.
    flagged: share of val that is flagged.
    accepted_accuracy: on the rest of val; None where nothing is left.
  """

  decision: Decision
  review_threshold: float
  own: tuple[str, ...]
  log_loss: tuple[float, float]
  flagged: float
  accepted_accuracy: float | None


def tune(
  config: DecisionConfig,
  logits: np.ndarray,
  label_ids: np.ndarray,
  ood_scores: np.ndarray,
  labels: list[str],
) -> Tuned:
  """Finds temperature, thresholds and the limit of what is foreign.

  Args:
    config: what is asked of them.
    logits: float [N, K] of val.
    label_ids: int [N], the truth.
    ood_scores: float [N], how foreign each is.
    labels: the K names.
  """
  heat = temperature(logits, label_ids) if config.calibrate else 1.0
  probabilities = scipy.special.softmax(logits.astype(np.float64) / heat, axis=1)
  answers = logits.argmax(axis=1)
  probability = probabilities.max(axis=1)
  right = answers == label_ids
  thresholds: dict[int, float] = {}
  if config.review_threshold is not None:
    review = config.review_threshold
  else:
    review = threshold(probability, right, config)
    enough = [k for k in range(len(labels)) if (answers == k).sum() >= config.class_images]
    thresholds = {
      k: threshold(probability[answers == k], right[answers == k], config) for k in enough
    }
  by_class = np.array([thresholds.get(k, review) for k in range(len(labels))])
  accepted = probability >= by_class[answers]
  return Tuned(
    Decision(
      heat,
      tuple(float(one) for one in by_class),
      familiarity.limit(ood_scores, config.foreign_share),
    ),
    float(review),
    tuple(labels[k] for k in thresholds),
    (log_loss(logits, label_ids, 1.0), log_loss(logits, label_ids, heat)),
    float(1 - accepted.mean()),
    float(right[accepted].mean()) if accepted.any() else None,
  )


def temperature(logits: np.ndarray, label_ids: np.ndarray) -> float:
  """Returns what logits are to be divided by for the lowest log loss (Guo et al., 2017).

  A network that is right on all of N images would want 0, and be certain of whatever it
  says. As in Platt (1999), a share of 1 / (N + 2) is kept for the other classes: that N
  images were right says no more.

  Args:
    logits: float [N, K].
    label_ids: int [N], the truth.

  Returns:
    A number from 0.05 to 20.
  """
  classes = logits.shape[1]
  kept = 1 / (len(label_ids) + 2)
  targets: np.ndarray = np.full(logits.shape, kept / max(classes - 1, 1))
  targets[np.arange(len(label_ids)), label_ids] = 1 - kept

  def loss(exponent: float) -> float:
    logs = scipy.special.log_softmax(logits.astype(np.float64) / np.exp(exponent), axis=1)
    return float(-(targets * logs).sum(axis=1).mean())

  # It has one minimum in 1 / T, and so in the logarithm of T.
  found = scipy.optimize.minimize_scalar(
    loss,
    bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
    method='bounded',
    options={'xatol': 1e-6},
  )
  return float(np.exp(found.x))


def log_loss(logits: np.ndarray, label_ids: np.ndarray, heat: float) -> float:
  """Returns the mean negative log-likelihood at a temperature, in nats."""
  logs = scipy.special.log_softmax(logits.astype(np.float64) / heat, axis=1)
  return float(-logs[np.arange(len(label_ids)), label_ids].mean())


def threshold(probability: np.ndarray, right: np.ndarray, config: DecisionConfig) -> float:
  """Returns the lowest threshold above which answers are right as often as is asked.

  It lies in the middle between two probabilities that were seen. Where no threshold is
  enough, it is above 1: everything is flagged.

  Args:
    probability: float [N], of the answers.
    right: bool [N], whether each is right.
    config: accepted_accuracy, and least_threshold, below which no threshold goes.
  """
  order = np.argsort(-probability, kind='stable')
  sorted_probability = probability[order]
  shares = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
  # A threshold cannot part equal probabilities.
  last: np.ndarray = np.append(sorted_probability[1:] < sorted_probability[:-1], True)
  enough = np.flatnonzero((shares >= config.accepted_accuracy) & last)
  if not len(enough):
    return 2.0
  end = int(enough[-1])
  if end + 1 == len(order):
    return config.least_threshold
  middle = (sorted_probability[end] + sorted_probability[end + 1]) / 2
  return max(float(middle), config.least_threshold)
