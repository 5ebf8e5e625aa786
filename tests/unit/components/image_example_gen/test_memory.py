"""Peak memory of a whole process must not grow with the number of images."""

import subprocess
import sys

import pytest

_SCRIPT = """
import pathlib, resource, sys
import apache_beam as beam
import numpy as np
from PIL import Image
from components.image_example_gen import ingest
from schemas import features
from schemas.config import DataConfig

root, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
(root / 'images').mkdir(parents=True)
draw = np.random.default_rng(0)
with open(root / 'labels.csv', 'w') as stream:
  stream.write('filename,label\\n')
  for number in range(count):
    # Uncompressed, 720 kB each: kept in memory, four hundred of them show.
    pixels = draw.integers(0, 256, (480, 500, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / 'images' / f'{number}.bmp')
    stream.write(f'{number}.bmp,{"ab"[number % 2]}\\n')
out = ingest.Outputs({name: str(root / 'out' / name) for name in features.SPLITS}, root / 'out',
                     root / 'out')
out.dataset.mkdir()
runner = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'
ingest.ingest(DataConfig(root=root), out, root / 'state', '',
              lambda: beam.Pipeline(argv=[runner]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak(root, count) -> int:
  done = subprocess.run(
    [sys.executable, '-c', _SCRIPT, str(root), str(count)],
    capture_output=True,
    text=True,
    check=True,
  )
  return int(done.stdout.split()[-1])


@pytest.mark.slow
def test_ten_times_the_images_take_no_more_memory(tmp_path):
  few = _peak(tmp_path / 'few', 40)
  many = _peak(tmp_path / 'many', 400)
  assert many < 1.2 * few, f'{few} kB for 40 images, {many} kB for 400'
