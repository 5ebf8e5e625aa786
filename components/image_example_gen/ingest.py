"""From a folder of labelled images to checked and split records: the whole of it, without TFX."""

import contextlib
import dataclasses
import json
import pathlib
import shlex
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from components.image_example_gen import (
  checks,
  decisions,
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
from components.image_example_gen.manifest import Manifest, open_manifest
from components.image_example_gen.rows import Row
from schemas.config import DataConfig
from schemas.errors import DataError

MANIFEST_FILE = 'manifest.parquet'
SUMMARY_FILE = 'dataset.json'
THUMBNAILS_FILE = 'thumbnails.npy'
# What the findings of an audit do not depend on, or what it is told otherwise.
_NOT_FOR_THE_AUDIT = {'root', 'span', 'bundled', 'card', 'on_drift', 'schema_path'}


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
  gates = checks.Gates(strict=True, advice=_advice(data))
  with _inspected(data, state, make_pipeline, gates) as run:
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
  they stay, as with data.on_leak 'warn'. Without a time of every image, it goes on
  without a split by time, and without decisions where these cannot be read.

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
  manifest = _with_legible_decisions(open_manifest(data), gates)
  groups = {name: manifest.columns.index(name) for name in data.group_columns}
  column = data.split.time_column
  state.mkdir(parents=True, exist_ok=True)
  with (
    tempfile.TemporaryDirectory(prefix='ingest-', dir=state) as folder,
    contextlib.closing(Index(pathlib.Path(folder, 'index.sqlite3'), data.split.seed)) as index,
    contextlib.closing(Descriptions(pathlib.Path(folder, 'descriptions'))) as descriptions,
  ):
    work = pathlib.Path(folder)
    clock = (
      _GatedClock(time_split.Clock(manifest.name, column, manifest.columns.index(column)), gates)
      if column
      else None
    )
    for found in passes.inspect_all(manifest, work, make_pipeline):
      index.add(found, descriptions, groups, clock)
    checks.check_rows(index, manifest)
    if clock and not clock.whole:
      without_time = data.split.model_copy(update={'time_column': None})
      data = data.model_copy(update={'split': without_time})
    yield placement.Run(data, manifest, index, descriptions, work, state, gates)


class _GatedClock:
  """A clock that is not asked again once a row had no time, and the gates let it pass.

  Attributes:
    whole: whether all rows so far had a time.
  """

  def __init__(self, clock: Callable[[Row], int | float], gates: checks.Gates):
    self._clock = clock
    self._gates = gates
    self.whole = True

  def __call__(self, row: Row) -> int | float | None:
    time = None
    if self.whole:
      with self._gates.gate():
        time = self._clock(row)
      self.whole = time is not None
    return time


def _with_legible_decisions(manifest: Manifest, gates: checks.Gates) -> Manifest:
  if manifest.decisions:
    legible = False
    with gates.gate():
      decisions.read(manifest.decisions)
      legible = True
    if not legible:
      return dataclasses.replace(manifest, decisions=None)
  return manifest


def _advice(data: DataConfig) -> str:
  """Names the command that shows what stopped the run, with the settings that it stopped with."""
  asked, default = (each.model_dump(exclude=_NOT_FOR_THE_AUDIT) for each in (data, DataConfig()))
  source = 'CONFIG' if asked != default else f'--data-root {shlex.quote(str(data.root))}'
  note = ' (CONFIG is the file of this run)' if asked != default else ''
  return f'To see all of it: sightline data audit {source} --output audit{note}'


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
