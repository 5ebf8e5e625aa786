import csv
import glob
import io
import json
import pathlib
import types

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from components.image_example_gen import ingest, manifest
from schemas.config import DataConfig

FN_API = '--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner'


def _encode(seed: int, width: int = 13, height: int = 9, image_format: str = 'PNG', **options):
  """A coloured image that is not square: every seed gives other pixels."""
  pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, image_format, **options)
  return stream.getvalue()


@pytest.fixture
def encode():
  return _encode


@pytest.fixture
def write_data(tmp_path):
  """Returns write(rows, files, header): a data folder with labels.csv and images/."""

  def write(rows, files=None, header=('filename', 'label'), root=None) -> pathlib.Path:
    root = root or tmp_path / 'data'
    (root / 'images').mkdir(parents=True, exist_ok=True)
    with open(root / 'labels.csv', 'w', encoding='utf-8', newline='') as stream:
      writer = csv.writer(stream)
      writer.writerow(header)
      writer.writerows(rows)
    for name, content in (files or {}).items():
      path = root / 'images' / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(content)
    return root

  return write


@pytest.fixture
def good_data(write_data):
  """Twenty images, ten of each of two classes, with a column."""
  names = [f'{number:02d}.png' for number in range(20)]
  return write_data(
    [
      (name, 'cat' if number < 10 else 'dog', f'site{number % 3}')
      for number, name in enumerate(names)
    ],
    {name: _encode(number) for number, name in enumerate(names)},
    header=('filename', 'label', 'site'),
  )


def _read_csv(path):
  with open(path, encoding='utf-8', newline='') as stream:
    return list(csv.DictReader(stream))


@pytest.fixture
def run_ingest(tmp_path):
  """Returns run(root, **data settings): a real ingest, and what it wrote."""
  runs = []

  def run(root, data_fingerprint='', **settings):
    runs.append(None)
    out = tmp_path / f'out{len(runs)}'
    data = DataConfig(root=root, **settings)
    outputs = ingest.Outputs(
      {name: str(out / f'Split-{name}') for name in manifest.splits(data)},
      out / 'quarantine',
      out / 'dataset',
    )
    outputs.dataset.mkdir(parents=True)
    summary = ingest.ingest(
      data,
      outputs,
      tmp_path / 'state',
      data_fingerprint,
      lambda: beam.Pipeline(argv=[FN_API]),
    )
    assert json.loads((outputs.dataset / 'dataset.json').read_text()) == summary
    records = {
      name: [
        tf.train.Example.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(sorted(glob.glob(f'{folder}/*.tfrecord')))
      ]
      for name, folder in outputs.examples.items()
    }
    return types.SimpleNamespace(
      summary=summary,
      quarantined=_read_csv(outputs.quarantine / 'quarantine.csv'),
      records=records,
      outputs=outputs,
      findings=_read_csv(outputs.dataset / 'findings.csv'),
      thumbnails=np.load(outputs.dataset / 'thumbnails.npy'),
      manifest=pq.read_table(outputs.dataset / 'manifest.parquet').to_pylist(),
    )

  return run


@pytest.fixture(scope='session')
def picture():
  """Returns the function that draws a photo-like image: uint8 [height, width, 3].

  Blots of every size, as in photos more of the coarse than of the fine, and edges.
  """

  def draw(seed: int, height: int, width: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    canvas = np.zeros((height, width, 3))
    for cells in (3, 6, 12, 24, 48):
      noise = random.normal(0, 70 / cells**0.7, (cells, cells, 3))
      layers = [
        Image.fromarray(noise[..., channel].astype(np.float32)).resize(
          (width, height), Image.Resampling.BICUBIC
        )
        for channel in range(3)
      ]
      canvas += np.stack([np.asarray(layer) for layer in layers], axis=-1)
    image = Image.fromarray(np.clip(canvas + 128, 0, 255).astype(np.uint8))
    for _ in range(12):
      x, y = random.integers(0, width), random.integers(0, height)
      w, h = random.integers(4, width // 2), random.integers(4, height // 2)
      shape = [(x - w // 2, y - h // 2), (x + w // 2, y + h // 2)]
      colour = tuple(int(value) for value in random.integers(0, 256, 3))
      drawing = ImageDraw.Draw(image)
      (drawing.ellipse if random.random() < 0.6 else drawing.rectangle)(shape, fill=colour)
    return np.asarray(image)

  return draw
