"""Times the search for near copies at two sizes, beside what all pairs would be.

    .venv/bin/python benchmarks/near_copies.py [--sizes 10000 100000] [--memory]

The images are made up: blots of every size; every tenth is the one before it, cropped
to about 90 %. With --memory a second run counts what Python and NumPy allocate at most;
it holds the chunk at work too, which is the same at both sizes.
"""

import argparse
import os
import pathlib
import platform
import sys
import tempfile
import time
import tracemalloc

import cv2
import numpy as np
import threadpoolctl

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from components.image_example_gen import near_copies, perceptual  # noqa: E402
from components.image_example_gen.descriptions import Descriptions  # noqa: E402

# One of so many has a copy.
COPY_EVERY = 10


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--sizes', type=int, nargs=2, default=[10_000, 100_000])
  parser.add_argument('--memory', action='store_true', help='also account for memory')
  args = parser.parse_args()
  print(f'{platform.platform()}, {os.cpu_count()} cores, NumPy {np.__version__}')
  print(
    'images   found/planted  seconds  ms/image compared/image of all pairs   aligned bytes/image'
  )
  rows = [measure(size, args.memory) for size in args.sizes]
  print(
    f'{args.sizes[1] / args.sizes[0]:.1f} times the images: {rows[1][0] / rows[0][0]:.1f} times '
    f'the seconds, {rows[1][1] / rows[0][1]:.1f} times the comparisons'
  )


def measure(size: int, memory: bool) -> tuple[float, int]:
  """Prints one row; returns seconds and comparisons."""
  with tempfile.TemporaryDirectory() as folder, Descriptions(folder) as store:
    planted = fill(store, size)
    effort = near_copies.Effort()
    start = time.perf_counter()
    # As ImageExampleGen calls it.
    with threadpoolctl.threadpool_limits(1, user_api='blas'):
      found = sum(1 for _ in near_copies.find(store, effort))
    seconds = time.perf_counter() - start
    bytes_an_image = peak(store) / size if memory else float('nan')
  share = effort.compared / (size * (size - 1) / 2)
  print(
    f'{size:6} {found:7}/{planted:<7} {seconds:7.1f} {seconds / size * 1e3:9.2f} '
    f'{effort.compared / size:15.0f} {share:12.2%} {effort.aligned:9} {bytes_an_image:8.0f}',
    flush=True,
  )
  return seconds, effort.compared


def fill(store: Descriptions, size: int) -> int:
  """Stores `size` pictures of blots; every tenth is the one before, cropped to 90 %."""
  draw = np.random.default_rng(size)
  planted = 0
  picture = blots(draw)
  for position in range(size):
    if position % COPY_EVERY == COPY_EVERY - 1:
      picture = cv2.resize(picture[4:92, 4:92], (96, 96))
      planted += 1
    else:
      picture = blots(draw)
    store.append(perceptual.describe(picture))
  return planted


def blots(draw: np.random.Generator) -> np.ndarray:
  """Returns uint8 [96, 96, 3]: coarse and fine blots, as a photo has them."""
  picture = np.full((96, 96), 128.0, np.float32)
  for cells in (4, 9, 20, 44):
    noise = draw.normal(0, 75 / cells**0.7, (cells, cells)).astype(np.float32)
    picture += cv2.resize(noise, (96, 96), interpolation=cv2.INTER_CUBIC)
  grey = np.clip(picture, 0, 255).astype(np.uint8)
  return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def peak(store: Descriptions) -> int:
  """Returns the bytes that a search allocates at most."""
  tracemalloc.start()
  for _ in near_copies.find(store):
    pass
  _, highest = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  return highest


if __name__ == '__main__':
  main()
