"""The finer comparison: is the second image really a copy of the first?

A hash proposes a pair and the way in which one shows the other. Here the one signature
is laid over the other, moved until it fits best, and compared place by place. What makes
a copy is that the detail agrees nearly everywhere: outline, light and page layout are
shared by pictures of different things too. The thresholds are measured
(docs/decisions/0007-near-copies.md).
"""

from typing import NamedTuple

import cv2
import numpy as np

from components.image_example_gen import views
from components.image_example_gen.perceptual import SIGNATURE_SIDE

_SIZE = (SIGNATURE_SIDE, SIGNATURE_SIDE)
# Points on a side of the blocks in which detail is compared: 8 x 8 blocks.
_BLOCK = 8
# Detail is what lies between two blurs, in points.
_FINE, _COARSE = 0.7, 2.0
# Detail below one grey level (root mean square) is nothing to go by, and a picture with
# fewer blocks that hold more is not judged.
_MIN_DETAIL = 1.0
_MIN_BLOCKS = 8
# A text or a sticker on less than this share of the picture does not hide a copy.
_SPARED = 0.1
# The least correlation of detail, in all blocks but the spared ones. Where the second is
# moved or stretched, interpolation and empty corners cost some; where it is not,
# everything has to fit.
_MIN_DETAIL_IN_PLACE = 0.93
_MIN_DETAIL_MOVED = 0.78
_MIN_DETAIL_MOVED_QUARTER = 0.92
_MIN_CORRELATION = 0.98
# Points by which a corner may be off in what counts as in place.
_IN_PLACE = 1.5
_MIN_OVERLAP = 0.75
# Points on a side of the square that has to be covered for its middle to be compared.
_MARGIN = 7
# By which a side may shrink: a crop to half of it; more is not looked for.
_STRETCH = (0.5, 1.2)
# Points over which the search blurs, so that it finds its way from further off.
_BLUR = 5
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 1e-4)


class Agreement(NamedTuple):
  """How well two signatures agree where they overlap.

  Attributes:
    correlation: of the grey values, -1..1, without the spared blocks.
    detail: correlation of the detail in the worst block but for the spared ones.
    detail_quarter: likewise, sparing a quarter of the blocks.
    blocks: that hold detail, of 64.
    overlap: share of the second image that the first covers.
  """

  correlation: float
  detail: float
  detail_quarter: float
  blocks: int
  overlap: float


class Fit(NamedTuple):
  """Two signatures that show one picture.

  Attributes:
    correlation: as in Agreement.
    in_place: whether all of the one is all of the other, turned by quarters or mirrored.
  """

  correlation: float
  in_place: bool


def fit(first: np.ndarray, second: np.ndarray, view: views.View) -> Fit | None:
  """Returns how well two signatures fit where they show one picture, else None.

  Args:
    first: uint8 [64, 64].
    second: likewise; it may show the first as `view` does.
    view: the first guess of how.
  """
  if view.whole:
    agreed = agreement(first, second, view.matrix)
    if _is_copy(agreed, view.matrix):
      return Fit(agreed.correlation, True)
  matrix = refined(first, second, view.matrix)
  if matrix is None:
    return None
  stretch = np.linalg.svd(matrix[:, :2], compute_uv=False)
  if stretch[1] < _STRETCH[0] or stretch[0] > _STRETCH[1]:
    return None
  agreed = agreement(first, second, matrix)
  return Fit(agreed.correlation, _in_place(matrix)) if _is_copy(agreed, matrix) else None


def agreement(first: np.ndarray, second: np.ndarray, matrix: np.ndarray) -> Agreement:
  """Compares two signatures.

  Args:
    first: uint8 [64, 64].
    second: likewise.
    matrix: float32 [2, 3], from a pixel (x, y) of the second to that of the first.
  """
  moved = _moved(first, matrix).astype(np.float32)
  covering = (_moved(np.full(_SIZE, 255, np.uint8), matrix, cv2.BORDER_CONSTANT) == 255).astype(
    np.uint8
  )
  overlap = float(covering.mean())
  # What fills the corners of a turned picture bleeds into its surroundings.
  inside = cv2.erode(covering, np.ones((_MARGIN, _MARGIN), np.uint8)) > 0
  covered = _sums(inside) > _BLOCK**2 / 2
  detail = _correlations(_detail(moved) * inside, _detail(second.astype(np.float32)) * inside)
  judged = covered & ~np.isnan(detail)
  if judged.sum() < _MIN_BLOCKS:
    return Agreement(0.0, 0.0, 0.0, int(judged.sum()), overlap)
  least, quarter = np.quantile(detail[judged], (_SPARED, 0.25))
  spared = np.repeat(np.repeat(judged & (detail < least), _BLOCK, 0), _BLOCK, 1)
  kept = inside & ~spared
  return Agreement(
    _correlation(_blurred(moved, _FINE)[kept], _blurred(second, _FINE)[kept]),
    float(least),
    float(quarter),
    int(judged.sum()),
    overlap,
  )


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
    # Its answer to a pair that cannot be laid over one another.
    return None
  return better


def _is_copy(agreed: Agreement, matrix: np.ndarray) -> bool:
  if agreed.overlap < _MIN_OVERLAP or agreed.correlation < _MIN_CORRELATION:
    return False
  if _in_place(matrix):
    return agreed.detail >= _MIN_DETAIL_IN_PLACE
  return agreed.detail >= _MIN_DETAIL_MOVED and agreed.detail_quarter >= _MIN_DETAIL_MOVED_QUARTER


def _in_place(matrix: np.ndarray) -> bool:
  """Whether the whole is shown, turned by quarters or mirrored at most."""
  last = SIGNATURE_SIDE - 1
  corners = np.array([[0, 0, 1], [last, 0, 1], [0, last, 1], [last, last, 1]])
  shown = corners @ matrix.T
  nearest = np.where(shown < last / 2, 0, last)
  return bool(np.abs(shown - nearest).max() <= _IN_PLACE)


def _moved(picture: np.ndarray, matrix: np.ndarray, border: int = cv2.BORDER_REPLICATE):
  flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
  return cv2.warpAffine(picture, matrix, _SIZE, flags=flags, borderMode=border)


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
  return cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma)


def _detail(picture: np.ndarray) -> np.ndarray:
  return _blurred(picture, _FINE) - _blurred(picture, _COARSE)


def _correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """Returns the correlation of detail in every block, NaN where neither has any."""
  least = _MIN_DETAIL**2 * _BLOCK**2
  ones, others = _sums(one * one), _sums(other * other)
  # A block that is empty in one of the two agrees in nothing.
  correlation = _sums(one * other) / np.sqrt(ones * others + (least / 2) ** 2)
  return np.where(np.maximum(ones, others) > least, correlation, np.nan)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
  one, other = one - one.mean(), other - other.mean()
  scale = float(np.sqrt((one * one).sum() * (other * other).sum()))
  return min(float((one * other).sum()) / scale, 1.0) if scale else 0.0


def _sums(values: np.ndarray) -> np.ndarray:
  blocks = SIGNATURE_SIDE // _BLOCK
  return values.reshape(blocks, _BLOCK, blocks, _BLOCK).sum((1, 3))
