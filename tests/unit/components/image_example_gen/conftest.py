import contextlib
import csv
import glob
import hashlib
import io
import json
import pathlib
import sqlite3
import types
from unittest import mock

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

from components.image_example_gen import (
  checks,
  descriptions,
  findings,
  ingest,
  inspection,
  lock,
  manifest,
  near_copies,
  perceptual,
  placement,
  rows,
  time_split,
)
from components.image_example_gen.index import Index
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
  """Returns write(lines, files, header): a data folder with labels.csv and images/."""

  def write(lines, files=None, header=('filename', 'label'), root=None) -> pathlib.Path:
    root = root or tmp_path / 'data'
    (root / 'images').mkdir(parents=True, exist_ok=True)
    with open(root / 'labels.csv', 'w', encoding='utf-8', newline='') as stream:
      writer = csv.writer(stream)
      writer.writerow(header)
      writer.writerows(lines)
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
def run_examine(tmp_path):
  """Returns run(root, **data settings): a look at the data, and what it wrote."""

  def run(root, **settings):
    out = tmp_path / 'examined'
    (out / 'dataset').mkdir(parents=True)
    outputs = ingest.Outputs({}, out / 'quarantine', out / 'dataset')
    summary = ingest.examine(
      DataConfig(root=root, **settings),
      outputs,
      tmp_path / 'state',
      lambda: beam.Pipeline(argv=[FN_API]),
    )
    assert json.loads((out / 'dataset' / 'dataset.json').read_text()) == summary
    return types.SimpleNamespace(
      summary=summary,
      folder=out,
      findings=_read_csv(out / 'dataset' / 'findings.csv'),
      quarantined=_read_csv(out / 'quarantine' / 'quarantine.csv'),
      manifest=pq.read_table(out / 'dataset' / 'manifest.parquet').to_pylist(),
    )

  return run


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


class Source:
  """A manifest without files, for `placed`: rows as pass 1 would have found them.

  A row is a dict of filename and label, and where wanted split (given), pixels
  (equal for copies), bytes (equal for one file), and columns.
  """

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._looks = 0

  def place(self, given, strict=True, pairs=(), columns=(), **settings):
    """Decides about the rows; returns {filename: row of the index} and the summary."""
    self._looks += 1
    data = DataConfig(root=self._folder, **settings)
    (self._folder / 'labels.csv').write_text(','.join(('filename', 'label', 'split', *columns)))
    opened = manifest.open_manifest(data)
    work = self._folder / f'look{self._looks}'
    work.mkdir()
    index = Index(work / 'index.sqlite3', data.split.seed)
    time = data.split.time_column
    clock = time_split.Clock('labels.csv', time, columns.index(time)) if time else None
    with contextlib.closing(index), descriptions.Descriptions(work / 'd') as store:
      gates = checks.Gates(strict)
      run = placement.Run(data, opened, index, store, work, self._folder, gates)
      found = [_found(number, row, columns) for number, row in enumerate(given, start=2)]
      groups = {name: columns.index(name) for name in data.group_columns}
      index.add(found, store, groups, clock)
      positions = {row['filename']: number for number, row in enumerate(given)}
      with mock.patch.object(near_copies, 'find') as find:
        find.return_value = [
          near_copies.Match(positions[a], positions[b], how, similarity)
          for a, b, how, similarity in pairs
        ]
        summary = placement.decide(run)
      index.connection.row_factory = sqlite3.Row
      table = index.connection.execute('SELECT * FROM images').fetchall()
      return types.SimpleNamespace(
        rows={row['filename']: dict(row) for row in table},
        splits={row['filename']: row['split'] for row in table if not row['reason']},
        summary=summary,
        complaints=gates.complaints,
        locked=dict(index.locked()),
        findings=[finding._asdict() for finding in findings.collect(index.connection)],
        quarantined={one.filename: one for one in index.findings()},
      )

  def lock(self, result):
    """Locks what was decided."""
    lock.write(self._folder / 'splits.lock.csv', sorted(result.locked.items()))


def _found(number, row, columns):
  content = row.get('bytes', row['filename'])
  pixels = hashlib.sha256(row.get('pixels', content).encode()).hexdigest()
  return inspection.Inspected(
    rows.Row(
      number,
      row['filename'],
      row['label'],
      row.get('split', ''),
      tuple(str(row.get(name, '')) for name in columns),
      decision=row.get('decision', ''),
      group=row.get('group', ''),
    ),
    image_id=hashlib.sha256(content.encode()).hexdigest(),
    format='PNG',
    width=40,
    height=30,
    bytes=100,
    personal=tuple(row.get('personal', ())),
    description=perceptual.Description(pixels, bytes(32), 0, 30, bytes(4096), bytes(3072)),
  )


@pytest.fixture
def source(tmp_path):
  """A Source: decides about rows without reading an image."""
  return Source(tmp_path)
