"""From a folder of labelled images to checked and split records: the whole of it, without TFX."""

import json
import pathlib
import tempfile
from typing import NamedTuple

import numpy as np

from components.image_example_gen import (
  allocation,
  dataset_summary,
  exact_copies,
  findings,
  fingerprint,
  lineage,
  lock,
  passes,
  quarantine,
  split,
)
from components.image_example_gen.descriptions import Descriptions
from components.image_example_gen.index import Index
from components.image_example_gen.manifest import Manifest, open_manifest
from schemas.config import DataConfig
from schemas.errors import DataError

MANIFEST_FILE = 'manifest.parquet'
SUMMARY_FILE = 'dataset.json'
THUMBNAILS_FILE = 'thumbnails.npy'
_NAMED_FILES = 5


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
  manifest = open_manifest(data)
  state.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='ingest-', dir=state) as folder:
    work = pathlib.Path(folder)
    index = Index(work / 'index.sqlite3', data.split.seed)
    descriptions = Descriptions(work)
    try:
      for found in passes.inspect_all(manifest, work, make_pipeline):
        index.add(found, descriptions)
      index.fix(lock.read(lock.lock_path(data, manifest)))
      exact_copies.set_aside(index.connection)
      _check_bad_rows(index, manifest, data, state)
      tallies = _split(index, manifest, data, state, data_fingerprint)
      quarantine.write(outputs.quarantine, index.findings())
      groups = passes.write_manifest(outputs.dataset / MANIFEST_FILE, manifest, index.images())
      changed = passes.write_examples(
        outputs.dataset / MANIFEST_FILE, groups, manifest, outputs.examples, work, make_pipeline
      )
      if changed:
        raise DataError(
          f'{changed[0]}: expected the same bytes when read again. Received: others, in '
          f'{len(changed)} of the images. Wait until nothing writes to {manifest.images}, and '
          'run again.'
        )
      findings.write(outputs.dataset, findings.collect(index.connection))
      _write_thumbnails(outputs.dataset / THUMBNAILS_FILE, index, descriptions)
      summary = dataset_summary.summarise(index, manifest, data, tallies)
    finally:
      descriptions.close()
      index.close()
  # What an earlier run left behind when it failed is mended.
  (state / quarantine.FILE_NAME).unlink(missing_ok=True)
  text = json.dumps(summary, indent=2, ensure_ascii=False) + '\n'
  (outputs.dataset / SUMMARY_FILE).write_text(text, encoding='utf-8')
  return summary


def _write_thumbnails(path: pathlib.Path, index: Index, descriptions: Descriptions) -> None:
  """Writes uint8 [images, 32, 32, 3], in the order of manifest.parquet."""
  shape = (index.accepted, *descriptions.thumbnail(0).shape)
  # One after another: a file that is mapped into memory counts as memory.
  with open(path, 'wb') as stream:
    np.lib.format.write_array_header_1_0(
      stream, {'descr': '|u1', 'fortran_order': False, 'shape': shape}
    )
    for position in index.thumbnail_positions():
      stream.write(descriptions.thumbnail(position).tobytes())


def _check_bad_rows(
  index: Index, manifest: Manifest, data: DataConfig, state: pathlib.Path
) -> None:
  if not index.rows:
    raise DataError(
      f'{manifest.name}: expected one row an image. Received: no rows. '
      'Add a row with filename and label for each image.'
    )
  bad = dataset_summary.bad_count(index)
  if bad <= data.max_bad_fraction * index.rows:
    return
  # TFX removes the output folders of a run that failed.
  path = quarantine.write(state, index.findings())
  first = []
  for finding in index.findings(harmless=False):
    first.append(
      f'{manifest.name} row {finding.row}: {finding.filename!r} {finding.reason}: {finding.detail}'
    )
    if len(first) == _NAMED_FILES:
      break
  if bad > len(first):
    first.append(f'... and {bad - len(first)} more.')
  raise DataError(
    '\n'.join(
      [
        *first,
        f'{bad} of {index.rows} rows are bad ({100 * bad / index.rows:.1f} %); '
        f'data.max_bad_fraction is {data.max_bad_fraction:g}. All of them: {path}. '
        'Mend or remove these rows, or raise data.max_bad_fraction.',
      ]
    )
  )


def _split(
  index: Index, manifest: Manifest, data: DataConfig, state: pathlib.Path, data_fingerprint: str
) -> dict[str, split.Tally]:
  path = lock.lock_path(data, manifest)
  tallies = allocation.assign(index, data.split)
  if len(tallies) < 2:
    raise DataError(
      f'{manifest.name}: expected at least two classes. Received: '
      f'{", ".join(map(repr, tallies)) or "no usable image"}. Add images of another class.'
    )
  counts = index.counts(manifest.splits)
  split.check_splits({name: sum(classes.values()) for name, classes in counts.items()}, data.split)
  _check_classes(split.without_train(counts), index, manifest, path)
  lock.write(path, index.locked())
  with fingerprint.open_state(state) as connection:
    lineage.Lineage(connection).end(data_fingerprint, lock.content_hash(path))
  return tallies


def _check_classes(
  missing: dict[str, int], index: Index, manifest: Manifest, lock_path: pathlib.Path
) -> None:
  """Raises DataError where a model could not learn a class that it is measured by."""
  if not missing:
    return
  lines = []
  for label, count in list(missing.items())[:_NAMED_FILES]:
    files = index.filenames(label, _NAMED_FILES)
    lines.append(
      f'{manifest.name}: class {label!r}: expected images in train. Received: '
      f'{count} {"image" if count == 1 else "images"}, all in val or test: {", ".join(files)}'
      f'{" and others" if count > len(files) else ""}.'
    )
  if len(missing) > len(lines):
    lines.append(f'... and {len(missing) - len(lines)} more classes.')
  lines.append(
    'What train does not show, no model learns. Correct the label, add images of the class, '
    'or move some to train: by the column split, or where they are locked, in '
    f'{lock_path}.'
  )
  raise DataError('\n'.join(lines))
