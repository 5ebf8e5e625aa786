"""From a folder of labelled images to checked and split records: the whole of it, without TFX."""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from components.image_example_gen import (
  checks,
  findings,
  fingerprint,
  lineage,
  lock,
  passes,
  perceptual,
  placement,
  quarantine,
  time_split,
)
from components.image_example_gen.descriptions import Descriptions
from components.image_example_gen.index import Index
from components.image_example_gen.manifest import open_manifest
from schemas.config import DataConfig
from schemas.errors import DataError

MANIFEST_FILE = 'manifest.parquet'
SUMMARY_FILE = 'dataset.json'
THUMBNAILS_FILE = 'thumbnails.npy'


class Outputs(NamedTuple):
  """Folders to write to.

  Attributes:
    examples: of each split; by Beam, so they may lie in a bucket.
    quarantine: gets quarantine.csv.
    dataset: gets manifest.parquet, thumbnails.npy, findings.csv and dataset.json.
  """

  examples: dict[str, str]
  quarantine: pathlib.Path
  dataset: pathlib.Path


def ingest(
  data: DataConfig,
  outputs: Outputs,
  state: pathlib.Path,
  data_fingerprint: str,
  make_pipeline: passes.MakePipeline,
) -> dict:
  """Checks, measures, splits and writes all images.

  Args:
    data: where they lie, and what is asked of them.
    outputs: where the results go.
    state: a folder that outlives the run: work files, what is remembered of
      earlier runs, and quarantine.csv of a run that failed.
    data_fingerprint: as the driver computed it; '' where there was no driver.
    make_pipeline: makes a Beam pipeline.

  Returns:
    What dataset.json holds.

  Raises:
    DataError: the data cannot be used; the text says why and what to do.
  """
  advice = f'To see all of it: sightline data audit --data-root {data.root} --output audit'
  with _inspected(data, state, make_pipeline, checks.Gates(strict=True, advice=advice)) as run:
    summary = placement.decide(run)
    lock.write(run.lock_path, run.index.locked())
    with fingerprint.open_state(state) as connection:
      lineage.Lineage(connection).end(data_fingerprint, lock.content_hash(run.lock_path))
    groups = _write(run, outputs)
    changed = passes.write_examples(
      outputs.dataset / MANIFEST_FILE,
      groups,
      run.manifest,
      outputs.examples,
      run.work,
      make_pipeline,
    )
    if changed:
      raise DataError(
        f'{changed[0]}: expected the same bytes when read again. Received: others, in '
        f'{len(changed)} of the images. Wait until nothing writes to {run.manifest.images}, and '
        'run again.'
      )
  # What an earlier run left behind when it failed is mended.
  (state / quarantine.FILE_NAME).unlink(missing_ok=True)
  return _write_summary(outputs, summary)


def examine(
  data: DataConfig,
  outputs: Outputs,
  state: pathlib.Path,
  make_pipeline: passes.MakePipeline,
) -> dict:
  """Does what `ingest` does, without records and split lock: to look at the data.

  What would stop a run does not stop this; where copies stand in several splits,
  they stay, as with data.on_leak 'warn'.

  Args:
    data: where the images lie, and what is asked of them.
    outputs: where the results go; `examples` is not read.
    state: a folder for work files.
    make_pipeline: makes a Beam pipeline.

  Returns:
    What dataset.json holds: as with `ingest`, and `would_stop`, the complaints.

  Raises:
    DataError: nothing can be read.
  """
  with _inspected(data, state, make_pipeline, checks.Gates(strict=False)) as run:
    summary = placement.decide(run)
    _write(run, outputs)
  return _write_summary(outputs, {**summary, 'would_stop': run.gates.complaints})


@contextlib.contextmanager
def _inspected(
  data: DataConfig, state: pathlib.Path, make_pipeline: passes.MakePipeline, gates: checks.Gates
) -> Iterator[placement.Run]:
  """Reads every image once."""
  manifest = open_manifest(data)
  groups = {name: manifest.columns.index(name) for name in data.group_columns}
  column = data.split.time_column
  state.mkdir(parents=True, exist_ok=True)
  with (
    tempfile.TemporaryDirectory(prefix='ingest-', dir=state) as folder,
    contextlib.closing(Index(pathlib.Path(folder, 'index.sqlite3'), data.split.seed)) as index,
    contextlib.closing(Descriptions(pathlib.Path(folder, 'descriptions'))) as descriptions,
  ):
    run = placement.Run(data, manifest, index, descriptions, pathlib.Path(folder), state, gates)
    clock = (
      time_split.Clock(manifest.name, column, manifest.columns.index(column)) if column else None
    )
    for found in passes.inspect_all(manifest, run.work, make_pipeline):
      index.add(found, descriptions, groups, clock)
    checks.check_rows(index, manifest)
    yield run


def _write(run: placement.Run, outputs: Outputs) -> int:
  """Writes all but records and summary; returns the row groups of manifest.parquet."""
  quarantine.write(outputs.quarantine, run.index.findings())
  findings.write(outputs.dataset, findings.collect(run.index.connection))
  _write_thumbnails(outputs.dataset / THUMBNAILS_FILE, run.index, run.descriptions)
  return passes.write_manifest(outputs.dataset / MANIFEST_FILE, run.manifest, run.index.images())


def _write_thumbnails(path: pathlib.Path, index: Index, descriptions: Descriptions) -> None:
  """Writes uint8 [images, 32, 32, 3], in the order of manifest.parquet."""
  side = perceptual.THUMBNAIL_SIDE
  # One after another: a file that is mapped into memory counts as memory.
  with open(path, 'wb') as stream:
    np.lib.format.write_array_header_1_0(
      stream,
      {'descr': '|u1', 'fortran_order': False, 'shape': (index.accepted, side, side, 3)},
    )
    for position in index.thumbnail_positions():
      stream.write(descriptions.thumbnail(position).tobytes())


def _write_summary(outputs: Outputs, summary: dict) -> dict:
  text = json.dumps(summary, indent=2, ensure_ascii=False) + '\n'
  (outputs.dataset / SUMMARY_FILE).write_text(text, encoding='utf-8')
  return summary
