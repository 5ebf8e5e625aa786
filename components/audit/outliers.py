"""Images that look like accidents: black, white, blank, blurred, tiny, very long.

Each finding has a reason code, the measured value and the limit. What is odd in
one data set is normal in another, so blur, size and shape are judged against the
data set's own medians.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from components.audit.dataset import Images

BLACK = 'black'
WHITE = 'white'
BLANK = 'blank'
BLURRED = 'blurred'
TINY = 'tiny'
EXTREME_ASPECT = 'extreme_aspect'
CODES = (BLACK, WHITE, BLANK, BLURRED, TINY, EXTREME_ASPECT)

# Of the luma's scale 0..1: what a lens cap and a sheet of paper give, with noise.
_DARK = 0.04
_BRIGHT = 0.96
_FLAT = 0.02
# Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993: a modified
# z-score beyond 3.5.
_Z = 3.5
_MAD_TO_SIGMA = 1.4826
# Sharpness is compared in powers of ten; a tighter spread than this is chance.
_LEAST_SIGMA = 0.1
# Images of a class, below which the median of all says more.
_OWN_MEDIAN = 20
_NO_SHARPNESS = 1e-9
# Pixels of the shorter side; a data set of smaller images has a lower limit.
_TINY = 64
_LONG = 3.0


class Outlier(NamedTuple):
  """One image.

  Attributes:
    position: of the image.
    code: one of CODES.
    value: what was measured.
    limit: what it would have to reach, or stay below, not to be listed.
    detail: both in words.
  """

  position: int
  code: str
  value: float
  limit: float
  detail: str


def find(images: Images) -> list[Outlier]:
  """Returns the outliers, one reason an image, in the order of CODES."""
  if not len(images):
    return []
  found: dict[int, Outlier] = {}
  for outlier in (*_without_content(images), *_small_or_long(images), *_blurred(images)):
    # The first reason explains the others: a black image is not sharp either.
    found.setdefault(outlier.position, outlier)
  return sorted(found.values(), key=lambda outlier: (CODES.index(outlier.code), outlier.position))


def _without_content(images: Images) -> Iterator[Outlier]:
  # The end of the scale at which an image lies, and how far it strays from it.
  reach: np.ndarray = 2 * images.contrast
  for code, outside, value, limit, words in (
    (BLACK, images.brightness + reach, images.brightness, _DARK, 'at most'),
    (WHITE, 1 - images.brightness + reach, images.brightness, _BRIGHT, 'at least'),
  ):
    for position in np.flatnonzero(outside < _DARK):
      yield Outlier(
        int(position),
        code,
        float(value[position]),
        limit,
        f'mean brightness {value[position]:.3f} of 1; {words} {limit:g} with hardly any contrast '
        f'counts as {code}',
      )
  for position in np.flatnonzero(images.contrast < _FLAT):
    contrast = float(images.contrast[position])
    yield Outlier(
      int(position),
      BLANK,
      contrast,
      _FLAT,
      f'contrast {contrast:.4f}; below {_FLAT:g} nothing shows',
    )


def _small_or_long(images: Images) -> Iterator[Outlier]:
  shorter = np.minimum(images.width, images.height)
  longer = np.maximum(images.width, images.height)
  limit = min(_TINY, float(np.median(shorter)) / 4)
  for position in np.flatnonzero(shorter < limit):
    yield Outlier(
      int(position),
      TINY,
      float(shorter[position]),
      limit,
      f'{images.width[position]}x{images.height[position]} pixels; the shorter side is below '
      f'{limit:g}, where the median of the data set is {np.median(shorter):g}',
    )
  shape = longer / np.maximum(shorter, 1)
  usual = float(np.median(shape))
  limit = max(_LONG, 2 * usual)
  for position in np.flatnonzero(shape > limit):
    yield Outlier(
      int(position),
      EXTREME_ASPECT,
      float(shape[position]),
      limit,
      f'{images.width[position]}x{images.height[position]} pixels: one side is '
      f'{shape[position]:.1f} times the other, above {limit:.1f}; the median is {usual:.1f}',
    )


def _blurred(images: Images) -> Iterator[Outlier]:
  # Sides below 3 pixels have no Laplacian, so nothing is known of them.
  measured = np.minimum(images.width, images.height) >= 3
  power = np.log10(np.maximum(images.sharpness, _NO_SHARPNESS))
  limits = np.full(len(images), _lower_limit(power[measured]))
  by: np.ndarray = np.full(len(images), 'the data set', object)
  labels = np.array(images.label, object)
  for label in sorted(set(images.label)):
    own = measured & (labels == label)
    if own.sum() >= _OWN_MEDIAN:
      limits[own] = _lower_limit(power[own])
      by[own] = f'class {label}'
  for position in np.flatnonzero(measured & (power < limits)):
    value, limit = float(images.sharpness[position]), float(10 ** limits[position])
    yield Outlier(
      int(position),
      BLURRED,
      value,
      limit,
      f'sharpness {value:.2g}, where {by[position]} seldom falls below {limit:.2g}',
    )


def _lower_limit(values: np.ndarray) -> float:
  if not len(values):
    return -np.inf
  median = float(np.median(values))
  sigma = _MAD_TO_SIGMA * float(np.median(np.abs(values - median)))
  return median - _Z * max(sigma, _LEAST_SIGMA)
