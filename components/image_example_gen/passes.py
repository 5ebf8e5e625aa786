"""The two passes over the images, as Beam pipelines.

No image ever passes a GroupByKey or a Reshuffle, which would keep it in memory:
row group numbers go in, and each worker reads, works and writes in one stage.
Rows and results travel by Parquet files in a work folder.
"""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

from components.image_example_gen import inspection, parallel, records
from components.image_example_gen.inspection import Inspected
from components.image_example_gen.location import FileError
from components.image_example_gen.manifest import Manifest
from components.image_example_gen.perceptual import Description
from components.image_example_gen.records import Accepted
from components.image_example_gen.rows import Row
from models import image_file
from models.measurements import Measurements

# Rows a group: some thousand bytes of rows, and enough work for all cores.
ROW_GROUP = 256
_ROWS = 'rows.parquet'
_ROW_SCHEMA = pa.schema(
  [
    ('number', pa.int64()),
    ('filename', pa.string()),
    ('label', pa.string()),
    ('split', pa.string()),
    ('columns', pa.list_(pa.string())),
    ('reason', pa.string()),
    ('detail', pa.string()),
    ('decision', pa.string()),
    ('group', pa.string()),
  ]
)
_FOUND_SCHEMA = pa.schema(
  [
    *_ROW_SCHEMA,
    ('image_id', pa.string()),
    ('format', pa.string()),
    ('width', pa.int64()),
    ('height', pa.int64()),
    ('bytes', pa.int64()),
    ('measured', pa.list_(pa.float64())),
    ('personal', pa.list_(pa.string())),
    ('pixel_id', pa.string()),
    ('hashes', pa.binary()),
    ('quality', pa.int64()),
    ('side', pa.int64()),
    ('signature', pa.binary()),
    ('thumbnail', pa.binary()),
  ]
)

MakePipeline = Callable[[], beam.Pipeline]


def inspect_all(
  manifest: Manifest,
  work: pathlib.Path,
  make_pipeline: MakePipeline,
) -> Iterator[list[Inspected]]:
  """Pass 1: reads, decodes and measures each image once.

  Yields:
    What was found, a row group at a time, in the order of the manifest.

  Raises:
    DataError: the manifest cannot be read.
  """
  groups = _write_groups(work / _ROWS, _ROW_SCHEMA, (row._asdict() for row in manifest.rows()))
  with make_pipeline() as pipeline:
    _ = pipeline | _groups(groups) | 'Inspect' >> beam.ParDo(_Inspect(manifest, work))
  for group in range(groups):
    path = _found_path(work, group)
    yield [_from_found(found) for found in pq.read_table(path).to_pylist()]
    path.unlink()


def write_manifest(
  path: pathlib.Path,
  manifest: Manifest,
  images: Iterator[Accepted],
) -> int:
  """Writes manifest.parquet and returns its number of row groups."""
  return _write_groups(
    path,
    records.parquet_schema(manifest.columns),
    (records.to_row(image, manifest.columns) for image in images),
  )


def write_examples(
  accepted: pathlib.Path,
  groups: int,
  manifest: Manifest,
  folders: dict[str, str],
  work: pathlib.Path,
  make_pipeline: MakePipeline,
) -> list[str]:
  """Pass 2: reads the accepted images again and writes a TFRecord file a split.

  The records of a split stand in the order of manifest.parquet. They are not
  compressed: images are already.

  Args:
    accepted: manifest.parquet.
    groups: its number of row groups.
    manifest: knows where the files lie.
    folders: of each split.
    work: a folder for what the workers have to say.
    make_pipeline: makes a Beam pipeline.

  Returns:
    Filenames of the images that changed since pass 1; then the records are
    incomplete.
  """
  with make_pipeline() as pipeline:
    examples = (
      pipeline
      | _groups(groups)
      | 'Read' >> beam.ParDo(_Read(manifest, accepted, work)).with_outputs(*folders)
    )
    for name, folder in folders.items():
      _ = examples[name] | f'Write[{name}]' >> beam.io.WriteToTFRecord(
        os.path.join(folder, 'data_tfrecord'), file_name_suffix='.tfrecord', num_shards=0
      )
  return [
    name
    for path in sorted(work.glob('changed-*.json'))
    for name in json.loads(path.read_text(encoding='utf-8'))
  ]


def _groups(count: int) -> beam.PTransform:
  # A Reshuffle of the numbers would put the records into an order by chance.
  return 'RowGroups' >> beam.Create(range(count), reshuffle=False)


class _Inspect(beam.DoFn):
  """Row group number -> nothing; writes what it found to the work folder."""

  def __init__(self, manifest: Manifest, work: pathlib.Path):
    self._manifest = manifest
    self._work = work

  def process(self, group: int):
    rows = [
      Row(**{**row, 'columns': tuple(row['columns'])})
      for row in _read_group(self._work / _ROWS, group)
    ]
    found = parallel.ordered_map(lambda row: inspection.inspect_row(self._manifest, row), rows)
    pq.write_table(
      pa.Table.from_pylist([_to_found(image) for image in found], _FOUND_SCHEMA),
      _found_path(self._work, group),
    )


class _Read(beam.DoFn):
  """Row group number of manifest.parquet -> serialised tf.Examples, tagged by split."""

  def __init__(self, manifest: Manifest, accepted: pathlib.Path, work: pathlib.Path):
    self._manifest = manifest
    self._accepted = accepted
    self._work = work

  def process(self, group: int):
    rows = _read_group(self._accepted, group)
    changed = []
    for row, example in zip(rows, parallel.ordered_map(self._example, rows), strict=True):
      if example is None:
        changed.append(row['path'])
      else:
        yield beam.pvalue.TaggedOutput(row[records.SPLIT], example)
    if changed:
      path = self._work / f'changed-{group:08d}.json'
      path.write_text(json.dumps(changed), encoding='utf-8')

  def _example(self, row: dict) -> bytes | None:
    try:
      data = inspection.read_file(self._manifest.locate(row['path']))
    except (FileError, OSError):
      return None
    if data is None or hashlib.sha256(data).hexdigest() != row['image_id']:
      return None
    return records.to_example(row, image_file.prepare(data).encoded)


def _write_groups(path: pathlib.Path, schema: pa.Schema, rows: Iterator[dict]) -> int:
  groups = 0
  with pq.ParquetWriter(path, schema) as writer:
    batch: list[dict] = []
    for row in rows:
      batch.append(row)
      if len(batch) == ROW_GROUP:
        writer.write_table(pa.Table.from_pylist(batch, schema))
        groups += 1
        batch = []
    if batch:
      writer.write_table(pa.Table.from_pylist(batch, schema))
      groups += 1
  return groups


def _read_group(path: pathlib.Path, group: int) -> list[dict]:
  with pq.ParquetFile(path) as stream:
    return stream.read_row_group(group, use_threads=False).to_pylist()


def _found_path(work: pathlib.Path, group: int) -> pathlib.Path:
  return work / f'found-{group:08d}.parquet'


def _to_found(image: Inspected) -> dict:
  fields = image._asdict()
  description = fields.pop('description')
  return {
    **fields.pop('row')._asdict(),
    **fields,
    'measured': list(image.measured),
    'personal': list(image.personal),
    **(description._asdict() if description else dict.fromkeys(Description._fields)),
  }


def _from_found(found: dict) -> Inspected:
  row = Row(*(found.pop(name) for name in Row._fields))
  description = Description(*(found.pop(name) for name in Description._fields))
  return Inspected(
    row._replace(columns=tuple(row.columns)),
    measured=Measurements(*found.pop('measured')),
    personal=tuple(found.pop('personal')),
    description=description if description.pixel_id else None,
    **found,
  )
