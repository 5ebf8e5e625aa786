"""Which BMPs TensorFlow's decoder reads as they are meant."""

import struct

from models.image_formats import exif
from models.image_formats.container import Stripped

# Offsets in the file: 14 bytes of file header, then BITMAPINFOHEADER or longer.
_SMALLEST = 54
SHORTEST_HEADER = 40
# Bits a pixel and compression: none, or masks.
BITS_24 = struct.pack('<HI', 24, 0)
BITS_32 = struct.pack('<HI', 32, 0)
BITS_32_MASKED = struct.pack('<HI', 32, 3)
USUAL_MASKS = struct.pack('<III', 0xFF0000, 0xFF00, 0xFF)


def is_plain(data: bytes) -> bool:
  """Says whether the pixels are stored as 24 or 32 bits in the usual order.

  Of palettes, run lengths, 16 bits and the short header of OS/2 the decoder in
  the graph makes another picture, or none.
  """
  if len(data) < _SMALLEST:
    return False
  (header,) = struct.unpack_from('<I', data, 14)
  layout = data[28:34]
  masked = layout == BITS_32_MASKED and data[54:66] == USUAL_MASKS
  return SHORTEST_HEADER <= header < 256 and (layout in (BITS_24, BITS_32) or masked)


def strip_bmp(data: bytes) -> Stripped:
  """Keeps the header and the pixels of a plain BMP, and cuts what lies behind them."""
  (offset,) = struct.unpack_from('<I', data, 10)
  width, height = struct.unpack_from('<ii', data, 18)
  (bits,) = struct.unpack_from('<H', data, 28)
  row = (width * bits + 31) // 32 * 4
  return Stripped(data[: offset + row * abs(height)], exif.UPRIGHT, frozenset())
