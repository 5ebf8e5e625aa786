"""The small, coloured data set that faults are planted into."""

import csv
import pathlib

import numpy as np
from PIL import Image

COLOURS = ('blue', 'green', 'red')
_CHANNELS = ('red', 'green', 'blue')
_BRIGHTER = 110


def write(
  root: pathlib.Path, count: int, seed: int, light: float = 1.0, given: bool = False
) -> list[list[str]]:
  """Writes noisy pictures in which one channel is the brightest, and labels.csv.

  Args:
    root: the folder, made here.
    count: of the pictures, as many of each class.
    seed: another one gives other pictures.
    light: factor of each pixel.
    given: whether labels.csv says which split each picture is in, a fifth in val and in test.

  Returns:
    Rows of filename, label and split.
  """
  rng = np.random.default_rng(seed)
  (root / 'images').mkdir(parents=True)
  rows = []
  for number in range(count):
    colour = COLOURS[number % len(COLOURS)]
    pixels = rng.integers(0, 90, (36 + number % 5, 48 - number % 7, 3))
    pixels[..., _CHANNELS.index(colour)] += _BRIGHTER
    name = f'{colour}-{number:03d}.png'
    Image.fromarray((pixels * light).astype(np.uint8)).save(root / 'images' / name)
    place = (number // len(COLOURS)) % 5
    rows.append([name, colour, {3: 'val', 4: 'test'}.get(place, 'train')])
  write_labels(root, rows, given)
  return rows


def write_labels(root: pathlib.Path, rows: list[list[str]], given: bool) -> None:
  """Writes labels.csv: rows of filename, label and split; the last only where it is given."""
  with open(root / 'labels.csv', 'w', newline='', encoding='utf-8') as stream:
    writer = csv.writer(stream)
    writer.writerow(['filename', 'label', 'split'][: 3 if given else 2])
    writer.writerows(row[: 3 if given else 2] for row in rows)
