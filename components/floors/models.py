"""Simple models of images: chance, the largest class, and classical ones from scikit-learn.

They see 32 x 32 thumbnails, as cheap_features describes them: a colour histogram
(12 x 4 x 4 bins of hue, saturation and value), gradient directions (Dalal and Triggs,
2005), and 16 x 16 small pixels. Fitted on train; of the classical ones the best on val
is the floor. None of them sees a label of test.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import threadpoolctl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from components.audit import cheap_features

RANDOM, MAJORITY = 'random', 'majority'
# An SVM takes time by the square of what it is fitted to.
MOST_IMAGES = 5000
SEED = 0
_PENALTIES = (1.0, 8.0)
_ITERATIONS = 40
_SMALL = 16


@dataclasses.dataclass(frozen=True)
class Floor:
  """One simple model.

  Attributes:
    name: `random`, `majority`, or model and features of a classical one.
    answers: class name of each asked image.
    val_accuracy: share of val that it has right; None without val images.
    seconds: to fit it and to have it answer.
  """

  name: str
  answers: np.ndarray
  val_accuracy: float | None
  seconds: float


def fit(
  thumbnails: np.ndarray, labels: np.ndarray, train: np.ndarray, val: np.ndarray, asked: np.ndarray
) -> Iterator[Floor]:
  """Fits one floor after the other.

  Args:
    thumbnails: uint8 [n, 32, 32, 3].
    labels: str [n]; those of `asked` are not looked at.
    train: int [a], positions that are fitted to; of more than 5,000 as many are drawn.
    val: int [b], positions that the best is chosen by.
    asked: int [c], positions that are answered.

  Yields:
    `random` and `majority`, then the classical ones. Of a single class only the first two.
  """
  classes, counts = np.unique(labels[train], return_counts=True)
  draw = np.random.default_rng(SEED)
  constant = np.full(len(labels), classes[counts.argmax()])
  for name, answers in ((RANDOM, draw.choice(classes, len(labels))), (MAJORITY, constant)):
    yield Floor(name, answers[asked], _accuracy(answers[val], labels[val]), 0.0)
  if len(classes) < 2:
    return
  if len(train) > MOST_IMAGES:
    train = np.sort(draw.choice(train, MOST_IMAGES, replace=False))
  described = _describe(thumbnails)
  for name, values, makers in _candidates(described):
    began = time.monotonic()
    scored = []
    # The threads of the boosted trees wait for each other by spinning: where something else
    # needs a core, seconds become minutes.
    with threadpoolctl.threadpool_limits(1, user_api='openmp'):
      for make in makers:
        model = make().fit(values[train], labels[train])
        scored.append(
          (_accuracy(model.predict(values[val]), labels[val]) if len(val) else None, model)
        )
      # The first of equals: the plainer one.
      accuracy, model = max(scored, key=lambda one: one[0] if one[0] is not None else 0.0)
      answers = model.predict(values[asked]) if len(asked) else np.array([], labels.dtype)
    yield Floor(name, answers, accuracy, time.monotonic() - began)


def best(floors: list[Floor]) -> Floor | None:
  """Returns the classical model that is best on val, the first of equals; None without one."""
  classical = [one for one in floors if one.name not in (RANDOM, MAJORITY)]
  return max(classical, key=lambda one: one.val_accuracy or 0.0, default=None)


def _describe(thumbnails: np.ndarray) -> dict[str, np.ndarray]:
  parts = cheap_features.parts(thumbnails)
  step = cheap_features.SIDE // _SMALL
  small = thumbnails.reshape(len(thumbnails), _SMALL, step, _SMALL, step, 3).mean((2, 4)) / 255
  pixels = small.reshape(len(thumbnails), -1).astype(np.float32)
  return {
    'colours': parts.colours,
    'gradients': parts.gradients,
    'small pixels': pixels,
    'all of them': np.hstack([parts.colours, parts.grey, parts.gradients]),
  }


def _candidates(
  described: dict[str, np.ndarray],
) -> Iterator[tuple[str, np.ndarray, list[Callable]]]:
  yield (
    'logistic regression on small pixels',
    described['small pixels'],
    [lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))],
  )
  for name, values in described.items():
    yield f'SVM on {name}', values, [_svm(penalty) for penalty in _PENALTIES]
  yield (
    'gradient boosting on all of them',
    described['all of them'],
    [lambda: HistGradientBoostingClassifier(max_iter=_ITERATIONS, random_state=SEED)],
  )


def _svm(penalty: float) -> Callable:
  return lambda: SVC(C=penalty, gamma='scale', random_state=SEED)


def _accuracy(answers: np.ndarray, truth: np.ndarray) -> float | None:
  return float((answers == truth).mean()) if len(truth) else None
