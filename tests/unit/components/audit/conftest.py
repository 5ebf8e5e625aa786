"""A Dataset artifact made by hand, by the columns that ImageExampleGen writes."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.audit import dataset

FINDING_COLUMNS = (
  'code', 'filename', 'other', 'label', 'other_label', 'split', 'split_other', 'detail'
)  # fmt: skip


@pytest.fixture
def make_images():
  """Returns make(labels, **fields): Images with everyday values where none are given."""

  def make(labels, **fields) -> dataset.Images:
    count = len(labels)
    rng = np.random.default_rng(0)
    given = {
      'path': [f'{number:03d}.png' for number in range(count)],
      'label': list(labels),
      'split': ['train'] * count,
      'cluster': [''] * count,
      'decision': [''] * count,
      'width': np.full(count, 120),
      'height': np.full(count, 90),
      'brightness': np.full(count, 0.5),
      'contrast': np.full(count, 0.2),
      'sharpness': 0.01 * 10 ** rng.normal(0, 0.1, count),
      'columns': {},
    }
    return dataset.Images(**{**given, **fields})

  return make


@dataclasses.dataclass
class Made:
  """A data folder and the artifacts of ImageExampleGen over it."""

  root: pathlib.Path
  dataset: pathlib.Path
  quarantine: pathlib.Path


def _pixels(number: int, label: str) -> np.ndarray:
  """Noise in which the class decides on the colour; 60 wide, 44 high."""
  rng = np.random.default_rng(number)
  pixels = rng.integers(0, 120, (44, 60, 3))
  pixels[..., {'red': 0, 'green': 1, 'blue': 2}[label]] += 120
  return pixels.astype(np.uint8)


def _measure(pixels: np.ndarray) -> dict[str, float]:
  luma = np.asarray(Image.fromarray(pixels).convert('L'), float) / 255
  laplacian = (
    luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
  )
  return {
    'brightness': luma.mean(),
    'contrast': luma.std(),
    'sharpness': laplacian.var(),
  }


@pytest.fixture
def make_artifacts(tmp_path):
  """Returns make(rows, ...): images on disk, and the artifacts that describe them.

  A row is (filename, label, extra columns); `pixels` replaces single images.
  """

  def make(rows, pixels=None, findings=(), quarantined=(), would_stop=(), columns=()) -> Made:
    made = Made(tmp_path / 'data', tmp_path / 'dataset', tmp_path / 'quarantine')
    for folder in (made.root / 'images', made.dataset, made.quarantine):
      folder.mkdir(parents=True)
    records, thumbnails = [], []
    for number, (name, label, extra) in enumerate(rows):
      content = (pixels or {}).get(name)
      content = _pixels(number, label) if content is None else content
      image = Image.fromarray(content)
      path = made.root / 'images' / name
      path.parent.mkdir(parents=True, exist_ok=True)
      image.save(path, 'PNG')
      thumbnails.append(np.asarray(image.resize((32, 32))))
      height, width = content.shape[:2]
      records.append(
        {
          'path': name,
          'image_id': f'{number:064x}',
          'label': label,
          'split': ('train', 'train', 'train', 'val', 'test')[number % 5],
          'row': number + 2,
          'format': 'PNG',
          'width': width,
          'height': height,
          'bytes': path.stat().st_size,
          'aspect': width / height,
          **_measure(content),
          'bucket/brightness': 'medium',
          'bucket/size': 'tiny',
          'cluster': '',
          'leak': 'no',
          'decision': '',
          **{f'column/{key}': value for key, value in zip(columns, extra, strict=True)},
        }
      )
    pq.write_table(pa.Table.from_pylist(records), made.dataset / 'manifest.parquet')
    np.save(made.dataset / 'thumbnails.npy', np.stack(thumbnails))
    _write(made.dataset / 'findings.csv', FINDING_COLUMNS, findings)
    _write(made.quarantine / 'quarantine.csv', ('row', 'filename', 'reason', 'detail'), quarantined)
    summary = {
      'dataset_sha256': 'ab' * 32,
      'images': len(rows),
      'rows': len(rows) + len(quarantined),
      'classes': sorted({label for _, label, _ in rows}),
      'columns': list(columns),
      'warnings': [],
      'would_stop': list(would_stop),
      'quarantined': {},
    }
    (made.dataset / 'dataset.json').write_text(json.dumps(summary), encoding='utf-8')
    return made

  return make


def _write(path: pathlib.Path, header, rows) -> None:
  with open(path, 'w', encoding='utf-8', newline='') as stream:
    writer = csv.writer(stream)
    writer.writerow(header)
    writer.writerows(rows)
