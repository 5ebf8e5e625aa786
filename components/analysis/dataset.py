"""What the data set says of an image: its file, its label, and whether its label is suspect."""

import csv
import dataclasses
import pathlib

import pyarrow.parquet as pq

from components.audit import findings, outputs
from components.image_example_gen import findings as ingest_findings
from components.image_example_gen import ingest

_SUSPECT = (findings.SUSPECT_LABEL, ingest_findings.LABEL_CONFLICT)


@dataclasses.dataclass(frozen=True)
class Facts:
  """What is known of the images of one split, by id.

  Attributes:
    path: as in the manifest.
    label: class name.
  """

  path: dict[str, str]
  label: dict[str, str]


def read(folder: pathlib.Path, split: str) -> Facts:
  """Reads manifest.parquet; of files with equal bytes, which share an id, the first."""
  table = pq.read_table(
    folder / ingest.MANIFEST_FILE,
    columns=['image_id', 'path', 'label'],
    filters=[('split', '==', split)],
  )
  ids = table['image_id'].to_pylist()[::-1]
  path, label = (
    dict(zip(ids, table[name].to_pylist()[::-1], strict=True)) for name in ('path', 'label')
  )
  return Facts(path, label)


def suspects(dataset: pathlib.Path, audit: pathlib.Path | None) -> set[str]:
  """Returns the paths of the images whose label Audit or ImageExampleGen calls suspect."""
  files = [dataset / ingest_findings.FILE_NAME]
  if audit is not None:
    files.append(audit / outputs.FINDINGS)
  return {
    row['filename']
    for path in files
    if path.is_file()
    for row in _rows(path)
    if row['code'] in _SUSPECT
  }


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
  with open(path, encoding='utf-8', newline='') as stream:
    return list(csv.DictReader(stream))
