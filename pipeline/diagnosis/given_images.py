"""The labelled images from production: which can be used, and what they look like."""

import collections
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from components.image_example_gen import inspection, manifest
from components.image_example_gen.inspection import Inspected
from models import image_file
from schemas.config import DataConfig
from schemas.errors import DataError

PREDICTED = 'predicted'
# Reasons of this module, beside those of quarantine.csv.
REPEATED = 'repeated'
CONFLICT = 'conflicting_labels'


@dataclasses.dataclass(frozen=True)
class Given:
  """Images with their labels.

  Attributes:
    images: those that can be used, each once.
    predicted: what production answered, by image; None where the CSV does not say.
    bad: number of rows that cannot be used, by reason.
    example: the first of them, in words; '' for none.
    folder: that the filenames are relative to.
  """

  images: Sequence[Inspected]
  predicted: Sequence[str] | None
  bad: Mapping[str, int]
  example: str
  folder: manifest.Manifest

  @property
  def labels(self) -> list[str]:
    return [image.row.label for image in self.images]

  def encoded(self, positions: Sequence[int] | None = None) -> Iterator[bytes]:
    """Yields the images as ingest and the server's door make them, read anew."""
    chosen = range(len(self.images)) if positions is None else positions
    for position in chosen:
      path = self.folder.locate(self.images[position].row.filename)
      yield image_file.prepare(path.read_bytes()).encoded


def read(images: pathlib.Path, labels: pathlib.Path) -> Given:
  """Reads, decodes and measures the images.

  Args:
    images: the folder that filenames are relative to.
    labels: a CSV with the columns filename and label, and perhaps predicted.

  Raises:
    DataError: the folder or the CSV cannot be used, or no row of it can.
  """
  if not labels.is_file():
    raise DataError(
      f'{labels}: expected a CSV with the columns filename,label. Received: no such file.'
    )
  data = DataConfig(root=images, labels=str(labels.resolve()), production=True)
  listed = manifest.open_manifest(data)
  used: list[Inspected] = []
  bad: collections.Counter[str] = collections.Counter()
  example = ''
  labels_of: dict[str, str] = {}
  for row in listed.rows():
    image = inspection.inspect_row(listed, row)
    reason, detail = image.row.reason, image.row.detail
    if not reason and image.image_id in labels_of:
      known = labels_of[image.image_id]
      reason = REPEATED if known == row.label else CONFLICT
      detail = f'the same file stands above, as {known!r}; it counts once.'
    if reason:
      bad[reason] += 1
      example = example or f'{labels.name} row {row.number}: {reason}: {detail}'
      continue
    labels_of[image.image_id] = row.label
    # The description is for finding copies; thousands of them are not small.
    used.append(image._replace(description=None))
  if not used:
    raise DataError(
      f'{labels}: expected rows that can be used. Received: {sum(bad.values())} rows, none of '
      f'them. {example}'
    )
  predicted = None
  if PREDICTED in listed.columns:
    column = listed.columns.index(PREDICTED)
    predicted = [image.row.columns[column] for image in used]
  return Given(used, predicted, dict(bad), example, listed)
