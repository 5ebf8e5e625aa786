"""Whether a network in another format answers as the export does."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from schemas import signatures
from schemas.errors import ExportError

# A flag or a class may differ where a number lies on its limit; seldom.
LEAST_AGREEMENT = 0.99


@dataclasses.dataclass(frozen=True)
class Parity:
  """Two answers about the same images.

  Attributes:
    images: how many.
    max_difference: largest difference of a probability; inf where one is no number.
    worst: position of the image with that difference.
    agreement: images that both call the same class.
    flags: by flag, images on which it differs.
    ood_difference: largest difference of ood_score over max(1, ood_score); None where the
      export has none.
  """

  images: int
  max_difference: float
  worst: int
  agreement: int
  flags: dict[str, int]
  ood_difference: float | None

  def in_words(self) -> str:
    """Returns the figures in one sentence."""
    flags = ', '.join(f'{name} on {count}' for name, count in self.flags.items() if count)
    ood = '' if self.ood_difference is None else f'; ood_score by {self.ood_difference:.1e}'
    return (
      f'{self.images} images: probabilities differ by {self.max_difference:.1e} at most{ood}; '
      f'the same class on {self.agreement}; flags that differ: {flags or "none"}'
    )


def compare(expected: Mapping[str, np.ndarray], received: Mapping[str, np.ndarray]) -> Parity:
  """Compares what the export answered with what the other format did.

  Args:
    expected: outputs of serving_default for N images.
    received: outputs of the other format for the same ones.

  Raises:
    ExportError: there is no image, or an output is missing or of another shape.
  """
  for name, values in expected.items():
    if name == signatures.PREDICTED_LABEL:
      continue
    found = received.get(name)
    if found is None or found.shape != values.shape or not len(values):
      raise ExportError(
        f'parity: expected the output {name} of shape {values.shape}, of one image at least. '
        f'Received: {"none" if found is None else found.shape}.'
      )
  by_image = _largest(expected[signatures.PROBABILITIES], received[signatures.PROBABILITIES])
  same = expected[signatures.CLASS_ID] == received[signatures.CLASS_ID]
  flags = (signatures.LOW_CONFIDENCE, signatures.FOREIGN)
  ood = None
  if signatures.OOD_SCORE in expected:
    theirs = expected[signatures.OOD_SCORE]
    apart = _largest(theirs, received[signatures.OOD_SCORE])
    ood = float((apart / np.maximum(1, np.abs(theirs))).max())
  return Parity(
    len(same),
    float(by_image.max()),
    int(by_image.argmax()),
    int(same.sum()),
    {name: int((expected[name] != received[name]).sum()) for name in flags if name in expected},
    ood,
  )


def check(found: Parity, limit: float, what: str) -> None:
  """Refuses a format that is not equal.

  Args:
    found: the comparison.
    limit: of the difference of a probability, and of ood_score over max(1, ood_score).
    what: the format, for the text of the error.

  Raises:
    ExportError: a number differs by more than the limit, or a class or a flag on more than
      1 image of 100.
  """
  most = max(found.max_difference, found.ood_difference or 0.0)
  least = min(found.agreement, *(found.images - count for count in found.flags.values()))
  if most <= limit and least >= LEAST_AGREEMENT * found.images:
    return
  raise ExportError(
    f'{what}: expected the answers of the export, within {limit:g} (formats.max_difference) and '
    f'with the same class and flags on {LEAST_AGREEMENT:.0%} of the images. Received: '
    f'{found.in_words()}; the largest difference is on image {found.worst}. Nothing was written.'
  )


def _largest(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns the largest difference of each image, float64 [N]."""
  apart = np.abs(first.astype(np.float64) - second.astype(np.float64))
  apart = np.where(np.isfinite(apart), apart, np.inf)
  return apart.reshape(len(apart), -1).max(axis=1)
