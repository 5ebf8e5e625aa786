"""models.image_file: what passes, and the reason for what does not."""

import io
import struct
import subprocess
import sys
import zlib

import pytest
from PIL import Image

from models import image_file
from schemas.errors import DataError

WIDTH, HEIGHT = 31, 17


def picture(mode: str = 'RGB') -> Image.Image:
  image = Image.new('RGB', (WIDTH, HEIGHT))
  image.putdata([(8 * x, 14 * y, (x * y) % 256) for y in range(HEIGHT) for x in range(WIDTH)])
  return image.convert(mode)


def encode(form: str, **options) -> bytes:
  stream = io.BytesIO()
  picture().save(stream, form, **options)
  return stream.getvalue()


def orientation(value: int) -> bytes:
  exif = Image.Exif()
  exif[0x0112] = value
  return exif.tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
  return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def reason(data: bytes, **options) -> str:
  with pytest.raises(image_file.ImageFileError) as caught:
    image_file.inspect(data, **options)
  assert isinstance(caught.value, DataError)
  assert caught.value.detail in str(caught.value)
  return caught.value.reason


@pytest.mark.parametrize('form', image_file.FORMATS)
def test_each_format_passes_with_its_size(form):
  assert image_file.inspect(encode(form)) == image_file.ImageHeader(form, WIDTH, HEIGHT, 1)


def test_a_phones_double_jpeg_is_a_jpeg():
  stream = io.BytesIO()
  picture().save(stream, 'MPO', save_all=True, append_images=[picture()])
  assert Image.open(io.BytesIO(stream.getvalue())).format == 'MPO'
  assert image_file.inspect(stream.getvalue()).format == 'JPEG'


def test_no_bytes():
  assert reason(b'') == 'empty_file'


@pytest.mark.parametrize(
  'data',
  [
    b'filename,label\n',
    b'\xff\xd8\xff',
    b'\x89PNG\r\n\x1a\n',
    b'GIF89a',
    b'BM',
    b'\x00' * 100,
    b'\x89PNG\r\n\x1a\n' + b'\x00' * 50,
    b'BM' + b'\x00' * 60,
  ],
)
def test_text_and_bare_magic_are_no_image(data):
  assert reason(data) == 'not_an_image'


def test_every_cut_of_a_header_is_refused_or_read():
  for form in image_file.FORMATS:
    data = encode(form)
    for end in range(1, min(len(data), 700)):
      try:
        assert image_file.inspect(data[:end]).width == WIDTH
      except image_file.ImageFileError as error:
        assert error.reason == 'not_an_image', (form, end)


@pytest.mark.parametrize('form, name', [('WEBP', 'WebP'), ('TIFF', 'TIFF'), ('ICO', 'ICO')])
def test_other_images_are_named(form, name):
  data = encode(form)
  assert reason(data) == 'unsupported_format'
  with pytest.raises(image_file.ImageFileError, match=name):
    image_file.inspect(data)


@pytest.mark.parametrize('form', ['JPEG', 'PNG'])
@pytest.mark.parametrize('value', [2, 3, 6, 8])
def test_orientation_is_refused(form, value):
  assert reason(encode(form, exif=orientation(value))) == 'orientation'


@pytest.mark.parametrize('value', [0, 1, 9])
def test_upright_and_meaningless_orientation_pass(value):
  assert image_file.inspect(encode('JPEG', exif=orientation(value))).orientation == 1


def test_orientation_behind_the_pixels_of_a_png_is_found():
  data = encode('PNG')
  late = chunk(b'eXIf', orientation(6).removeprefix(b'Exif\x00\x00'))
  end = data.rindex(b'IEND') - 4
  assert reason(data[:end] + late + data[end:]) == 'orientation'


def test_pixels_are_counted_from_the_header_alone():
  assert reason(encode('PNG'), max_pixels=WIDTH * HEIGHT - 1) == 'too_many_pixels'
  assert image_file.inspect(encode('PNG'), max_pixels=WIDTH * HEIGHT)
  # Sizes without any pixels behind them: nothing can have been decoded.
  for side in (8_000, 12_000, 100_000):
    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    bomb = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', b'x')
    assert reason(bomb) == 'too_many_pixels'


def test_tensorflow_is_not_imported():
  code = 'import sys, models.image_file; sys.exit("tensorflow" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
