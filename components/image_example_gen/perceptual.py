"""What an image looks like, for finding its copies."""

import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image

THUMBNAIL_SIDE = 32


class Description(NamedTuple):
  """One image, as its copies are looked for.

  Attributes:
    pixel_id: sha256 over shape and pixels, hex.
    hashes: of the image and of its queries.
    quality: 0..100; flat images are not matched.
    side: of the shorter side, pixels.
    signature: a grey reduction, for the second comparison.
    thumbnail: 32 x 32 x 3 bytes, RGB.
  """

  pixel_id: str
  hashes: bytes
  quality: int
  side: int
  signature: bytes
  thumbnail: bytes


def describe(pixels: np.ndarray) -> Description:
  """Describes uint8 [height, width, 3], RGB."""
  digest = hashlib.sha256(repr(pixels.shape).encode())
  digest.update(np.ascontiguousarray(pixels))
  small = Image.fromarray(pixels).resize(
    (THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX, reducing_gap=2.0
  )
  return Description(
    digest.hexdigest(), bytes(32), 0, min(pixels.shape[:2]), bytes(64 * 64), small.tobytes()
  )
