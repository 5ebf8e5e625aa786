"""Photos that nobody took, for benchmarks: fast to make, the same each time.

348 x 348 pixels like the photos of a small data set on disk: a soft background,
shapes with hard edges, fine texture and noise, so that a JPEG of quality 90 has
40 to 60 kB, as a photo has, and no two look alike.
"""

import csv
import functools
import multiprocessing
import os
import pathlib

import cv2
import numpy as np

SIDE = 348
CLASSES = ('ash', 'birch', 'elm', 'fir', 'larch', 'lime', 'oak', 'yew')
PLACES = ('field', 'garden', 'wood')
_QUALITY = 90
_SHAPES = 14
# A change in how they are made: raise it, and what lies in a cache is made anew.
_VERSION = 1


def write(root: pathlib.Path, count: int) -> pathlib.Path:
  """Writes images/<number>.jpg and labels.csv; what an earlier call completed stays.

  Image n is the same in data sets of all sizes.

  Returns:
    root.
  """
  marker = root / f'complete-{_VERSION}'
  if marker.exists():
    return root
  (root / 'images').mkdir(parents=True, exist_ok=True)
  with multiprocessing.get_context('spawn').Pool(len(os.sched_getaffinity(0))) as pool:
    work = functools.partial(_write_image, str(root / 'images'))
    for _ in pool.imap_unordered(work, range(count), chunksize=64):
      pass
  with open(root / 'labels.csv', 'w', encoding='utf-8', newline='') as stream:
    rows = csv.writer(stream)
    rows.writerow(('filename', 'label', 'place'))
    for number in range(count):
      rows.writerow((_name(number), CLASSES[number % len(CLASSES)], PLACES[number % 3]))
  marker.touch()
  return root


def draw(number: int) -> np.ndarray:
  """Returns photo `number`: uint8 [SIDE, SIDE, 3]."""
  random = np.random.default_rng(number)
  colours = random.integers(30, 226, (6, 6, 3), dtype=np.uint8)
  pixels = cv2.resize(colours, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
  for _ in range(_SHAPES):
    centre = tuple(int(value) for value in random.integers(0, SIDE, 2))
    axes = tuple(int(value) for value in random.integers(6, 80, 2))
    colour = tuple(int(value) for value in random.integers(0, 256, 3))
    turn = int(random.integers(0, 180))
    if random.random() < 0.5:
      cv2.ellipse(pixels, centre, axes, turn, 0, 360, colour, -1, cv2.LINE_AA)
    else:
      corners = cv2.boxPoints((centre, axes, turn)).astype(np.int32)
      cv2.fillPoly(pixels, [corners], colour, cv2.LINE_AA)
  # Two scales of texture: leaves, and the sensor.
  coarse = random.normal(0, 14, (SIDE // 3, SIDE // 3)).astype(np.float32)
  texture = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)[..., None]
  noise = random.standard_normal((SIDE, SIDE, 3), np.float32) * random.uniform(5, 10)
  return np.clip(pixels + texture + noise, 0, 255).astype(np.uint8)


def _write_image(folder: str, number: int) -> None:
  cv2.setNumThreads(1)
  _, encoded = cv2.imencode('.jpg', draw(number), (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
  pathlib.Path(folder, _name(number)).write_bytes(encoded.tobytes())


def _name(number: int) -> str:
  return f'{number:06d}.jpg'
