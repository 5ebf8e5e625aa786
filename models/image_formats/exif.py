"""EXIF as Sightline reads it: the orientation, and what names a person or a place.

models/orientation.py reads the orientation once more, inside the graph; both
follow the same steps, so that a file is turned alike before and after ingest.
Only EXIF counts: the orientation that XMP repeats is not read, as in browsers.
"""

import re
import struct
from collections.abc import Iterator
from typing import Literal

UPRIGHT = 1
PREFIX = b'Exif\x00\x00'
# Of the first directory. A camera writes some 20 entries, in the order of their tags.
MAX_ENTRIES = 128
# A segment of a JPEG is no longer.
MAX_BYTES = 65_536

GPS = 'gps'
SERIAL_NUMBER = 'serial_number'
OWNER_NAME = 'owner_name'
CODES = (GPS, SERIAL_NUMBER, OWNER_NAME)

# Exif 2.32, tables 4 to 15; 0xC62F is of DNG.
ORIENTATION_TAG = 0x0112
_SHORT = 3
LITTLE, BIG = b'II*\x00', b'MM\x00*'
# How an entry of the orientation begins: tag, type, number of values.
LITTLE_ENTRY = struct.pack('<HHI', ORIENTATION_TAG, _SHORT, 1)
BIG_ENTRY = struct.pack('>HHI', ORIENTATION_TAG, _SHORT, 1)
_BYTE_ORDERS: dict[str, Literal['little', 'big']] = {'<': 'little', '>': 'big'}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
# A pointer may be of type IFD too, as of TIFF technical note 1; and BigTIFF's.
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_PERSONAL_TAGS = {
  0x013B: OWNER_NAME,  # Artist
  0xA430: OWNER_NAME,  # CameraOwnerName
  0x9C9D: OWNER_NAME,  # XPAuthor, of Windows
  0xA431: SERIAL_NUMBER,  # BodySerialNumber
  0xA435: SERIAL_NUMBER,  # LensSerialNumber
  0xC62F: SERIAL_NUMBER,  # CameraSerialNumber
}
# Latitude, longitude and altitude, those of the destination, and names of the area.
_PLACE_TAGS = frozenset((0x02, 0x04, 0x06, 0x14, 0x16, 0x1B, 0x1C))
_XMP_WORDS = (
  (GPS, re.compile(rb'GPS(?:Latitude|Longitude|DestLatitude|DestLongitude)', re.IGNORECASE)),
  (SERIAL_NUMBER, re.compile(rb'SerialNumber', re.IGNORECASE)),
  (OWNER_NAME, re.compile(rb'OwnerName|dc:creator|tiff:Artist', re.IGNORECASE)),
)


def orientation(tiff: bytes) -> int:
  """Returns the EXIF orientation, 1..8; 1 where there is none or it makes no sense.

  Only of type SHORT, as the standard has it.

  Args:
    tiff: the EXIF block, from its byte order mark on, or a TIFF file. Offsets that
      lead out of its first 64 kB are not followed.
  """
  order = _byte_order(tiff)
  start = int.from_bytes(tiff[4:8], _BYTE_ORDERS[order]) if order else MAX_BYTES
  if start >= MAX_BYTES:
    return UPRIGHT
  directory = tiff[start : min(start + 2 + 12 * MAX_ENTRIES, MAX_BYTES)]
  count = int.from_bytes(directory[:2], _BYTE_ORDERS[order])
  wanted = LITTLE_ENTRY if order == '<' else BIG_ENTRY
  for position in range(2, 2 + 12 * min(count, MAX_ENTRIES), 12):
    if directory[position : position + 8] == wanted:
      pair = directory[position + 8 : position + 10].ljust(2, b'\x00')
      value = int.from_bytes(pair, _BYTE_ORDERS[order])
      return value if 1 <= value <= 8 else UPRIGHT
  return UPRIGHT


def block(value: int) -> bytes:
  """Returns the smallest EXIF block that says one orientation, without the prefix."""
  return b'MM\x00*' + struct.pack('>IHHHIHHI', 8, 1, ORIENTATION_TAG, _SHORT, 1, value, 0, 0)


def personal(tiff: bytes) -> set[str]:
  """Returns the codes of the personal data in an EXIF block, or in a TIFF file."""
  found: set[str] = set()
  order = _byte_order(tiff)
  if not order or len(tiff) < 8:
    return found
  pending = [(struct.unpack_from(f'{order}I', tiff, 4)[0], False)]
  seen = set()
  while pending:
    start, is_place = pending.pop()
    if start in seen:
      continue
    seen.add(start)
    for tag, value in _entries(tiff, order, start):
      if is_place:
        if tag in _PLACE_TAGS and value.strip(b'\x00 '):
          found.add(GPS)
      elif tag in (_EXIF_IFD, _GPS_IFD) and len(value) == 4:
        pending.append((struct.unpack(f'{order}I', value)[0], tag == _GPS_IFD))
      elif tag in _PERSONAL_TAGS and value.strip(b'\x00 '):
        found.add(_PERSONAL_TAGS[tag])
  return found


def personal_in_xmp(packet: bytes) -> set[str]:
  """Returns the codes of the personal data in an XMP packet."""
  return {code for code, words in _XMP_WORDS if words.search(packet)}


def numbers(tiff: bytes, tag: int) -> tuple[int, ...]:
  """Returns the 16-bit numbers of a tag of the first directory; () where there are none."""
  order = _byte_order(tiff)
  if order and len(tiff) >= 8:
    for found, value in _entries(tiff, order, struct.unpack_from(f'{order}I', tiff, 4)[0]):
      if found == tag and len(value) % 2 == 0:
        return struct.unpack(f'{order}{len(value) // 2}H', value)
  return ()


def _entries(tiff: bytes, order: str, start: int) -> Iterator[tuple[int, bytes]]:
  """Yields (tag, value as stored) of one directory, as far as it can be read."""
  if start + 2 > len(tiff):
    return
  (count,) = struct.unpack_from(f'{order}H', tiff, start)
  for position in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
    tag, kind, values = struct.unpack_from(f'{order}HHI', tiff, position)
    size = _SIZES.get(kind, 0) * values
    value_at = position + 8
    if size > 4:
      (value_at,) = struct.unpack_from(f'{order}I', tiff, position + 8)
    yield tag, tiff[value_at : value_at + min(size, 1024)]


def _byte_order(tiff: bytes) -> str:
  return {LITTLE: '<', BIG: '>'}.get(tiff[:4], '')
