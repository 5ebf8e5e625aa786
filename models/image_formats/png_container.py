"""The container of a PNG: its chunks (PNG specification, section 5)."""

import struct
import zlib

from models.image_formats import exif
from models.image_formats.container import BrokenError, Stripped

MAGIC = b'\x89PNG\r\n\x1a\n'
# models/orientation.py looks no further in the graph.
MAX_CHUNKS = 1 << 16
# In the file, of IHDR's byte that says the bits a sample.
DEPTH_AT = 24

_KEPT = frozenset((b'IHDR', b'PLTE', b'IDAT', b'IEND', b'tRNS'))
_TEXT = frozenset((b'tEXt', b'zTXt', b'iTXt'))
_LONGEST_TEXT = 1 << 20


def strip_png(data: bytes) -> Stripped:
  """Keeps the critical chunks, tRNS and the orientation.

  Raises:
    BrokenError: a chunk is cut off, or there is no end.
  """
  kept: list[bytes] = []
  personal: set[str] = set()
  position = len(MAGIC)
  turned = orientation_of(data)
  for _ in range(MAX_CHUNKS):
    if position + 12 > len(data):
      raise BrokenError('the end is missing')
    length, kind = struct.unpack_from('>I4s', data, position)
    end = position + 12 + length
    if end > len(data):
      raise BrokenError(f'chunk {kind!r} is cut off')
    # An unknown chunk that calls itself critical stays, for the decoder to refuse.
    if kind in _KEPT or not kind[:1].islower():
      kept.append(data[position:end])
    elif kind == b'eXIf':
      personal |= exif.personal(_without_prefix(data[position + 8 : end - 4]))
    elif kind in _TEXT:
      personal |= _personal_of_text(kind, data[position + 8 : end - 4])
    position = end
    if kind == b'IHDR' and turned != exif.UPRIGHT:
      kept.append(chunk(b'eXIf', exif.block(turned)))
    if kind == b'IEND':
      return Stripped(MAGIC + b''.join(kept), turned, frozenset(personal))
  raise BrokenError(f'more than {MAX_CHUNKS} chunks')


def orientation_of(data: bytes) -> int:
  """Returns the orientation that the first eXIf chunk says, before or behind the pixels.

  Step by step what models/orientation.py does in the graph.
  """
  position = len(MAGIC)
  for _ in range(MAX_CHUNKS):
    if position + 8 > len(data):
      break
    length, kind = struct.unpack_from('>I4s', data, position)
    if length > len(data) - position - 8:
      break
    if kind == b'eXIf':
      return exif.orientation(_without_prefix(data[position + 8 : position + 8 + length]))
    if kind == b'IEND':
      break
    position += 12 + length
  return exif.UPRIGHT


def is_deep(data: bytes) -> bool:
  """Says whether a sample has 16 bits."""
  return data[DEPTH_AT] == 16


def chunk(kind: bytes, body: bytes) -> bytes:
  """Returns one chunk (PNG specification, section 5.3)."""
  return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def _without_prefix(block: bytes) -> bytes:
  # Some writers copy it from JPEG.
  return block.removeprefix(exif.PREFIX)


def _personal_of_text(kind: bytes, body: bytes) -> set[str]:
  keyword, _, text = body.partition(b'\x00')
  found = set()
  if keyword in (b'Author', b'Artist') and text.strip(b'\x00 '):
    found.add(exif.OWNER_NAME)
  return found | exif.personal_in_xmp(_inflated(kind, text))


def _inflated(kind: bytes, text: bytes) -> bytes:
  # zTXt: method, data. iTXt: flag, method, language, 0, translated keyword, 0, data.
  if kind == b'zTXt':
    packed = text[1:]
  elif kind == b'iTXt' and text[:1] == b'\x01':
    packed = text[2:].partition(b'\x00')[2].partition(b'\x00')[2]
  else:
    return text
  try:
    return zlib.decompressobj().decompress(packed, _LONGEST_TEXT)
  except zlib.error:
    return b''
