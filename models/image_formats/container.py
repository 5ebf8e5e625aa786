"""What rewriting the container of an encoded image gives: the same pixels, and nothing else.

Compressed pixels are copied untouched. What only describes them goes: camera,
place, comments, colour profile, previews, further pictures and whatever lies
behind the end of the image. Of all this the orientation alone is kept.
"""

from typing import NamedTuple


class BrokenError(Exception):
  """The container cannot be followed to its end."""


class TooManyScansError(BrokenError):
  """A progressive JPEG with more scans than anybody needs."""


class Stripped(NamedTuple):
  """An image without its metadata.

  Attributes:
    encoded: equal to the input where there was nothing to take out.
    orientation: EXIF orientation, 1..8.
    personal: codes of models.image_formats.exif that were found on the way.
  """

  encoded: bytes
  orientation: int
  personal: frozenset[str]
