"""What a file says of people and places is named, and is in no record."""

import io
import struct

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from models import image_file
from models.image_formats import exif
from tests.unit.models.file_zoo import colours, encode, small_frame

SERIAL = b'SN-8412-XYZZY'
OWNER = b'Ada Example'
LATITUDE = (48.0, 51.0, 29.613)
# As EXIF stores it: 29613/1000 of a second, which no picture holds by chance.
SECONDS = (struct.pack('>II', 29613, 1000), struct.pack('<II', 29613, 1000))
PLANTED = (SERIAL, OWNER, *SECONDS)
XMP = (
  b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description exif:GPSLatitude="48,51.4935N" '
  b'aux:SerialNumber="' + SERIAL + b'" aux:OwnerName="' + OWNER + b'"/></x:xmpmeta>'
)
IMAGE = Image.fromarray(colours(32, 48))


def block(gps: bool = True, serial: int | None = 0xA431, owner: int | None = 0xA430) -> bytes:
  data = Image.Exif()
  data[0x010F] = 'Maker'
  if serial == 0xC62F:
    data[serial] = SERIAL.decode()
  elif serial:
    data.get_ifd(0x8769)[serial] = SERIAL.decode()
  if owner == 0x013B:
    data[owner] = OWNER.decode()
  elif owner:
    data.get_ifd(0x8769)[owner] = OWNER.decode()
  if gps:
    data.get_ifd(0x8825).update({0: b'\x02\x03\x00\x00', 1: 'N', 2: LATITUDE, 3: 'E', 4: LATITUDE})
  return data.tobytes()


def heif(**options) -> bytes:
  stream = io.BytesIO()
  pillow_heif.from_pillow(IMAGE).save(stream, **options)
  return stream.getvalue()


def png_with_text() -> bytes:
  text = PngInfo()
  text.add_text('Author', OWNER.decode())
  text.add_itxt('XML:com.adobe.xmp', XMP.decode(), zip=True)
  text.add_text('Serial', SERIAL.decode(), zip=True)
  return encode(IMAGE, 'PNG', exif=block(), pnginfo=text)


def gif_with_xmp() -> bytes:
  data = encode(IMAGE, 'GIF')
  at = 13 + (6 << (data[10] & 7))
  # XMP specification part 3: the packet as it is, then a trailer that leads any reader out.
  trailer = bytes([1, *range(255, -1, -1), 0])
  return data[:at] + b'\x21\xff\x0bXMP DataXMP' + XMP + trailer + data[at:]


def jpeg_with_thumbnail() -> bytes:
  data = encode(IMAGE, 'JPEG', exif=block())
  thumbnail = (
    b'\xff\xe0' + struct.pack('>H', 16 + 3) + b'JFIF\0\1\2\0\0\1\0\1\1\1' + b'\x07\x08\x09'
  )
  return data[:2] + thumbnail + data[2:]


ALL = ('gps', 'owner_name', 'serial_number')
FILES = {
  'JPEG': (encode(IMAGE, 'JPEG', exif=block()), ALL),
  'JPEG, XMP': (encode(IMAGE, 'JPEG', xmp=XMP), ALL),
  'JPEG, comment and behind the end': (encode(IMAGE, 'JPEG', comment=SERIAL) + OWNER + XMP, ()),
  'JPEG, thumbnail': (jpeg_with_thumbnail(), ALL),
  'PNG': (encode(IMAGE, 'PNG', exif=block()), ALL),
  'PNG, text': (png_with_text(), ALL),
  'PNG, behind the end': (encode(IMAGE, 'PNG') + SERIAL + XMP, ()),
  'GIF, comment': (encode(IMAGE, 'GIF', comment=SERIAL + OWNER), ()),
  'GIF, XMP': (gif_with_xmp(), ALL),
  'GIF, small frame': (small_frame().data + OWNER, ()),
  'BMP, behind the end': (encode(IMAGE, 'BMP') + SERIAL + OWNER, ()),
  'WebP': (encode(IMAGE, 'WEBP', exif=block()), ALL),
  'WebP, XMP': (encode(IMAGE, 'WEBP', xmp=XMP), ALL),
  'TIFF': (encode(IMAGE, 'TIFF', exif=block()), ALL),
  'TIFF, XMP': (encode(IMAGE, 'TIFF', tiffinfo={700: XMP}), ALL),
  'AVIF': (encode(IMAGE, 'AVIF', exif=block()), ALL),
  'HEIC': (heif(exif=block()), ALL),
  'HEIC, XMP': (heif(xmp=XMP), ALL),
}


@pytest.mark.parametrize('name', FILES)
def test_found_and_taken_out(name):
  data, codes = FILES[name]
  assert (
    any(secret in data for secret in PLANTED) or 'text' in name or name.startswith('GIF, small')
  )
  prepared = image_file.prepare(data)
  assert prepared.personal == codes
  for secret in (*PLANTED, b'GPS', b'Maker', b'xmp'):
    assert secret not in prepared.encoded
  assert image_file.prepare(prepared.encoded).personal == ()


@pytest.mark.parametrize('name', FILES)
def test_the_pixels_stay(name):
  data, _ = FILES[name]
  if not name.startswith('GIF, small'):
    # HEIF is read by its own library: Pillow does not know it here.
    before = (
      pillow_heif.open_heif(data).to_pillow() if 'HEIC' in name else Image.open(io.BytesIO(data))
    )
    after = Image.open(io.BytesIO(image_file.prepare(data).encoded))
    np.testing.assert_array_equal(after.convert('RGB'), before.convert('RGB'))


@pytest.mark.parametrize(
  ('tags', 'codes'),
  [
    ({'gps': False, 'serial': 0xA435, 'owner': None}, {'serial_number'}),
    ({'gps': False, 'serial': 0xC62F, 'owner': None}, {'serial_number'}),
    ({'gps': False, 'serial': None, 'owner': 0x013B}, {'owner_name'}),
    ({'gps': True, 'serial': None, 'owner': None}, {'gps'}),
    ({'gps': False, 'serial': None, 'owner': None}, set()),
  ],
)
def test_each_tag_has_its_code(tags, codes):
  assert exif.personal(block(**tags).removeprefix(exif.PREFIX)) == codes
  assert codes <= set(exif.CODES)


def test_a_pointer_may_be_of_type_ifd():
  data = block(serial=None, owner=None).removeprefix(exif.PREFIX)
  order = '<' if data.startswith(b'II') else '>'
  pointer = struct.pack(f'{order}HHI', 0x8825, 4, 1)
  assert data.count(pointer) == 1
  changed = data.replace(pointer, struct.pack(f'{order}HHI', 0x8825, 13, 1))
  assert exif.personal(changed) == {exif.GPS}


def test_a_directory_without_a_place_and_a_blank_owner_are_no_finding():
  data = Image.Exif()
  data[0x013B] = '    '
  data.get_ifd(0x8825).update({0: b'\x02\x03\x00\x00', 29: '2026:01:01'})
  assert exif.personal(data.tobytes().removeprefix(exif.PREFIX)) == set()


def test_garbled_exif_never_raises_nor_loops():
  data = block().removeprefix(exif.PREFIX)
  rng = np.random.default_rng(0)
  for _ in range(500):
    garbled = np.frombuffer(data, np.uint8).copy()
    garbled[rng.integers(0, len(data), 6)] = rng.integers(0, 256, 6)
    assert exif.personal(garbled.tobytes()) <= set(exif.CODES)
  looped = b'MM\x00*' + struct.pack('>IHHHIII', 8, 1, 0x8769, 4, 1, 8, 0)
  assert exif.personal(looped) == set()
