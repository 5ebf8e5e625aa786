"""Which image format a file is, by its first bytes; its name is not asked."""

import struct

# As a file calls itself. The decoder in the graph takes some of the first four as
# they are; models/image_formats/conversion.py says which.
FORMATS = ('JPEG', 'PNG', 'GIF', 'BMP', 'WEBP', 'TIFF', 'HEIF', 'AVIF')

# The same magic bytes of the first four stand in the graph, in models/decoder.py.
_MAGIC = (
  (b'\xff\xd8\xff', 'JPEG'),
  (b'\x89PNG\r\n\x1a\n', 'PNG'),
  (b'GIF87a', 'GIF'),
  (b'GIF89a', 'GIF'),
  (b'BM', 'BMP'),
  (b'II*\x00', 'TIFF'),
  (b'MM\x00*', 'TIFF'),
)
_AVIF_BRANDS = frozenset((b'avif', b'avis'))
_HEIF_BRANDS = frozenset((b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1'))
# Images, though none that is read here, so that the text can say what to convert
# from: (offset, bytes, name).
_OTHER_MAGIC = (
  (0, b'II+\x00', 'BigTIFF'),
  (0, b'MM\x00+', 'BigTIFF'),
  (4, b'jP  ', 'JPEG 2000'),
  (0, b'\xff\x4f\xff\x51', 'JPEG 2000'),
  (0, b'\xff\x0a', 'JPEG XL'),
  (4, b'JXL ', 'JPEG XL'),
  (0, b'8BPS', 'Photoshop'),
  (0, b'%PDF', 'PDF'),
  (0, b'\x00\x00\x01\x00', 'ICO'),
  (0, b'<svg', 'SVG'),
  (0, b'<?xml', 'XML'),
)


def format_of(data: bytes) -> str:
  """Returns one of FORMATS; '' for anything else."""
  for magic, name in _MAGIC:
    if data.startswith(magic):
      return name
  if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
    return 'WEBP'
  if data[4:8] == b'ftyp':
    return _format_by_brands(data)
  return ''


def other_format_of(data: bytes) -> str:
  """Returns the name of a known format that is not one of FORMATS; '' where there is none."""
  for offset, magic, name in _OTHER_MAGIC:
    if data[offset : offset + len(magic)] == magic:
      return name
  return ''


def webp_size(data: bytes) -> tuple[int, int]:
  """Returns (width, height) of a WebP (RFC 9649, sections 2.5 to 2.7); (0, 0) of a broken one."""
  kind, body = data[12:16], data[20:30]
  if len(body) < 10:
    return 0, 0
  if kind == b'VP8X':
    return 1 + int.from_bytes(body[4:7], 'little'), 1 + int.from_bytes(body[7:10], 'little')
  if kind == b'VP8L':
    bits = int.from_bytes(body[1:5], 'little')
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
  width, height = struct.unpack('<HH', body[6:10])
  return width & 0x3FFF, height & 0x3FFF


def _format_by_brands(data: bytes) -> str:
  # ISO/IEC 14496-12: size, 'ftyp', major brand, minor version, compatible brands.
  end = min(int.from_bytes(data[:4], 'big'), 256)
  brands = {data[8:12], *(data[start : start + 4] for start in range(16, end, 4))}
  if brands & _AVIF_BRANDS:
    return 'AVIF'
  return 'HEIF' if brands & _HEIF_BRANDS else ''
