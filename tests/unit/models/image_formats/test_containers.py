"""Containers are rewritten: compressed pixels stay, the rest goes."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from models.image_formats import bmp_container, gif_container, jpeg_container, png_container
from models.image_formats.container import BrokenError, TooManyScansError
from tests.unit.models.file_zoo import chunk, colours, encode, small_frame

IMAGE = Image.fromarray(colours(40, 56))


def segment(marker: int, body: bytes) -> bytes:
  return b'\xff' + bytes([marker]) + struct.pack('>H', len(body) + 2) + body


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'restart_marker_rows': 1}])
def test_a_dressed_jpeg_is_undressed_to_the_byte(options):
  clean = encode(IMAGE, 'JPEG', **options)
  assert jpeg_container.strip_jpeg(clean).encoded == clean
  dressed = (
    clean[:2]
    + segment(0xE1, b'http://ns.adobe.com/xap/1.0/\x00<x/>')
    + segment(0xE0, b'JFXX\x00\x10 a thumbnail')
    + b'garbage'
    + clean[2:-2]
    + segment(0xFE, b'a comment between the scans')
    + b'\xff\xd9'
    + clean
  )
  assert jpeg_container.strip_jpeg(dressed).encoded == clean


def test_adobes_marker_stays_because_it_decides_about_colours():
  clean = encode(IMAGE.convert('CMYK'), 'JPEG')
  assert b'Adobe' in clean
  assert jpeg_container.strip_jpeg(clean).encoded == clean


def test_only_the_orientation_is_left_of_exif():
  exif = Image.Exif()
  exif[0x0112], exif[0x010F] = 8, 'Maker'
  data = encode(IMAGE, 'JPEG', exif=exif.tobytes())
  stripped = jpeg_container.strip_jpeg(data)
  left = Image.open(io.BytesIO(stripped.encoded)).getexif()
  assert dict(left) == {0x0112: 8}
  assert stripped.orientation == 8
  assert jpeg_container.strip_jpeg(stripped.encoded) == stripped
  # All but the header is what it was.
  assert stripped.encoded.endswith(encode(IMAGE, 'JPEG')[2:])


def test_a_jpeg_of_a_thousand_scans_is_refused():
  data = encode(IMAGE, 'JPEG', progressive=True)
  start = data.rindex(b'\xff\xda')
  scan = data[start:-2]
  with pytest.raises(TooManyScansError):
    jpeg_container.strip_jpeg(data[:-2] + scan * 1000 + b'\xff\xd9')
  assert jpeg_container.strip_jpeg(data[:-2] + scan * 3 + b'\xff\xd9').encoded


def test_a_jpeg_of_a_million_empty_segments_is_refused():
  data = encode(IMAGE, 'JPEG')
  with pytest.raises(BrokenError, match='segments'):
    jpeg_container.strip_jpeg(data[:2] + segment(0xFE, b'') * 1_000_000 + data[2:])


def test_a_jpeg_without_pixels_is_broken():
  data = encode(IMAGE, 'JPEG')
  with pytest.raises(BrokenError):
    jpeg_container.strip_jpeg(data[: data.index(b'\xff\xda')])


def test_a_png_keeps_pixels_palette_and_transparency():
  clean = encode(IMAGE.convert('P'), 'PNG', transparency=4)
  extra = chunk(b'tEXt', b'Comment\x00hello') + chunk(b'gAMA', struct.pack('>I', 1))
  late = chunk(b'eXIf', b'MM\x00*' + bytes(40)) + chunk(b'tIME', bytes(7))
  end = clean.rindex(b'IEND') - 4
  dressed = clean[:33] + extra + clean[33:end] + late + clean[end:] + b'behind the end'
  assert png_container.strip_png(dressed).encoded == clean
  assert png_container.strip_png(clean).encoded == clean


def test_an_animated_png_is_its_still_picture():
  frames = [Image.fromarray(np.roll(colours(40, 56), 9, 1))]
  data = encode(IMAGE, 'PNG', save_all=True, append_images=frames)
  stripped = png_container.strip_png(data).encoded
  assert not {b'acTL', b'fcTL', b'fdAT'} & {stripped[i : i + 4] for i in range(len(stripped))}
  np.testing.assert_array_equal(Image.open(io.BytesIO(stripped)), colours(40, 56))


@pytest.mark.parametrize('cut', [1, 5, 12, 13, 100])
def test_a_png_without_its_end_is_broken(cut):
  with pytest.raises(BrokenError):
    png_container.strip_png(encode(IMAGE, 'PNG')[:-cut])


def test_a_gif_keeps_its_first_frame():
  frames = [Image.fromarray(np.roll(colours(40, 56), 9, 1))]
  single = encode(IMAGE, 'GIF')
  data = encode(IMAGE, 'GIF', save_all=True, append_images=frames, comment=b'hello', loop=3)
  stripped = gif_container.strip_gif(data).encoded
  assert len(stripped) < len(data) and b'hello' not in stripped and b'NETSCAPE' not in stripped
  image = Image.open(io.BytesIO(stripped))
  assert image.n_frames == 1
  np.testing.assert_array_equal(image.convert('RGB'), Image.open(io.BytesIO(single)).convert('RGB'))
  assert gif_container.strip_gif(stripped).encoded == stripped
  assert gif_container.fills_canvas(stripped)


def test_a_small_frame_of_a_gif_is_told_from_a_whole_one():
  stripped = gif_container.strip_gif(small_frame().data).encoded
  assert gif_container.frame_box(stripped) == (5, 4, 13, 10)
  assert not gif_container.fills_canvas(stripped)


@pytest.mark.parametrize(
  ('mode', 'plain'), [('RGB', True), ('RGBA', True), ('P', False), ('L', False), ('1', False)]
)
def test_which_bmps_are_plain(mode, plain):
  assert bmp_container.is_plain(encode(IMAGE.convert(mode), 'BMP')) is plain


def test_a_bmp_ends_with_its_pixels():
  data = encode(IMAGE, 'BMP')
  assert bmp_container.strip_bmp(data + b'behind').encoded == data
