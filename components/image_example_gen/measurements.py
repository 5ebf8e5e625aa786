"""Brightness, contrast and sharpness of a decoded image."""

from typing import NamedTuple

import numpy as np

# Luma of ITU-R BT.601, as JPEG and Pillow's convert('L') use it.
_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32) / 255
# Rows that are worked on at once: a photo of 50 million pixels as float32 would
# take 200 MB a copy.
_STRIP = 128


class Measurements(NamedTuple):
  """What an image looks like, in three numbers.

  Attributes:
    brightness: mean luma, 0..1.
    contrast: standard deviation of luma, 0..0.5.
    sharpness: variance of the luma's Laplacian (4 neighbours, without the
      border); 0 where a side is below 3 pixels. Low in a blurred image: Pech
      Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000.
  """

  brightness: float
  contrast: float
  sharpness: float


def measure(pixels: np.ndarray) -> Measurements:
  """Measures uint8 [height, width, 3], RGB."""
  luma = _Moments()
  laplacian = _Moments()
  height = pixels.shape[0]
  for top in range(0, height, _STRIP):
    # One row above and one below, where there are any.
    first, last = max(top - 1, 0), min(top + _STRIP + 1, height)
    strip = pixels[first:last].astype(np.float32) @ _WEIGHTS
    luma.add(strip[top - first : top - first + _STRIP])
    laplacian.add(
      strip[:-2, 1:-1]
      + strip[2:, 1:-1]
      + strip[1:-1, :-2]
      + strip[1:-1, 2:]
      - 4 * strip[1:-1, 1:-1]
    )
  # Rounding may lead past the ends of the scale.
  return Measurements(min(luma.mean, 1.0), min(luma.variance**0.5, 0.5), laplacian.variance)


class _Moments:
  """Mean and variance over arrays that come one after another."""

  def __init__(self) -> None:
    self._count = 0
    self._sum = 0.0
    self._squares = 0.0

  def add(self, values: np.ndarray) -> None:
    self._count += values.size
    self._sum += float(values.sum(dtype=np.float64))
    self._squares += float(np.square(values, dtype=np.float64).sum())

  @property
  def mean(self) -> float:
    return self._sum / self._count if self._count else 0.0

  @property
  def variance(self) -> float:
    if not self._count:
      return 0.0
    return max(self._squares / self._count - self.mean**2, 0.0)
