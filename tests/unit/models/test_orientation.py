"""EXIF orientation in the graph and in Python, against Pillow's exif_transpose."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from models import decoder, image_file, orientation
from models.image_formats import exif, jpeg_container, png_container
from tests.unit.models.file_zoo import chunk, colours, encode

VALUES = range(1, 9)
YES, NO = tf.constant(True), tf.constant(False)
PICTURES = {'landscape': colours(17, 31), 'portrait': colours(40, 13)}
XMP = b'http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta tiff:Make="Exif"/>'


@pytest.fixture(scope='module')
def graph():
  spec = [tf.TensorSpec([], tf.string)]
  return {
    'JPEG': tf.function(lambda x: orientation.read(x, YES, NO), input_signature=spec),
    'PNG': tf.function(lambda x: orientation.read(x, NO, YES), input_signature=spec),
    'decode': tf.function(decoder.decode, input_signature=spec),
  }


def block(value: int, order: str = '>', kind: int = 3, before: int = 2) -> bytes:
  """An EXIF block with entries before and after the orientation."""
  entries = [(0x0001 + number, 3, 1, 7) for number in range(before)]
  entries += [(0x0112, kind, 1, value), (0x011A, 3, 1, 9)]
  body = struct.pack(f'{order}H', len(entries))
  for tag, entry_kind, count, number in entries:
    form = 'HH' if entry_kind == 3 else 'I'
    body += struct.pack(f'{order}HHI', tag, entry_kind, count)
    body += struct.pack(f'{order}{form}', *((number, 0) if form == 'HH' else (number,)))
  magic = b'II*\x00' if order == '<' else b'MM\x00*'
  return magic + struct.pack(f'{order}I', 8) + body + bytes(4)


def segment(marker: int, body: bytes) -> bytes:
  return b'\xff' + bytes([marker]) + struct.pack('>H', len(body) + 2) + body


def jpeg(pixels: np.ndarray, *segments: bytes) -> bytes:
  data = encode(Image.fromarray(pixels), 'JPEG', quality=95, subsampling=0)
  return data[:2] + b''.join(segments) + data[2:]


def with_exif(form: str, pixels: np.ndarray, exif_block: bytes, late: bool = False) -> bytes:
  if form == 'JPEG':
    return jpeg(pixels, segment(0xE1, b'Exif\x00\x00' + exif_block))
  data = encode(Image.fromarray(pixels), 'PNG')
  at = data.rindex(b'IEND') - 4 if late else 33
  return data[:at] + chunk(b'eXIf', exif_block) + data[at:]


def expected(data: bytes) -> np.ndarray:
  return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).astype(int)


@pytest.mark.parametrize('picture', PICTURES)
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('value', VALUES)
@pytest.mark.parametrize('form', ['JPEG', 'PNG'])
def test_pixels_are_turned_as_pillow_turns_them(form, value, order, picture, graph):
  data = with_exif(form, PICTURES[picture], block(value, order))
  prepared = image_file.prepare(data)
  for candidate in (data, prepared.encoded):
    found = graph['decode'](tf.constant(candidate)).numpy().astype(int)
    assert found.shape == expected(data).shape
    assert np.abs(found - expected(data)).max() <= (2 if form == 'JPEG' else 0)
  assert prepared.header.orientation == value


@pytest.mark.parametrize('value', VALUES)
def test_exif_behind_the_pixels_of_a_png(value, graph):
  data = with_exif('PNG', PICTURES['portrait'], block(value), late=True)
  # Pillow sees a late chunk only once it has decoded the image.
  early = with_exif('PNG', PICTURES['portrait'], block(value))
  for candidate in (data, image_file.prepare(data).encoded):
    np.testing.assert_array_equal(graph['decode'](tf.constant(candidate)), expected(early))


EXIF_6 = segment(0xE1, b'Exif\x00\x00' + block(6))
PLACES = {
  'first': (EXIF_6,),
  'behind JFIF and a colour profile': (
    segment(0xE0, b'JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00'),
    segment(0xE2, b'ICC_PROFILE\x00\x01\x02' + bytes(65_000)),
    segment(0xE2, b'ICC_PROFILE\x00\x02\x02' + bytes(65_000)),
    EXIF_6,
  ),
  'behind XMP': (segment(0xE1, XMP), EXIF_6),
  'before a second, other one': (EXIF_6, segment(0xE1, b'Exif\x00\x00' + block(3))),
  'behind fill bytes': (b'\xff\xff', EXIF_6),
  'behind a hundred entries': (segment(0xE1, b'Exif\x00\x00' + block(6, before=100)),),
}


@pytest.mark.parametrize('place', PLACES)
def test_any_place_of_the_segment(place, graph):
  data = jpeg(PICTURES['portrait'], *PLACES[place])
  assert graph['JPEG'](tf.constant(data)).numpy() == 6
  assert jpeg_container.orientation_of(data) == 6


def test_exif_behind_the_quantisation_tables(graph):
  data = jpeg(PICTURES['portrait'])
  at = data.index(b'\xff\xc0')
  data = data[:at] + EXIF_6 + data[at:]
  assert graph['JPEG'](tf.constant(data)).numpy() == jpeg_container.orientation_of(data) == 6


GOOD = block(6)
MALFORMED = {
  'no byte order': b'XX' + GOOD[2:],
  'no entries': GOOD[:8] + b'\x00\x00' + GOOD[10:],
  'directory out of the block': GOOD[:4] + struct.pack('>I', 60_000) + GOOD[8:],
  'directory at four thousand million': GOOD[:4] + b'\xff\xff\xff\xff' + GOOD[8:],
  'two values': GOOD.replace(b'\x01\x12\x00\x03\x00\x00\x00\x01', b'\x01\x12\x00\x03\0\0\0\x02'),
  'of bytes': GOOD.replace(b'\x01\x12\x00\x03', b'\x01\x12\x00\x01'),
  'zero': block(0),
  'nine': block(9),
  'as a long number': block(6, '<', kind=4),
  'cut in the entry': GOOD[:40],
  'cut behind the byte order': GOOD[:4],
  'empty': b'',
}


@pytest.mark.parametrize('form', ['JPEG', 'PNG'])
@pytest.mark.parametrize('name', MALFORMED)
def test_malformed_exif_is_upright(name, form, graph):
  data = with_exif(form, PICTURES['portrait'], MALFORMED[name])
  assert graph[form](tf.constant(data)).numpy() == 1
  assert graph['decode'](tf.constant(data)).shape == (40, 13, 3)
  assert image_file.prepare(data).header.orientation == 1


@pytest.mark.parametrize('form', ['JPEG', 'PNG'])
def test_garbled_bytes_never_raise_and_both_readers_agree(form, graph):
  data = with_exif(form, PICTURES['portrait'], block(6))
  head = data[:200]
  rng = np.random.default_rng(3)
  read = {'JPEG': jpeg_container.orientation_of, 'PNG': png_container.orientation_of}[form]
  turned = 0
  for _ in range(400):
    garbled = np.frombuffer(head, np.uint8).copy()
    for position in rng.integers(2, len(head), rng.integers(1, 8)):
      garbled[position] = rng.integers(256)
    sample = garbled.tobytes()[: rng.integers(0, len(head) + 1)]
    found = int(graph[form](tf.constant(sample)))
    assert found == read(sample)
    turned += found != 1
  assert turned > 20  # else nothing was compared


@pytest.mark.parametrize(
  'data',
  [b'\xff\xd8' + b'\xff' * 100_000, b'\xff\xd8' + b'\xff\x01' * 50_000, b'\xff\xd8\xff'],
  ids=['fill bytes', 'markers alone', 'cut'],
)
def test_the_walk_through_a_jpeg_ends(data, graph):
  assert graph['JPEG'](tf.constant(data)).numpy() == jpeg_container.orientation_of(data) == 1


def test_the_smallest_block_says_its_orientation():
  for value in VALUES:
    assert exif.orientation(exif.block(value)) == value
    again = Image.Exif()
    again.load(b'Exif\x00\x00' + exif.block(value))
    assert again[0x0112] == value
