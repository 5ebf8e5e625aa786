"""The files that an analysis leaves, and what it found in words; imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

FILE = 'analysis.json'
PICTURES = 'pictures'
# The severity that a line of words is about.
_MIDDLE = 3


def picture(image_id: str) -> str:
  """Returns the name of an image's picture, relative to the artifact."""
  return f'{PICTURES}/{image_id}.png'


def activation(image_id: str) -> str:
  """Returns the name of the picture with the class activation."""
  return f'{PICTURES}/{image_id}-activation.png'


def in_words(found: Mapping[str, Any]) -> list[str]:
  """Returns analysis.json in a few lines: accuracies and flips, then what does not hold.

  The accuracies are at severity 3 of 5. The share of flips is over all harmless changes.
  """
  middle = [
    f'{row["change"]} {_MIDDLE}: {row["accuracy"]["value"]:.2f}'
    for row in found['robustness']
    if row['severity'] == _MIDDLE
  ]
  asked = sum(row['flipped']['n'] for row in found['harmless'])
  flipped = sum(round(row['flipped']['value'] * row['flipped']['n']) for row in found['harmless'])
  return [
    f'{", ".join(middle)}; {flipped / asked:.1%} flip by harmless changes',
    *(f'not as expected: {check["check"]}' for check in found['directional'] if not check['holds']),
  ]
