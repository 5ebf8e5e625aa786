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
  """Returns analysis.json in a few lines: accuracies, flips, and expectations that do not hold."""
  lines = []
  middle = [row for row in found['robustness'] if row['severity'] == _MIDDLE]
  if middle:
    shown = ', '.join(f'{row["change"]} {row["accuracy"]["value"]:.2f}' for row in middle)
    unchanged = found['robustness'][0]['accuracy']
    lines.append(
      f'accuracy {unchanged["value"]:.2f} on {unchanged["n"]} images; changed at severity '
      f'{_MIDDLE} of 5: {shown}'
    )
  flips = [row['flipped'] for row in found['harmless'] if row['flipped']['n']]
  if flips:
    share = sum(one['value'] * one['n'] for one in flips) / sum(one['n'] for one in flips)
    worst = max(found['harmless'], key=lambda row: row['flipped']['value'] or 0)
    lines.append(
      f'{share:.1%} of the answers flip by harmless changes; most by: {worst["change"]}, '
      f'{worst["flipped"]["value"]:.1%}'
    )
  return lines + [
    f'not as expected: {check["check"]}; {check["found"]}'
    for check in found['directional']
    if not check['holds']
  ]
