"""Metrics of stored predictions, by scikit-learn and SciPy."""

import numpy as np
import scipy.stats
import sklearn.metrics

_TOP = 5


def interval(correct: int, total: int) -> tuple[float, float]:
  """Returns the 95 % Wilson interval of a proportion; (0, 1) for nothing observed."""
  if total == 0:
    return 0.0, 1.0
  found = scipy.stats.binomtest(correct, total).proportion_ci(0.95, method='wilson')
  return float(found.low), float(found.high)


def proportion(correct: int, total: int) -> dict:
  """Returns value, n and the 95 % interval of a proportion."""
  low, high = interval(correct, total)
  return {'value': correct / total if total else None, 'n': total, 'interval': [low, high]}


def measure(label_ids: np.ndarray, probabilities: np.ndarray, labels: list[str]) -> dict:
  """Measures one model on one split.

  Args:
    label_ids: int64 [N], the truth.
    probabilities: float [N, K], each row sums to 1.
    labels: the K names.

  Returns:
    `accuracy` with n and interval, `top_k` likewise with its `k` (5 from ten classes on,
    else 2; None of two), `balanced_accuracy` (mean recall), `log_loss`, `brier` (0 to 2),
    `macro_precision`, `macro_recall`, `macro_f1`, `macro_roc_auc` and `macro_pr_auc` (means
    over the classes that are there), `confusion_matrix` (rows are the truth, in the order of
    `labels`) and `per_class`: n, precision, recall, f1, roc_auc and pr_auc by name. A
    figure that is not defined, because a class is absent, is None and not 0.
  """
  ids = np.arange(len(labels))
  predicted = probabilities.argmax(axis=1)
  precision, recall, f1, support = sklearn.metrics.precision_recall_fscore_support(
    label_ids, predicted, labels=ids, zero_division=0.0
  )
  present = support > 0
  per_class = {}
  for index, name in enumerate(labels):
    truth = label_ids == index
    both = truth.any() and not truth.all()
    per_class[name] = {
      'n': int(support[index]),
      'precision': float(precision[index]),
      'recall': float(recall[index]) if present[index] else None,
      'f1': float(f1[index]) if present[index] else None,
      'roc_auc': float(sklearn.metrics.roc_auc_score(truth, probabilities[:, index]))
      if both
      else None,
      'pr_auc': float(sklearn.metrics.average_precision_score(truth, probabilities[:, index]))
      if both
      else None,
    }
  return {
    'accuracy': proportion(int((predicted == label_ids).sum()), len(label_ids)),
    'log_loss': _log_loss(label_ids, probabilities, ids),
    'brier': brier(label_ids, probabilities),
    'top_k': _top_k(label_ids, probabilities),
    'balanced_accuracy': float(recall[present].mean()),
    'macro_precision': float(precision[present].mean()),
    'macro_recall': float(recall[present].mean()),
    'macro_f1': float(f1[present].mean()),
    'macro_roc_auc': _mean_area(per_class, 'roc_auc'),
    'macro_pr_auc': _mean_area(per_class, 'pr_auc'),
    'labels': labels,
    'confusion_matrix': sklearn.metrics.confusion_matrix(label_ids, predicted, labels=ids).tolist(),
    'per_class': per_class,
  }


def brier(label_ids: np.ndarray, probabilities: np.ndarray) -> float:
  """Returns the mean squared distance to the truth, 0 to 2 (Brier, 1950)."""
  truth = np.eye(probabilities.shape[1])[label_ids]
  return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def _log_loss(label_ids: np.ndarray, probabilities: np.ndarray, ids: np.ndarray) -> float:
  # Stored as float32, they sum to 1 but for its rounding, which scikit-learn warns of.
  exact: np.ndarray = probabilities.astype(np.float64)
  exact = exact / exact.sum(axis=1, keepdims=True)
  return float(sklearn.metrics.log_loss(label_ids, exact, labels=ids))


def _top_k(label_ids: np.ndarray, probabilities: np.ndarray) -> dict | None:
  classes = probabilities.shape[1]
  if classes < 3:
    return None
  k = _TOP if classes >= 2 * _TOP else 2
  # Stable: of equals, those of a lower id come first, as argmax has it.
  first = np.argsort(-probabilities, axis=1, kind='stable')[:, :k]
  hits = int((first == label_ids[:, None]).any(axis=1).sum())
  return {'k': k, **proportion(hits, len(label_ids))}


def _mean_area(per_class: dict, name: str) -> float | None:
  areas = [one[name] for one in per_class.values() if one[name] is not None]
  return float(np.mean(areas)) if areas else None
