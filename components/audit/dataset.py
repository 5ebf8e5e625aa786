"""Reads what ImageExampleGen left behind: the accepted images, and the rows that were not used."""

import csv
import dataclasses
import functools
import json
import pathlib
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from components.image_example_gen import decisions, findings, ingest, quarantine, records
from schemas import features


@dataclasses.dataclass(frozen=True)
class Images:
  """The accepted images; every list and array has one entry an image, in one order.

  Attributes:
    path: as in the manifest.
    label: class name.
    split: train, val, test or production.
    cluster: name of the cluster of copies; '' for an image that is alone.
    decision: what a reviewer decided, joined by +; '' for nothing.
    width: int64 [n], pixels.
    height: int64 [n], pixels.
    brightness: float64 [n], mean luma, 0..1.
    contrast: float64 [n], standard deviation of luma, 0..0.5.
    sharpness: float64 [n], variance of the luma's Laplacian.
    columns: name of a further column to its values.
    thumbnails: uint8 [n, 32, 32, 3], mapped from disk; None where there are none.
    row: of the manifest, where the header is row 1; None where it is not known.
  """

  path: list[str]
  label: list[str]
  split: list[str]
  cluster: list[str]
  decision: list[str]
  width: np.ndarray
  height: np.ndarray
  brightness: np.ndarray
  contrast: np.ndarray
  sharpness: np.ndarray
  columns: dict[str, list[str]]
  thumbnails: np.ndarray | None = None
  row: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.path)

  @functools.cached_property
  def position(self) -> dict[str, int]:
    """The position of each path."""
    return {path: index for index, path in enumerate(self.path)}

  @functools.cached_property
  def classes(self) -> list[str]:
    """Class names, sorted."""
    return sorted(set(self.label))

  @functools.cached_property
  def splits(self) -> list[str]:
    """Names of the splits that hold images: train, val and test first."""
    found = set(self.split)
    known = [name for name in features.SPLITS if name in found]
    return known + sorted(found - set(known))

  def row_of(self, path: str, split: str) -> int | None:
    """Returns the row of the manifest that puts a file into a split."""
    if self.row is None:
      return None
    places = zip(self.path, self.split, strict=True)
    return next(
      (int(self.row[at]) for at, place in enumerate(places) if place == (path, split)), None
    )

  def kept(self, position: int) -> bool:
    """Says whether a reviewer decided that the image is right as it is."""
    return decisions.KEEP in self.decision[position].split(decisions.SEPARATOR)


@dataclasses.dataclass(frozen=True)
class Dataset:
  """The images and what ingest says of them.

  Attributes:
    images: the accepted ones.
    summary: what dataset.json holds.
    findings: rows of ingest's findings.csv: copies, conflicts, leaks, personal data.
    quarantined: rows of quarantine.csv.
  """

  images: Images
  summary: dict[str, Any]
  findings: list[dict[str, str]]
  quarantined: list[dict[str, str]]


def read(dataset: pathlib.Path, rejected: pathlib.Path) -> Dataset:
  """Reads the artifacts `dataset` and `quarantine` of ImageExampleGen.

  Args:
    dataset: folder of manifest.parquet, dataset.json, thumbnails.npy, findings.csv.
    rejected: folder of quarantine.csv.
  """
  summary = json.loads((dataset / ingest.SUMMARY_FILE).read_text(encoding='utf-8'))
  return Dataset(
    images(dataset),
    summary,
    _rows(dataset / findings.FILE_NAME),
    _rows(rejected / quarantine.FILE_NAME),
  )


def images(folder: pathlib.Path) -> Images:
  """Reads manifest.parquet and thumbnails.npy."""
  table = pq.read_table(folder / ingest.MANIFEST_FILE)
  names = table.column_names

  def text(name: str) -> list[str]:
    return [value or '' for value in table[name].to_pylist()] if name in names else [''] * count

  count = table.num_rows
  thumbnails = folder / ingest.THUMBNAILS_FILE
  return Images(
    path=text('path'),
    label=text('label'),
    split=text(records.SPLIT),
    cluster=text('cluster'),
    decision=text('decision'),
    columns={
      name.removeprefix(features.COLUMN_PREFIX): text(name)
      for name in names
      if name.startswith(features.COLUMN_PREFIX)
    },
    thumbnails=np.load(thumbnails, mmap_mode='r') if thumbnails.is_file() and count else None,
    row=table['row'].to_numpy() if 'row' in names else None,
    **{
      name: table[name].to_numpy()
      for name in ('width', 'height', 'brightness', 'contrast', 'sharpness')
    },
  )


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
  if not path.is_file():
    return []
  with open(path, encoding='utf-8', newline='') as stream:
    return list(csv.DictReader(stream))
