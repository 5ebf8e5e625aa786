"""Metrics of stored predictions, by scikit-learn and SciPy."""

import numpy as np
import scipy.stats
import sklearn.metrics


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
    `accuracy` with n and interval, `log_loss`, `macro_f1` and `macro_pr_auc` (means over
    the classes that are there), `confusion_matrix` (rows are the truth, in the order of
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
  areas = [one['pr_auc'] for one in per_class.values() if one['pr_auc'] is not None]
  return {
    'accuracy': proportion(int((predicted == label_ids).sum()), len(label_ids)),
    'log_loss': float(
      sklearn.metrics.log_loss(label_ids, probabilities.astype(np.float64), labels=ids)
    ),
    'macro_f1': float(f1[present].mean()),
    'macro_pr_auc': float(np.mean(areas)) if areas else None,
    'labels': labels,
    'confusion_matrix': sklearn.metrics.confusion_matrix(label_ids, predicted, labels=ids).tolist(),
    'per_class': per_class,
  }
