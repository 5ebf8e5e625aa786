"""The container of a JPEG: its segments (ITU-T T.81, annex B)."""

import re
import struct
from collections.abc import Iterator

from models.image_formats import exif
from models.image_formats.container import BrokenError, Stripped, TooManyScansError

# models/orientation.py looks no further in the graph.
MAX_SEGMENTS = 512
# A usual progressive JPEG has about 10. Each scan costs a pass over the whole
# image, so a small file with thousands keeps a server busy for minutes.
MAX_SCANS = 100
_MAX_STEPS = 100_000

_XMP_PREFIXES = (b'http://ns.adobe.com/xap/1.0/\x00', b'http://ns.adobe.com/xmp/extension/\x00')
_SOI, _EOI, _SOS, _COM = 0xD8, 0xD9, 0xDA, 0xFE
_APP0, _APP1, _APP14, _APP15 = 0xE0, 0xE1, 0xEE, 0xEF
STOP, SEGMENT = 0, 3
# Frame headers (ITU-T T.81, table B.1): C0 to CF without DHT, JPG and DAC.
FRAMES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
_FRAME_MARKERS = frozenset(bytes((0xFF, marker)) for marker in FRAMES)
# TEM and RSTn stand alone; every other marker has a length.
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_MARKER = re.compile(rb'\xff+([\x01-\xfe])')
# Behind the stuffed zeros and RSTn, which belong to the compressed pixels.
_MARKER_BEHIND_SCAN = re.compile(rb'\xff+([\x01-\xcf\xd8-\xfe])')


def strip_jpeg(data: bytes) -> Stripped:
  """Keeps the frame, its tables and scans, JFIF, Adobe's APP14 and the orientation.

  Raises:
    BrokenError: a segment before the pixels is cut off.
    TooManyScansError: there are more than MAX_SCANS.
  """
  orientation = orientation_of(data)
  kept = [b'\xff\xd8']
  if orientation != exif.UPRIGHT:
    kept.append(_segment(_APP1, exif.PREFIX + exif.block(orientation)))
  personal: set[str] = set()
  scans = 0
  for marker, body in _segments(data):
    if marker == _APP1:
      personal |= _personal_of_app1(body)
    elif marker == _SOS:
      scans += 1
    if scans > MAX_SCANS:
      raise TooManyScansError(f'more than {MAX_SCANS} scans')
    kept.append(_kept(marker, body))
  if not scans:
    raise BrokenError('there are no pixels')
  return Stripped(b''.join(kept), orientation, frozenset(personal))


def orientation_of(data: bytes) -> int:
  """Returns the orientation that the first EXIF segment before the frame header says.

  Step by step what models/frame_header.py does in the graph.
  """
  position = 2
  for _ in range(MAX_SEGMENTS):
    head = data[position : position + 10].ljust(10, b'\x00')
    step = step_of(head[1]) if head[0] == 0xFF else STOP
    length = int.from_bytes(head[2:4], 'big')
    if step == STOP or (step == SEGMENT and length < 2) or head[:2] in _FRAME_MARKERS:
      break
    if head[1] == _APP1 and head[4:10] == exif.PREFIX:
      return exif.orientation(data[position + 10 : position + 2 + length])
    position += 2 + length if step == SEGMENT else step
  return exif.UPRIGHT


def step_of(marker: int) -> int:
  """Returns how to go on from a marker: 0 not at all, 1 or 2 bytes, or SEGMENT, by its length."""
  if marker in (0x00, _SOI, _EOI, _SOS):
    return STOP
  if marker == 0xFF:
    return 1
  return 2 if marker in _ALONE else SEGMENT


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
  """Yields (marker, what follows it) to the end of the image.

  What follows is the body without its length; of a scan all bytes up to the next
  marker, with the length; of the end nothing. Bytes between segments are passed
  over, as libjpeg does.
  """
  position = 2
  for _ in range(_MAX_STEPS):
    match = _MARKER.search(data, position)
    if match is None:
      return
    marker, start = data[match.end() - 1], match.end()
    if marker == _EOI:
      yield marker, b''
      return
    if marker in _ALONE:
      position = start
      continue
    position = start + int.from_bytes(data[start : start + 2], 'big')
    # A last segment that is cut off belongs to a file that is.
    if position < start + 2 or position > len(data):
      return
    if marker == _SOS:
      behind = _MARKER_BEHIND_SCAN.search(data, position)
      position = behind.start() if behind else len(data)
      yield marker, data[start:position]
    else:
      yield marker, data[start + 2 : position]
  raise BrokenError(f'there are more than {_MAX_STEPS} segments')


def _kept(marker: int, body: bytes) -> bytes:
  if marker in (_SOS, _EOI):
    return bytes((0xFF, marker)) + body
  if marker == _APP0:
    # Without its thumbnail, which may show what was cropped away.
    return _segment(marker, body[:12] + b'\x00\x00') if body.startswith(b'JFIF\x00') else b''
  if marker == _APP14:
    return _segment(marker, body[:12]) if body.startswith(b'Adobe') else b''
  if _APP0 <= marker <= _APP15 or marker == _COM:
    return b''
  return _segment(marker, body)


def _segment(marker: int, body: bytes) -> bytes:
  return b'\xff' + bytes((marker,)) + struct.pack('>H', len(body) + 2) + body


def _personal_of_app1(body: bytes) -> set[str]:
  if body.startswith(exif.PREFIX):
    return exif.personal(body[len(exif.PREFIX) :])
  if body.startswith(_XMP_PREFIXES):
    return exif.personal_in_xmp(body)
  return set()
