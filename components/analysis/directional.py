"""Expectations of a model, in words and figures, each with whether it holds.

After Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models with CheckList"
(2020): what must not happen when a picture gets worse, or shows nothing.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import scipy.stats

from components.analysis import changes, robustness
from components.analysis.asking import Ask
from schemas.config import ImageConfig

_SIGNIFICANT = 0.05
# Sigma of the blur as a share of the shorter side; after these only the mean colour is left.
_FADING = (0.03, 0.1, 0.3)
# A mean of that many probabilities is as exact as this.
_TOLERANCE = 0.02
_GREYS = (64, 128, 192)


def never_better(outcomes: Sequence[robustness.Outcome], name: str) -> dict:
  """Checks that no step to a stronger change makes more images right, beyond chance.

  McNemar's exact test, one-sided, of each step; the level is 0.05 shared among the steps.
  """
  steps = [outcomes[0], *(one for one in outcomes if one.name == name and one.severity)]
  found = []
  for before, after in zip(steps, steps[1:], strict=False):
    gained = int((after.right & ~before.right).sum())
    lost = int((before.right & ~after.right).sum())
    p = scipy.stats.binomtest(gained, gained + lost, alternative='greater').pvalue if gained else 1
    found.append((p, after, gained, lost))
  p, after, gained, lost = min(found, key=lambda one: one[0])
  curve = ', '.join(f'{one.right.mean():.3f}' for one in steps)
  return {
    'check': f'stronger {name} never makes accuracy rise beyond chance',
    'holds': bool(p >= _SIGNIFICANT / len(found)),
    'found': f'accuracy {curve} from unchanged to severity {len(steps) - 1}; nearest to a rise is '
    f'severity {after.severity}: {gained} images become right, {lost} wrong '
    f"(McNemar's exact test, one-sided, p {p:.2g})",
  }


def fades(unchanged: np.ndarray, pictures: Sequence[np.ndarray], ask: Ask) -> dict:
  """Checks that the model becomes less sure as pictures are blurred to their mean colour.

  Args:
    unchanged: float [n], probability of the answer about each picture as it is.
    pictures: the n pictures, uint8 [h, w, 3].
    ask: the model.
  """
  means = [float(np.mean(unchanged))]
  for share in (*_FADING, None):
    answers = ask([changes.png(_faded(pixels, share)) for pixels in pictures])
    means.append(float(np.mean(answers.probability)))
  rises = max(after - before for before, after in zip(means, means[1:], strict=False))
  shares = ', '.join(f'{share:.0%}' for share in _FADING)
  return {
    'check': 'the mean top probability falls as pictures are blurred away to their mean colour',
    'holds': means[0] - means[-1] > _TOLERANCE and rises <= _TOLERANCE,
    'found': f'{means[0]:.3f} unchanged; '
    f'{", ".join(f"{mean:.3f}" for mean in means[1:-1])} at a sigma of {shares} of the side; '
    f'{means[-1]:.3f} of the mean colour alone ({len(pictures)} images)',
  }


def sure_of_nothing(image: ImageConfig, labels: Sequence[str], ask: Ask) -> dict:
  """Checks that a uniform grey picture is flagged low_confidence."""
  size = (image.height, image.width, 3)
  answers = ask([changes.png(np.full(size, grey, np.uint8)) for grey in _GREYS])
  said = ', '.join(
    f'{grey} of 255: {labels[int(class_id)]} at {probability:.3f}, '
    f'{"flagged" if unsure else "not flagged"}'
    for grey, class_id, probability, unsure in zip(
      _GREYS, answers.class_id, answers.probability, answers.unsure, strict=True
    )
  )
  return {
    'check': 'a uniform grey picture is not answered above the review threshold',
    'holds': bool(answers.unsure.all()),
    'found': said,
  }


def _faded(pixels: np.ndarray, share: float | None) -> np.ndarray:
  if share is None:
    mean = np.rint(pixels.mean((0, 1))).astype(np.uint8)
    return np.broadcast_to(mean, pixels.shape).copy()
  # Mirrored at the edges, so that the mean colour stays.
  return cv2.GaussianBlur(
    pixels, (0, 0), max(share * min(pixels.shape[:2]), 1e-3), borderType=cv2.BORDER_REFLECT
  )
