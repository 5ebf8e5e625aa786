"""What benchmarks on real photos share: which photo stands where, and honest comparisons.

The photos are read by ImageExampleGen's own rules: what it would quarantine is left
out, near-copies stand in one split and in one fold. Photos of one crate taken seconds
apart are no near-copies, and nothing in the data says which these are: no time, no
EXIF, names made of hashes. Divided, they flatter every method. So series are guessed,
by colour: see `write_series`.
"""

import contextlib
import csv
import os
import pathlib
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import scipy.stats  # noqa: E402

from schemas.config import DataConfig, SplitConfig  # noqa: E402

SERIES = 'series'
# Of the colour histogram: bins of hue, saturation and value, over photos of this side.
BINS = (12, 4, 4)
SIDE = 96
# Photos of one series are so much alike as photos of two classes hardly ever are: so
# many of the photos have one of another class that is as near.
_STRANGERS = 0.01
COLUMNS = ('image_id', 'path', 'part', 'label', 'predicted')


class Difference(NamedTuple):
  """Two methods over the same photos.

  Attributes:
    only_first: photos that only the first has right.
    only_second: photos that only the second has right.
    p: of McNemar's exact test, two-sided: a fair coin over these two.
  """

  only_first: int
  only_second: int
  p: float


def examine(
  root: pathlib.Path,
  labels: pathlib.Path | None = None,
  shares: Mapping[str, float] | None = None,
) -> pd.DataFrame:
  """Returns manifest.parquet of a data folder: a row a photo, with `split` and `cluster`.

  Nothing is written but in a folder that goes.

  Args:
    root: the data folder.
    labels: as `write_series` returns it; without it only near-copies stand together.
    shares: of the splits; by default Sightline's own.
  """
  from components.image_example_gen import ingest

  with tempfile.TemporaryDirectory(prefix='photos-') as folder:
    outputs = _outputs(pathlib.Path(folder))
    data = _data(root, labels, pathlib.Path(folder, 'splits.lock.csv'), shares)
    ingest.examine(data, outputs, pathlib.Path(folder, 'state'), _beam())
    return pd.read_parquet(outputs.dataset / ingest.MANIFEST_FILE)


def write_records(
  root: pathlib.Path,
  folder: pathlib.Path,
  labels: pathlib.Path | None = None,
  shares: Mapping[str, float] | None = None,
) -> pd.DataFrame:
  """Has ImageExampleGen's ingest write folder/Split-<name>; returns manifest.parquet.

  What an earlier call completed stays. The split lock lies in `folder`: the photos
  may be read-only.

  Args:
    root: the data folder.
    folder: to write to.
    labels: as `write_series` returns it.
    shares: of the splits; by default Sightline's own.
  """
  from components.image_example_gen import ingest

  outputs = _outputs(folder)
  if not (outputs.dataset / ingest.SUMMARY_FILE).exists():
    data = _data(root, labels, folder / 'splits.lock.csv', shares)
    ingest.ingest(data, outputs, folder / 'state', '', _beam())
  return pd.read_parquet(outputs.dataset / ingest.MANIFEST_FILE)


def _data(
  root: pathlib.Path,
  labels: pathlib.Path | None,
  lock: pathlib.Path,
  shares: Mapping[str, float] | None,
) -> DataConfig:
  root = root.resolve()
  split = SplitConfig(**(shares or {}))
  if labels is None:
    return DataConfig(root=root, lock=lock, split=split)
  return DataConfig(
    root=root, lock=lock, labels=str(labels.resolve()), group_columns=(SERIES,), split=split
  )


def _outputs(folder: pathlib.Path):
  from components.image_example_gen import ingest
  from schemas import features

  dataset = folder / 'dataset'
  dataset.mkdir(parents=True, exist_ok=True)
  examples = {name: str(folder / f'Split-{name}') for name in features.SPLITS}
  return ingest.Outputs(examples, folder / 'quarantine', dataset)


def _beam() -> Callable:
  import apache_beam as beam

  from pipeline.create_pipeline import BEAM_ARGS

  return lambda: beam.Pipeline(argv=list(BEAM_ARGS))


def write_series(root: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
  """Writes folder/labels.csv: that of the data with a further column, the guessed series.

  Photos of one class (`fine_label`, where there is one) are linked where the Hellinger
  distance of their colour histograms is below what 1 % of the photos have to one of
  another class; a series is what hangs together. It puts colour at a disadvantage that
  a network has less of, and series whose light or angle changed are not found: the
  truth lies between the figures with and without it.
  """
  from scipy.sparse import csgraph

  rows = pd.read_csv(root / 'labels.csv', dtype=str)
  roots = np.sqrt(histograms(decode(root, list(rows['filename']), SIDE)).astype(np.float64))
  distances = np.sqrt(np.maximum(1 - roots @ roots.T, 0))
  label = rows['label'].to_numpy()
  finest = rows['fine_label'].to_numpy() if 'fine_label' in rows else label
  strangers = label[:, None] != label[None]
  limit = np.quantile(np.where(strangers, distances, np.inf).min(axis=1), _STRANGERS)
  linked = (distances < limit) & (finest[:, None] == finest[None])
  _, rows[SERIES] = csgraph.connected_components(linked, directed=False)
  folder.mkdir(parents=True, exist_ok=True)
  rows.to_csv(folder / 'labels.csv', index=False)
  return folder / 'labels.csv'


def histograms(pixels: np.ndarray) -> np.ndarray:
  """Returns float32 [n, 192], the share of pixels in each bin of hue, saturation and value."""
  import cv2

  found = []
  for image in pixels:
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, BINS, [0, 180, 0, 256, 0, 256])
    found.append(counts.ravel() / counts.sum())
  return np.array(found, np.float32)


def folds(rows: pd.DataFrame, count: int, seed: int) -> np.ndarray:
  """Deals photos to folds, near-copies whole and classes evenly: int8 [n]."""
  from components.audit import folds as dealt

  _, labels = np.unique(rows['label'], return_inverse=True)
  names, clusters = np.unique(rows['cluster'], return_inverse=True)
  # The empty name stands for photos that are alone.
  clusters = np.where(names[clusters] == '', -1, clusters)
  return dealt.assign(labels, clusters, seed, count)


def decode(root: pathlib.Path, paths: Sequence[str], side: int) -> np.ndarray:
  """Decodes photos as training does: uint8 [n, side, side, 3], RGB."""
  import tensorflow as tf

  from components.image_example_gen.manifest import open_manifest
  from models import decoder, image_file
  from schemas.config import ImageConfig

  image = ImageConfig(height=side, width=side)
  manifest = open_manifest(DataConfig(root=root.resolve()))
  pixels: np.ndarray = np.empty((len(paths), side, side, 3), np.uint8)
  one = tf.function(lambda data: decoder.decode_and_resize(data, image))
  for index, path in enumerate(paths):
    data = image_file.prepare(manifest.locate(path).read_bytes()).encoded
    pixels[index] = np.round(one(tf.constant(data)).numpy())
  return pixels


def compare(first: np.ndarray, second: np.ndarray) -> Difference:
  """Compares two methods on the same photos by McNemar's exact test (1947).

  Args:
    first: bool [n], whether the first has each photo right.
    second: bool [n], likewise.
  """
  only_first = int((first & ~second).sum())
  only_second = int((second & ~first).sum())
  apart = only_first + only_second
  p = scipy.stats.binomtest(only_first, apart, 0.5).pvalue if apart else 1.0
  return Difference(only_first, only_second, float(p))


def share(right: np.ndarray) -> str:
  """Says how many are right, with the 95 % interval of Wilson."""
  from components.evaluator import metrics

  correct, total = int(right.sum()), len(right)
  low, high = metrics.interval(correct, total)
  return f'{correct / max(total, 1):6.1%} of {total:4} ({low:.1%} to {high:.1%})'


def write_predictions(path: pathlib.Path, rows: pd.DataFrame) -> None:
  """Writes COLUMNS of `rows` as CSV."""
  path.parent.mkdir(parents=True, exist_ok=True)
  rows.to_csv(path, columns=list(COLUMNS), index=False, quoting=csv.QUOTE_MINIMAL)


def read_answers(path: pathlib.Path) -> pd.DataFrame:
  """Reads what a method answered: `image_id`, `part` and `right`.

  Args:
    path: a CSV with COLUMNS, or predictions.parquet as the Evaluator writes it, whose
      photos are of part `test`.
  """
  if path.suffix == '.parquet':
    rows = pd.read_parquet(path)
    rows['part'] = 'test'
    rows['right'] = [
      int(np.argmax(answer)) == truth
      for answer, truth in zip(rows['candidate'], rows['label_id'], strict=True)
    ]
  else:
    rows = pd.read_csv(path)
    rows['right'] = rows['label'] == rows['predicted']
  return rows[['image_id', 'part', 'right']]


def say_machine(*packages: str) -> None:
  """Prints device, versions and load."""
  from importlib import metadata

  versions = ', '.join(f'{name} {metadata.version(name)}' for name in packages)
  print(f'{platform.platform()}, {cpu()}, {len(os.sched_getaffinity(0))} cores')
  print(f'Python {platform.python_version()}, {versions}; load {os.getloadavg()[0]:.1f}')


def code() -> str:
  """Returns what trains, as a text: a kept answer of other code or other libraries is not taken."""
  from importlib import metadata

  from pipeline import code_fingerprint

  versions = [metadata.version(name) for name in ('tensorflow', 'keras')]
  return '-'.join([code_fingerprint.fingerprint('models', 'schemas'), *versions])


def cpu() -> str:
  """Returns the name of the processor."""
  lines = pathlib.Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
  return next((line.split(': ')[1] for line in lines if line.startswith('model name')), 'CPU')


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Sends what libraries write to standard error nowhere; prints stay."""
  sys.stdout.flush()
  kept = os.dup(2)
  with open(os.devnull, 'wb') as nowhere:
    os.dup2(nowhere.fileno(), 2)
    try:
      yield
    finally:
      os.dup2(kept, 2)
      os.close(kept)
