"""What an image looks like, small enough to be compared with 100,000 others."""

import hashlib
from typing import NamedTuple

import cv2
import numpy as np
import pdqhash

# Sides of the grey signature, as PDQ takes it, and of the thumbnail for the eye.
SIGNATURE_SIDE = 64
THUMBNAIL_SIDE = 32
HASH_BYTES = 32


class Description(NamedTuple):
  """One image, described.

  Attributes:
    pixel_id: sha256 over shape and pixels as decoded and turned upright, hex. Two
      files of one picture have one pixel_id where their compression loses nothing.
    hashes: PDQ hash of the whole image, 32 bytes. The hashes of its turned, mirrored
      and cropped versions follow from `signature` when they are needed.
    quality: 0..100, PDQ's measure of how much there is to see; low in a flat image.
    side: of the shorter side, pixels.
    signature: grey, 64 * 64 bytes, rows from top to bottom, whatever the aspect.
    thumbnail: RGB, 32 * 32 * 3 bytes, likewise.
  """

  pixel_id: str
  hashes: bytes
  quality: int
  side: int
  signature: bytes
  thumbnail: bytes


def describe(pixels: np.ndarray) -> Description:
  """Describes uint8 [height, width, 3], RGB, decoded and turned upright.

  The hash is PDQ of the 64 x 64 image (Meta, "The TMK+PDQF video-hashing algorithm and
  the PDQ image-hashing algorithm", 2019), here of an area mean: each pixel counts once.
  """
  pixels = np.ascontiguousarray(pixels)
  small = _shrink(pixels, SIGNATURE_SIDE)
  grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
  bits, quality = pdqhash.compute(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
  return Description(
    pixel_id(pixels),
    np.packbits(bits.astype(np.uint8)).tobytes(),
    int(quality),
    min(pixels.shape[:2]),
    grey.tobytes(),
    _shrink(small, THUMBNAIL_SIDE).tobytes(),
  )


def pixel_id(pixels: np.ndarray) -> str:
  """Returns sha256 over the shape and the pixels of uint8 [height, width, 3], hex."""
  digest = hashlib.sha256(np.array(pixels.shape, '<u4').tobytes())
  digest.update(np.ascontiguousarray(pixels))
  return digest.hexdigest()


def _shrink(pixels: np.ndarray, side: int) -> np.ndarray:
  """Resizes to a square; a longer side by area mean, also where the other grows."""
  height, width = pixels.shape[:2]
  smaller = (min(width, side), min(height, side))
  if smaller != (width, height):
    pixels = cv2.resize(pixels, smaller, interpolation=cv2.INTER_AREA)
  if smaller != (side, side):
    pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_LINEAR)
  return pixels
