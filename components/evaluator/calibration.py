"""How honest the probabilities are on test, and what the review threshold leaves to people."""

import numpy as np

from components.evaluator import metrics
from models.decision import Decision

_BINS = 15


def measure(decision: Decision, label_ids: np.ndarray, probabilities: np.ndarray) -> dict:
  """Measures what was tuned on val.

  Args:
    decision: of the export.
    label_ids: int64 [N], the truth.
    probabilities: float [N, K], as the export answered, with its temperature in them.

  Returns:
    `temperature`; `ece_before` and `ece_after` it; `brier` (after it); `reliability`, a
    row a bin that is not empty: n, confidence and accuracy (after it); `flagged`, the
    share of the images that is left to a person, and `accepted_accuracy` of the others,
    each with n and interval; `thresholds` by class id.
  """
  right = probabilities.argmax(axis=1) == label_ids
  top = probabilities.max(axis=1)
  flagged = top < np.array(decision.thresholds, np.float32)[probabilities.argmax(axis=1)]
  return {
    'temperature': decision.temperature,
    'thresholds': list(decision.thresholds),
    'ece_before': expected_error(uncalibrated(decision, probabilities).max(axis=1), right),
    'ece_after': expected_error(top, right),
    'brier': metrics.brier(label_ids, probabilities),
    'reliability': reliability(top, right),
    'flagged': metrics.proportion(int(flagged.sum()), len(right)),
    'accepted_accuracy': metrics.proportion(int(right[~flagged].sum()), int((~flagged).sum())),
  }


def uncalibrated(decision: Decision, probabilities: np.ndarray) -> np.ndarray:
  """Returns what softmax would say without the temperature: float64 [N, K].

  Logits are known from probabilities but for a constant, which softmax does not see.
  """
  logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-300)) * decision.temperature
  powers = np.exp(logits - logits.max(axis=1, keepdims=True))
  return powers / powers.sum(axis=1, keepdims=True)


def expected_error(confidence: np.ndarray, right: np.ndarray) -> float | None:
  """Returns the ECE over 15 bins of equal width (Guo et al., 2017): 0 to 1; None of nothing."""
  if not len(right):
    return None
  bins = reliability(confidence, right)
  return sum(one['n'] * abs(one['accuracy'] - one['confidence']) for one in bins) / len(right)


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict]:
  """Returns n, mean confidence and accuracy of each bin that holds an answer."""
  # (0, 1/15], (1/15, 2/15], ...
  places = np.clip(np.ceil(confidence.astype(np.float64) * _BINS).astype(int) - 1, 0, _BINS - 1)
  rows = []
  for place in np.unique(places):
    here = places == place
    rows.append(
      {
        'n': int(here.sum()),
        'confidence': float(confidence[here].mean()),
        'accuracy': float(right[here].mean()),
      }
    )
  return rows
