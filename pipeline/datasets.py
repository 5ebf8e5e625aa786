"""The table of data sets that `sightline data get` writes."""

import pathlib
from collections.abc import Callable

from pipeline import digits, photo_archive
from schemas.errors import DataError

# TensorFlow's photos of flowers ("tf_flowers"): address and class sizes from
# TensorFlow's tutorials, size and hash as TensorFlow Datasets lists them.
FLOWERS = photo_archive.PhotoArchive(
  url='https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz',
  sha256='4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c',
  size=228_813_984,
  folder='flower_photos',
  classes={'daisy': 633, 'dandelion': 898, 'roses': 641, 'sunflowers': 699, 'tulips': 799},
  beside=('LICENSE.txt',),
)

DATASETS: dict[str, Callable[[pathlib.Path], None]] = {
  'digits': digits.write,
  'flowers': lambda root: photo_archive.fetch(FLOWERS, root),
}


def write(name: str, root: pathlib.Path) -> None:
  """Writes a data set by name; what is there and complete stays as it is.

  Raises:
    DataError: there is none of that name, it cannot be fetched, or the folder
      cannot be used.
  """
  if name not in DATASETS:
    raise DataError(
      f'data get: expected one of {", ".join(DATASETS)}. Received: {name}. For images of your '
      'own: sightline init NAME --data-root DIR'
    )
  DATASETS[name](root)


def hint(root: pathlib.Path) -> str:
  """Returns how to come by a data folder that is missing; '' where nothing is known."""
  if root.name not in DATASETS:
    return ''
  return f' Fetch it first: sightline data get {root.name} --output {root}'
