"""Sizes from headers in the graph, and that nothing is decoded of what is too large."""

import io
import struct

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from models import decoder, frame_header, image_limits
from models.byte_reading import bytes_at
from tests.unit.models import file_zoo
from tests.unit.models.test_orientation import segment

SIZES = [(1, 1), (17, 31), (300, 2)]


def head(data: bytes) -> tf.Tensor:
  return bytes_at(tf.constant(data), 0, 66)


def picture(height: int, width: int) -> Image.Image:
  return Image.fromarray(file_zoo.colours(height, width))


@pytest.mark.parametrize('size', SIZES)
def test_the_size_of_each_format(size):
  image = picture(*size)
  png, bmp = (file_zoo.encode(image, form) for form in ('PNG', 'BMP'))
  assert frame_header.of_png(head(png)).numpy().tolist() == list(size)
  assert frame_header.of_bmp(head(bmp)).numpy().tolist() == list(size)
  gif = file_zoo.encode(image.convert('P'), 'GIF')
  assert frame_header.of_gif(head(gif)).numpy().tolist() == list(size)
  for progressive in (False, True):
    jpeg = file_zoo.encode(image, 'JPEG', progressive=progressive)
    found = frame_header.of_jpeg(tf.constant(jpeg))
    assert found.sides.numpy().tolist() == list(size)
    assert found.scans.numpy() == (jpeg.count(b'\xff\xda') if progressive else 1)


def test_a_jpeg_without_a_frame_header_has_no_size():
  whole = file_zoo.encode(picture(17, 31), 'JPEG')
  frame = whole.index(b'\xff\xc0')
  for data in (whole[:frame], whole[:2], whole[:frame] + b'\xff\xda' + whole[frame:], b''):
    assert frame_header.of_jpeg(tf.constant(data)).sides.numpy().tolist() == [0, 0]


@pytest.mark.parametrize('block', [1, 3, 254, 255])
def test_the_first_frame_of_a_gif_ends_where_its_blocks_do(block):
  frames = [picture(40, 60).rotate(90 * turn).convert('P') for turn in range(3)]
  still = file_zoo.encode(frames[0], 'GIF')
  whole = file_zoo.encode(frames[0], 'GIF', save_all=True, append_images=frames[1:])
  found = frame_header.first_frame_of_gif(tf.constant(reblocked(whole, block)))
  assert found.fills.numpy()
  assert found.encoded.numpy().endswith(b'\x00\x3b') and len(found.encoded.numpy()) < len(whole)
  pixels = np.asarray(Image.open(io.BytesIO(found.encoded.numpy())).convert('RGB'))
  np.testing.assert_array_equal(pixels, file_zoo.by_pillow(still))


def reblocked(data: bytes, size: int) -> bytes:
  """Cuts the pixels of the first frame of a GIF into blocks of another size."""
  start = data.index(b'\x2c\0\0\0\0')
  start += 11 + (3 << ((data[start + 9] & 7) + 1) if data[start + 9] & 0x80 else 0)
  position, body = start, b''
  while data[position]:
    body += data[position + 1 : position + 1 + data[position]]
    position += 1 + data[position]
  parts = [body[at : at + size] for at in range(0, len(body), size)]
  return data[:start] + b''.join(bytes([len(part)]) + part for part in parts) + data[position:]


def test_a_gif_that_is_cut_or_never_ends_has_no_frame():
  data = file_zoo.encode(picture(40, 60).convert('P'), 'GIF')
  for broken in (data[:-30], data[:13], data[:6], data.replace(b'\x2c\0\0\0\0', b'\x99\0\0\0\0')):
    assert not frame_header.first_frame_of_gif(tf.constant(broken)).fills.numpy()
  endless = data[: data.index(b'\x2c\0\0\0\0')] + b'\x21\xfe\x00' * 5000
  assert not frame_header.first_frame_of_gif(tf.constant(endless)).fills.numpy()


def jpeg_of_size(height: int, width: int, marker: bytes = b'\xff\xc0') -> bytes:
  data = bytearray(file_zoo.encode(picture(16, 16), 'JPEG', progressive=marker == b'\xff\xc2'))
  struct.pack_into('>HH', data, data.index(marker) + 5, height, width)
  return bytes(data)


def bmp_of_size(height: int, width: int) -> bytes:
  return file_zoo.bmp([bytes(4)], width, 24, height=height)


def png_of_size(height: int, width: int) -> bytes:
  header = struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)
  return b'\x89PNG\r\n\x1a\n' + file_zoo.chunk(b'IHDR', header)


def gif_of_size(height: int, width: int) -> bytes:
  data = bytearray(file_zoo.encode(picture(40, 60).convert('P'), 'GIF'))
  struct.pack_into('<HH', data, 6, width, height)
  struct.pack_into('<HH', data, data.index(b'\x2c\0\0\0\0') + 5, width, height)
  return bytes(data)


SIDE = 12_000
TOO_LARGE = {
  'PNG': png_of_size(SIDE, SIDE),
  'PNG of a long side': png_of_size(1, image_limits.MAX_SIDE + 1),
  'PNG below 0': png_of_size(1 << 31, 1),
  'PNG of nothing': png_of_size(0, 5),
  'PNG one column more': png_of_size(10_000, image_limits.MAX_PIXELS // 10_000 + 1),
  'JPEG': jpeg_of_size(SIDE, SIDE),
  'JPEG progressive': jpeg_of_size(65_500, 65_500, b'\xff\xc2'),
  'JPEG of nothing': jpeg_of_size(0, 16),
  'BMP': bmp_of_size(SIDE, SIDE),
  'BMP from the top': bmp_of_size(-SIDE, SIDE),
  'BMP at the lowest number': bmp_of_size(-(1 << 31), 1),
  'GIF': gif_of_size(SIDE, SIDE),
}  # fmt: skip


@pytest.fixture(scope='module')
def decode():
  return tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.mark.parametrize('name', TOO_LARGE)
def test_what_says_it_is_too_large_is_refused_by_its_header(name, decode):
  with pytest.raises(tf.errors.InvalidArgumentError, match='by the header of the image'):
    decode(tf.constant(TOO_LARGE[name]))


def test_what_is_just_small_enough_goes_on_to_the_decoder(decode):
  # There are no pixels behind the header: the decoder says so, and not the guard.
  data = png_of_size(10_000, image_limits.MAX_PIXELS // 10_000)
  with pytest.raises(tf.errors.InvalidArgumentError) as caught:
    decode(tf.constant(data))
  assert 'by the header' not in caught.value.message


def test_a_real_bomb_is_refused_without_memory_for_its_pixels(decode):
  data = file_zoo.encode(Image.new('L', (SIDE, SIDE)), 'PNG')
  assert len(data) < 500_000
  before = peak()
  with pytest.raises(tf.errors.InvalidArgumentError, match='12000 12000'):
    decode(tf.constant(data))
  # As RGB it would be 432 MB.
  assert peak() - before < 50


def peak() -> float:
  """Peak memory of this process in MB."""
  with open('/proc/self/status', encoding='ascii') as status:
    return next(int(line.split()[1]) / 1e3 for line in status if line.startswith('VmHWM:'))


def test_a_small_file_cannot_ask_for_thousands_of_passes(decode):
  # 48 million pixels, and scans that cost three bytes of the file each.
  data = jpeg_of_size(6_000, 8_000, b'\xff\xc2')
  start = data.index(b'\xff\xda')
  many = data[:start] + segment(0xDA, b'\x01\x01\x00\x00\x00\x00') * 200 + data[start:]
  with pytest.raises(tf.errors.InvalidArgumentError, match='expected a JPEG of at most 100 scans'):
    decode(tf.constant(many))
