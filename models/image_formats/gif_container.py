"""The first frame of a GIF, and nothing else of the file."""

import struct

from models.image_formats import exif
from models.image_formats.container import BrokenError, Stripped

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_GRAPHIC_CONTROL, _COMMENT, _APPLICATION = 0xF9, 0xFE, 0xFF


def strip_gif(data: bytes) -> Stripped:
  """Keeps the header, the palettes and the first frame.

  Raises:
    BrokenError: the first frame is cut off.
  """
  start = _behind_palette(data, 10, 13)
  position, control = start, b''
  personal: set[str] = set()
  while True:
    kind = data[position : position + 1]
    if kind == bytes((_IMAGE,)):
      end = _behind_blocks(data, _behind_palette(data, position + 9, position + 10) + 1)
      encoded = data[:start] + control + data[position:end] + bytes((_TRAILER,))
      return Stripped(encoded, exif.UPRIGHT, frozenset(personal))
    if kind != bytes((_EXTENSION,)):
      raise BrokenError('there is no frame')
    end = _behind_blocks(data, position + 2)
    label = data[position + 1]
    if label == _GRAPHIC_CONTROL:
      control = data[position:end]
    elif label in (_COMMENT, _APPLICATION):
      personal |= exif.personal_in_xmp(data[position:end])
    position = end


def frame_box(stripped: bytes) -> tuple[int, int, int, int]:
  """Returns (left, top, right, bottom) of the frame in the output of strip_gif."""
  position = _behind_palette(stripped, 10, 13)
  if stripped[position] == _EXTENSION:
    position = _behind_blocks(stripped, position + 2)
  left, top, width, height = struct.unpack_from('<4H', stripped, position + 1)
  return left, top, left + width, top + height


def fills_canvas(stripped: bytes) -> bool:
  """Says whether the frame in the output of strip_gif covers the whole picture.

  TensorFlow's decoder takes the frame alone for the picture.
  """
  return frame_box(stripped) == (0, 0, *struct.unpack_from('<2H', stripped, 6))


def _behind_palette(data: bytes, flags_at: int, position: int) -> int:
  if flags_at >= len(data):
    raise BrokenError('the header is cut off')
  flags = data[flags_at]
  return position + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)


def _behind_blocks(data: bytes, position: int) -> int:
  while True:
    if position >= len(data):
      raise BrokenError('the first frame is cut off')
    length = data[position]
    position += 1 + length
    if not length:
      return position
