"""Brightness, contrast and sharpness of a decoded image."""

from typing import NamedTuple

import cv2
import numpy as np

# Luma of ITU-R BT.601, as JPEG and Pillow's convert('L') use it, on 0..1.
_LUMA = np.array([[0.299, 0.587, 0.114]], np.float32) / 255
# Rows that are worked on at once: a photo of 50 million pixels as float32 would
# take 600 MB.
_STRIP = 512


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
  """Measures uint8 [height, width, 3], RGB.

  Luma is float32; its sums are float64. OpenCV lets go of Python's lock, so that
  several images are measured at once.
  """
  luma = _Moments()
  laplacian = _Moments()
  height, width = pixels.shape[:2]
  for top in range(0, height, _STRIP):
    # One row above and one below, where there are any.
    first, last = max(top - 1, 0), min(top + _STRIP + 1, height)
    strip = cv2.transform(pixels[first:last].astype(np.float32), _LUMA)
    luma.add(strip[top - first : top - first + _STRIP])
    if width > 2 and last - first > 2:
      laplacian.add(cv2.Laplacian(strip, cv2.CV_32F, ksize=1)[1:-1, 1:-1])
  # Rounding may lead past the ends of the scale.
  return Measurements(min(luma.mean, 1.0), min(luma.variance**0.5, 0.5), laplacian.variance)


class _Moments:
  """Mean and variance over arrays that come one after another."""

  def __init__(self) -> None:
    self._count = 0
    self._sum = 0.0
    self._squares = 0.0

  def add(self, values: np.ndarray) -> None:
    mean, deviation = (float(found[0, 0]) for found in cv2.meanStdDev(values))
    self._count += values.size
    self._sum += mean * values.size
    self._squares += (deviation**2 + mean**2) * values.size

  @property
  def mean(self) -> float:
    return self._sum / self._count if self._count else 0.0

  @property
  def variance(self) -> float:
    if not self._count:
      return 0.0
    return max(self._squares / self._count - self.mean**2, 0.0)
