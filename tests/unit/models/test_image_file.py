"""models.image_file: what passes, and the reason for what does not."""

import io
import struct
import subprocess
import sys

import pytest
from PIL import Image

from models import image_file
from models.image_formats import png_container
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


def reason(data: bytes, **options) -> str:
  with pytest.raises(image_file.ImageFileError) as caught:
    image_file.prepare(data, **options)
  assert isinstance(caught.value, DataError)
  assert caught.value.detail in str(caught.value)
  assert caught.value.reason in image_file.REASONS
  return caught.value.reason


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'GIF', 'BMP'])
def test_what_the_graph_takes_and_is_clean_comes_back_as_it_is(form):
  data = encode(form)
  assert image_file.prepare(data) == (data, image_file.ImageHeader(form, WIDTH, HEIGHT, 1), ())


@pytest.mark.parametrize('form', ['WEBP', 'TIFF', 'AVIF'])
def test_other_formats_keep_their_name_and_become_png(form):
  prepared = image_file.prepare(encode(form))
  assert prepared.header == image_file.ImageHeader(form, WIDTH, HEIGHT, 1)
  assert Image.open(io.BytesIO(prepared.encoded)).format == 'PNG'
  assert image_file.prepare(encode(form)) == prepared


def test_a_phones_double_jpeg_is_a_jpeg_without_the_second_picture():
  stream = io.BytesIO()
  picture().save(stream, 'MPO', save_all=True, append_images=[picture()])
  assert Image.open(io.BytesIO(stream.getvalue())).format == 'MPO'
  prepared = image_file.prepare(stream.getvalue())
  assert prepared.header.format == 'JPEG'
  assert prepared.encoded.count(b'\xff\xd8\xff') == 1


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


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'GIF', 'BMP', 'WEBP', 'TIFF', 'AVIF'])
def test_every_cut_of_a_file_is_refused_or_read(form):
  data = encode(form)
  for end in range(1, min(len(data), 500)):
    try:
      header = image_file.prepare(data[:end]).header
    except image_file.ImageFileError as error:
      assert error.reason in ('not_an_image', 'undecodable'), end
    else:
      assert (header.width, header.height) == (WIDTH, HEIGHT)


@pytest.mark.parametrize('form, name', [('ICO', 'ICO'), ('JPEG2000', 'JPEG 2000')])
def test_images_that_are_not_read_are_named(form, name):
  data = encode(form)
  assert reason(data) == 'unsupported_format'
  with pytest.raises(image_file.ImageFileError, match=name):
    image_file.prepare(data)


@pytest.mark.parametrize('form', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'])
@pytest.mark.parametrize('value', [2, 3, 6, 8])
def test_the_size_is_that_of_the_upright_picture(form, value):
  header = image_file.prepare(encode(form, exif=orientation(value))).header
  size = (HEIGHT, WIDTH) if value >= 5 else (WIDTH, HEIGHT)
  assert (header.width, header.height, header.orientation) == (*size, value)


@pytest.mark.parametrize('value', [0, 1, 9])
def test_upright_and_meaningless_orientation_leave_no_exif(value):
  prepared = image_file.prepare(encode('JPEG', exif=orientation(value)))
  assert prepared.header.orientation == 1
  assert b'Exif' not in prepared.encoded


def test_pixels_are_counted_from_the_header_alone():
  assert reason(encode('PNG'), max_pixels=WIDTH * HEIGHT - 1) == 'too_many_pixels'
  assert image_file.prepare(encode('PNG'), max_pixels=WIDTH * HEIGHT)
  # Sizes without any pixels behind them: nothing can have been decoded.
  for side in (8_000, 12_000, 100_000):
    header = struct.pack('>IIBBBBB', side, side, 8, 2, 0, 0, 0)
    bomb = (
      png_container.MAGIC
      + png_container.chunk(b'IHDR', header)
      + png_container.chunk(b'IDAT', b'x')
    )
    assert reason(bomb) == 'too_many_pixels'


def test_tensorflow_opencv_and_heif_are_not_imported():
  code = (
    'import sys, models.image_file; '
    'sys.exit(bool({"tensorflow", "cv2", "pillow_heif"} & set(sys.modules)))'
  )
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0
