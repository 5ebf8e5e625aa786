"""Histograms as numbers that the page draws."""

import math
from typing import NamedTuple

import numpy as np

_BINS = 24
_PIXELS = ' px'


class Histogram(NamedTuple):
  """One class and one measurement.

  Attributes:
    bars: height of each bin, 0..1 of the tallest of this class.
    low: label of the left end.
    high: label of the right end.
    median: the median, in words.
    at: where the median lies, 0 (left end) to 1.
    alt: the histogram in words.
  """

  bars: list[float]
  low: str
  high: str
  median: str
  at: float
  alt: str


def brightness(label: str, values: np.ndarray) -> Histogram:
  """Draws mean brightness, 0..1, on a scale from black to white."""
  return _draw(f'brightness of class {label}', values, (0.0, 1.0), lambda value: f'{value:.2f}')


def size(label: str, longer_side: np.ndarray, ends: tuple[float, float]) -> Histogram:
  """Draws the longer side in pixels on a logarithmic scale.

  Args:
    label: the class.
    longer_side: [n], pixels.
    ends: the smallest and the largest of the data set.
  """
  low, high = math.log2(ends[0]), math.log2(ends[1])
  if high - low < 1:  # all of about one size: an octave around it
    low, high = (low + high - 1) / 2, (low + high + 1) / 2
  return _draw(
    f'longer side of class {label}',
    np.log2(longer_side),
    (low, high),
    lambda value: f'{2**value:.0f}{_PIXELS}',
  )


def _draw(what: str, values: np.ndarray, ends: tuple[float, float], text) -> Histogram:
  counts, _ = np.histogram(np.clip(values, *ends), _BINS, ends)
  median = float(np.median(values))
  return Histogram(
    bars=(counts / counts.max()).tolist(),
    low=text(ends[0]).removesuffix(_PIXELS),
    high=text(ends[1]).removesuffix(_PIXELS),
    median=text(median),
    at=min(max((median - ends[0]) / (ends[1] - ends[0]), 0.0), 1.0),
    alt=(
      f'Histogram of the {what}: from {text(float(values.min()))} to '
      f'{text(float(values.max()))}, median {text(median)}'
    ),
  )
