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
from PIL import Image

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
