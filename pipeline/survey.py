"""A look at a folder of images before the first experiment: what is there, and how large.

Reads every row of the manifest and the headers of a sample of the files. What
is wrong with a single file is ImageExampleGen's to say; here it is passed over.
"""

import collections
import dataclasses
import os
import pathlib
import statistics

from components.image_example_gen import manifest, spans
from schemas import features
from schemas.config import DataConfig
from schemas.errors import DataError

# Headers that are read; spread evenly over the rows.
_SAMPLE = 200
# A column with more values than this is no slice: too few images in each.
_MAX_VALUES = 50


@dataclasses.dataclass(frozen=True)
class Survey:
  """What a data folder holds.

  Attributes:
    root: the folder, absolute.
    manifest: name of the CSV; None where folders are the classes.
    classes: label to number of rows, largest first.
    splits: given split to number of rows; empty where none is given.
    columns: further column to its number of distinct values, counted up to
      one more than a slice column may have.
    shorter_side: median over the sample, pixels.
    sampled: number of files whose header could be read.
    lock_folder: where the split lock lies by default.
  """

  root: pathlib.Path
  manifest: str | None
  classes: dict[str, int]
  splits: dict[str, int]
  columns: dict[str, int]
  shorter_side: int
  sampled: int
  lock_folder: pathlib.Path

  @property
  def images(self) -> int:
    return sum(self.classes.values())

  @property
  def largest_share(self) -> float:
    """Accuracy of always naming the most frequent class."""
    return max(self.classes.values()) / self.images

  @property
  def slice_columns(self) -> tuple[str, ...]:
    """Further columns with 2 to 50 distinct values, most of which repeat."""
    return tuple(
      name
      for name, values in self.columns.items()
      if 2 <= values <= min(_MAX_VALUES, self.images // 2)
    )

  @property
  def writable(self) -> bool:
    """Whether the split lock can be written where it belongs."""
    return os.access(self.lock_folder, os.W_OK)


def survey(root: pathlib.Path | str) -> Survey:
  """Looks at a data folder.

  Args:
    root: a folder with labels.csv, or with one subfolder a class.

  Raises:
    DataError: there is no manifest and no class folder, no usable row, fewer
      than two classes, or no file of the sample is an image.
  """
  root = pathlib.Path(root).expanduser().resolve()
  data = spans.at(DataConfig(root=root))
  source = manifest.open_manifest(data)
  classes: collections.Counter[str] = collections.Counter()
  splits: collections.Counter[str] = collections.Counter()
  values: dict[str, set[str]] = {name: set() for name in source.columns}
  filenames = []
  for row in source.rows():
    if row.reason:
      continue
    classes[row.label] += 1
    splits[row.split] += 1
    filenames.append(row.filename)
    for name, value in zip(source.columns, row.columns, strict=True):
      if value and len(values[name]) <= _MAX_VALUES:
        values[name].add(value)
  if len(classes) < 2:
    raise DataError(
      f'{source.name}: expected two classes or more, to tell apart. Received: '
      f'{len(classes)} ({", ".join(classes) or "no usable row"}). Add images of another class.'
    )
  sides = _shorter_sides(source, filenames)
  return Survey(
    root=root,
    manifest=source.path.name if source.path else None,
    classes=dict(classes.most_common()),
    splits={name: splits[name] for name in features.SPLITS if splits[name]},
    columns={name: len(found) for name, found in values.items()},
    shorter_side=int(statistics.median(sides)),
    sampled=len(sides),
    lock_folder=data.lock.parent if data.lock else source.lock_folder,
  )


def _shorter_sides(source: manifest.Manifest, filenames: list[str]) -> list[int]:
  # Pillow takes a tenth of a second to load, which the command line must not pay at its start.
  from PIL import Image, UnidentifiedImageError

  sides = []
  for filename in filenames[:: max(1, len(filenames) // _SAMPLE)]:
    try:
      with Image.open(source.locate(filename)) as image:
        sides.append(min(image.size))
    except (
      DataError,
      OSError,
      UnidentifiedImageError,
      ValueError,
      SyntaxError,
      Image.DecompressionBombError,
    ):
      continue
  if not sides:
    raise DataError(
      f'{source.images}: expected images named by {source.name}. Received: none of the first '
      f'{min(len(filenames), _SAMPLE)} files looked at can be read as one, such as '
      f'{filenames[0]}. Filenames are relative to {source.images}.'
    )
  return sides
