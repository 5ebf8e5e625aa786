"""Is there enough data, and how is it spread over classes and splits."""

from collections import Counter
from typing import NamedTuple

from components.audit.dataset import Images
from components.image_example_gen.dataset_summary import FEW_IMAGES as FEW_IMAGES_IN_ALL
from components.image_example_gen.dataset_summary import FEW_IMAGES_A_CLASS
from schemas import features

FEW_IMAGES = 'few_images'
FEW_IN_CLASS = 'few_in_class'
EMPTY_IN_SPLIT = 'empty_in_split'


class Shortage(NamedTuple):
  """Too little of something.

  Attributes:
    code: FEW_IMAGES, FEW_IN_CLASS or EMPTY_IN_SPLIT.
    label: the class; '' for the whole data set.
    images: how many there are.
    limit: how many there should be at least.
    text: a sentence.
  """

  code: str
  label: str
  images: int
  limit: int
  text: str


class ClassRow(NamedTuple):
  """A class.

  Attributes:
    label: its name.
    total: images.
    share: of all images, 0..1.
    counts: images by split.
    shares: of each split's images, 0..1, by split.
  """

  label: str
  total: int
  share: float
  counts: dict[str, int]
  shares: dict[str, float]


def by_class(images: Images) -> list[ClassRow]:
  """Returns a row a class, the largest first."""
  counts = Counter(zip(images.label, images.split, strict=True))
  sizes = Counter(images.split)
  rows = []
  for label in images.classes:
    own = {name: counts[label, name] for name in images.splits}
    total = sum(own.values())
    shares = {name: own[name] / sizes[name] for name in images.splits}
    rows.append(ClassRow(label, total, total / len(images), own, shares))
  return sorted(rows, key=lambda row: (-row.total, row.label))


def shortages(images: Images, rows: list[ClassRow]) -> list[Shortage]:
  """Returns what there is too little of, the smallest class first."""
  found = []
  if len(images) < FEW_IMAGES_IN_ALL:
    found.append(
      Shortage(
        FEW_IMAGES,
        '',
        len(images),
        FEW_IMAGES_IN_ALL,
        f'{len(images)} images; below {FEW_IMAGES_IN_ALL} the figures on val and test are rough.',
      )
    )
  for row in reversed(rows):
    if row.total < FEW_IMAGES_A_CLASS:
      found.append(
        Shortage(
          FEW_IN_CLASS,
          row.label,
          row.total,
          FEW_IMAGES_A_CLASS,
          f'class {row.label}: {_images(row.total)}, below {FEW_IMAGES_A_CLASS}.',
        )
      )
    empty = [name for name in features.SPLITS if name in row.counts and not row.counts[name]]
    if empty:
      found.append(
        Shortage(
          EMPTY_IN_SPLIT, row.label, 0, 1, f'class {row.label}: no image in {", ".join(empty)}.'
        )
      )
  return found


def _images(count: int) -> str:
  return '1 image' if count == 1 else f'{count} images'
