"""The finer comparison: is the second image really a copy of the first?

A hash proposes a pair and the way in which one shows the other. Here the one signature
is laid over the other, moved until it fits best, and compared point by point.
"""

from typing import NamedTuple

import cv2
import numpy as np

from components.image_example_gen import views
from components.image_example_gen.perceptual import SIGNATURE_SIDE

_SIZE = (SIGNATURE_SIDE, SIGNATURE_SIDE)
# Points on a side of the blocks in which differences are taken.
_BLOCK = 8
# Points over which the search blurs, so that it finds its way from further off.
_BLUR = 5
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)


# A copy agrees at least so well; docs/decisions/0006-near-copies.md has the measurement.
_MIN_CORRELATION = 0.985
_MAX_DIFFERENCE = 0.12
# A crop may leave half of a side; more is not looked for.
_STRETCH = (0.5, 1.2)
_MIN_OVERLAP = 0.75


class Agreement(NamedTuple):
  """How well two signatures agree where they overlap.

  Attributes:
    correlation: of the grey values, -1..1.
    difference: of the grey values after brightness and contrast are made the same, as
      a share of the contrast: of the blocks of 8 x 8 points the one that three
      quarters of the blocks do not exceed. A text or a sticker over less than a
      quarter of the picture leaves it low; another picture of the same thing does not.
    overlap: share of the second image that the first covers.
    stretch: by which the first's sides shrink in the second, the smaller and the
      larger one; 1 for a whole image, 0.8 for a crop to 80 %.
  """

  correlation: float
  difference: float
  overlap: float
  stretch: tuple[float, float]


def similarity(first: np.ndarray, second: np.ndarray, view: views.View) -> float | None:
  """Returns the correlation of two signatures that show one picture, else None.

  Args:
    first: uint8 [64, 64].
    second: likewise; it may show the first as `view` does.
    view: the first guess of how.
  """
  if view.whole:
    agreed = agreement(first, second, view.matrix)
    if _is_copy(agreed):
      return agreed.correlation
  matrix = refined(first, second, view.matrix)
  if matrix is None:
    return None
  agreed = agreement(first, second, matrix)
  return agreed.correlation if _is_copy(agreed) else None


def _is_copy(agreed: Agreement) -> bool:
  return (
    agreed.correlation >= _MIN_CORRELATION
    and agreed.difference <= _MAX_DIFFERENCE
    and agreed.overlap >= _MIN_OVERLAP
    and _STRETCH[0] <= agreed.stretch[0] <= agreed.stretch[1] <= _STRETCH[1]
  )


def agreement(first: np.ndarray, second: np.ndarray, matrix: np.ndarray) -> Agreement:
  """Compares two signatures.

  Args:
    first: uint8 [64, 64].
    second: likewise.
    matrix: float32 [2, 3], from a pixel (x, y) of the second to that of the first.
  """
  moved = cv2.warpAffine(first, matrix, _SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
  inside = _inside(matrix)
  stretch = np.linalg.svd(matrix[:, :2], compute_uv=False)
  overlap = float(inside.mean())
  shape = (float(stretch[1]), float(stretch[0]))
  if overlap < 0.25:
    return Agreement(0.0, 1.0, overlap, shape)
  one: np.ndarray = cv2.GaussianBlur(moved, (5, 5), 1.0).astype(np.float32)
  other: np.ndarray = cv2.GaussianBlur(second, (5, 5), 1.0).astype(np.float32)
  one = (one - one[inside].mean()) / max(one[inside].std(), 1.0)
  other = (other - other[inside].mean()) / max(other[inside].std(), 1.0)
  correlation = min(float((one * other)[inside].mean()), 1.0)
  difference = _by_block(np.abs(one - other) * inside)
  weight = _by_block(inside.astype(np.float32))
  blocks = difference[weight > 0.5] / weight[weight > 0.5]
  return Agreement(correlation, float(np.quantile(blocks, 0.75)), overlap, shape)


def refined(first: np.ndarray, second: np.ndarray, matrix: np.ndarray) -> np.ndarray | None:
  """Moves `matrix` to where the signatures fit best; None where they do not settle.

  The enhanced correlation coefficient is maximised over affine maps (Evangelidis and
  Psarakis, "Parametric image alignment using enhanced correlation coefficient
  maximization", 2008). Affine, not a turn and a scale: a signature has lost its aspect.
  """
  everywhere: np.ndarray = np.full(_SIZE, 255, np.uint8)
  try:
    _, better = cv2.findTransformECC(
      second, first, matrix.copy(), cv2.MOTION_AFFINE, _STEPS, everywhere, _BLUR
    )
  except cv2.error:
    return None
  return better


def _inside(matrix: np.ndarray) -> np.ndarray:
  ones: np.ndarray = np.full(_SIZE, 255, np.uint8)
  return cv2.warpAffine(ones, matrix, _SIZE, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP) == 255


def _by_block(values: np.ndarray) -> np.ndarray:
  blocks = SIGNATURE_SIDE // _BLOCK
  return values.reshape(blocks, _BLOCK, blocks, _BLOCK).mean((1, 3))
