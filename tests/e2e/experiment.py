"""A small data set of real image files, and the command line run on it."""

import csv
import json
import pathlib
import subprocess
import sys
import typing

import numpy as np
from PIL import Image

COLOURS = ('blue', 'green', 'red')


def write_images(root: pathlib.Path, count: int = 120, seed: int = 0) -> list[dict[str, str]]:
  """Writes noisy images in which one channel is the brightest, and returns their rows.

  Not square, of several sizes, PNG and JPEG; the column `device` has two values.
  """
  rng = np.random.default_rng(seed)
  (root / 'images').mkdir(parents=True, exist_ok=True)
  rows = []
  for number in range(count):
    colour = COLOURS[number % 3]
    pixels = rng.integers(0, 90, (36 + number % 5, 48 - number % 7, 3))
    pixels[..., ('red', 'green', 'blue').index(colour)] += 110
    name = f'{colour} {number:03d}.{"png" if number % 2 else "jpg"}'
    Image.fromarray(pixels.astype(np.uint8)).save(root / 'images' / name, quality=95)
    rows.append({'filename': name, 'label': colour, 'device': 'ab'[number % 4 == 0]})
  return rows


def write_csv(root: pathlib.Path, rows: list[dict[str, str]]) -> None:
  with open(root / 'labels.csv', 'w', newline='', encoding='utf-8') as stream:
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)


class Finished(typing.NamedTuple):
  """What one call of the command left behind."""

  code: int
  output: str
  summary: dict | None

  def outcomes(self) -> dict[str, str]:
    return {name: part['outcome'] for name, part in self.summary['components'].items()}


def sightline(*arguments: object, cwd: pathlib.Path, timeout: int = 400) -> Finished:
  """Runs the command line in a process of its own, as a person would."""
  done = subprocess.run(
    [sys.executable, '-m', 'pipeline', *map(str, arguments)],
    cwd=cwd,
    timeout=timeout,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  return Finished(done.returncode, done.stdout, None)


class Experiment:
  """An experiment on disk, and its runs through the command line."""

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    folder.mkdir(exist_ok=True)
    self.data = folder / 'photos'
    self.root = folder / 'runs' / 'colours'
    self.config = folder / 'colours.yaml'
    self.serving = self.root / 'serving' / 'colours'
    self.config.write_text(
      """\
name: colours
data:
  root: photos
  slice_columns: [device]
image: {height: 32, width: 32}
model: {backbone: efficientnet_tiny, weights: none}
train: {batch_size: 16, epochs: 6, learning_rate: 0.004, checks: false}
evaluate:
  min_accuracy: 0.6
  slice_floors:
    - {slice: device, min_accuracy: 0.1}
floors: {fit: false}
analysis: {run: false, images: 24, errors: 4}
run: {root: runs/colours}
""",
      encoding='utf-8',
    )

  def versions(self) -> list[str]:
    return sorted(path.name for path in self.serving.iterdir() if path.name.isdigit())

  def run(self, *overrides: str, ask: bool = False) -> Finished:
    """Runs the pipeline and reads the summary of that run."""
    before = set(self.root.glob('*/summary.json'))
    arguments = [word for override in overrides for word in ('--set', override)]
    done = sightline(
      'run', self.config, '--ask' if ask else '--no-ask', *arguments, cwd=self.folder
    )
    new = set(self.root.glob('*/summary.json')) - before
    summary = json.loads(new.pop().read_text(encoding='utf-8')) if new else None
    return done._replace(summary=summary)
