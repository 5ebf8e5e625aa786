"""Small pictures as data: addresses, so that the page is one file."""

import base64
import io
import pathlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from components.audit.dataset import Images
from components.image_example_gen import inspection, parallel
from components.image_example_gen.location import FileError
from models import image_file

_QUALITY = 72
# (pictures on the page, longest side in pixels): about 6 MB at most. Above the
# last, the side of the thumbnails that ingest made.
_SIDES = ((700, 160), (1600, 112), (4000, 64))
_LEAST_SIDE = 32

Locate = Callable[[str], pathlib.Path]


class Thumbnail(NamedTuple):
  """A picture for an <img>.

  Attributes:
    source: a data: address.
    width: pixels.
    height: pixels.
  """

  source: str
  width: int
  height: int


def side_for(count: int) -> int:
  """Returns the longest side in pixels for a page with so many pictures."""
  return next((side for limit, side in _SIDES if count <= limit), _LEAST_SIDE)


def make(images: Images, paths: Iterable[str], locate: Locate, side: int) -> dict[str, Thumbnail]:
  """Makes the thumbnails of some images.

  A file that cannot be read any more has the 32x32 pixels that ingest kept; one
  of which nothing is known is left out.

  Args:
    images: the accepted ones.
    paths: as in the manifest.
    locate: returns where a file lies, or raises FileError.
    side: longest side in pixels; a smaller image stays as it is.
  """

  def one(path: str) -> tuple[str, Thumbnail | None]:
    return path, _from_file(path, locate, side) or _from_ingest(images, path)

  made = parallel.ordered_map(one, sorted(set(paths)))
  return {path: thumbnail for path, thumbnail in made if thumbnail is not None}


def _from_file(path: str, locate: Locate, side: int) -> Thumbnail | None:
  try:
    data = inspection.read_file(locate(path))
    if data is None:
      return None
    with Image.open(io.BytesIO(image_file.prepare(data).encoded)) as image:
      image.draft('RGB', (side, side))
      upright = ImageOps.exif_transpose(image).convert('RGB')
  except (FileError, image_file.ImageFileError, OSError):
    return None
  upright.thumbnail((side, side))
  return _encode(upright)


def _from_ingest(images: Images, path: str) -> Thumbnail | None:
  position = images.position.get(path)
  if position is None or images.thumbnails is None:
    return None
  picture = Image.fromarray(np.ascontiguousarray(images.thumbnails[position]))
  # Ingest squeezes into a square; here the shape is given back.
  shape = images.width[position] / images.height[position]
  size = (32, max(round(32 / shape), 1)) if shape > 1 else (max(round(32 * shape), 1), 32)
  return _encode(picture.resize(size))


def _encode(picture: Image.Image) -> Thumbnail:
  stream = io.BytesIO()
  # Compression would smear images of a few pixels, which cost nothing anyway.
  picture.save(stream, 'WEBP', quality=_QUALITY, lossless=max(picture.size) <= _LEAST_SIDE)
  text = base64.b64encode(stream.getvalue()).decode()
  return Thumbnail(f'data:image/webp;base64,{text}', *picture.size)
