"""Images of every kind, made by code, about which every server must answer alike.

models/proof_writing.py puts them into an export together with the answers of the network
that was trained. They are small on disk; one is a photo's size, one is too large.
"""

import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from models.image_formats import exif, png_container

# What is to become of an image.
ANSWERED = 'answered'
# By the embedded server, which converts it first; TensorFlow Serving has the graph alone,
# and refuses.
CONVERTED = 'converted'
REFUSED = 'refused'
OUTCOMES = (ANSWERED, CONVERTED, REFUSED)


class GoldenImage(NamedTuple):
  """One file.

  Attributes:
    name: of the file, with its suffix.
    encoded: its bytes.
    outcome: ANSWERED, CONVERTED or REFUSED.
  """

  name: str
  encoded: bytes
  outcome: str


def make() -> list[GoldenImage]:
  """Returns them all; the same bytes with the same Pillow."""
  return [
    *(GoldenImage(name, data, ANSWERED) for name, data in _answered().items()),
    *(GoldenImage(name, data, CONVERTED) for name, data in _converted().items()),
    *(GoldenImage(name, data, REFUSED) for name, data in _refused().items()),
  ]


def _answered() -> dict[str, bytes]:
  landscape, portrait = _picture(60, 90), _picture(90, 60)
  alpha = portrait.copy()
  alpha.putalpha(Image.linear_gradient('L').resize(portrait.size))
  palette = landscape.convert('P', palette=Image.Palette.ADAPTIVE)
  frames = [palette.rotate(90 * turns) for turns in (1, 2)]
  return {
    'landscape.jpg': _encode(landscape, 'JPEG', quality=90),
    'landscape.png': _encode(landscape, 'PNG'),
    'portrait.jpg': _encode(portrait, 'JPEG', quality=90),
    'portrait.png': _encode(portrait, 'PNG'),
    'progressive.jpg': _encode(landscape, 'JPEG', quality=90, progressive=True),
    'grey.jpg': _encode(landscape.convert('L'), 'JPEG', quality=90),
    'grey.png': _encode(landscape.convert('L'), 'PNG'),
    'cmyk.jpg': _encode(landscape.convert('CMYK'), 'JPEG', quality=90),
    'alpha.png': _encode(alpha, 'PNG'),
    'palette.png': _encode(palette, 'PNG'),
    'palette.gif': _encode(palette, 'GIF'),
    'animated.gif': _encode(palette, 'GIF', save_all=True, append_images=frames),
    'landscape.bmp': _encode(_picture(20, 30), 'BMP'),
    **{
      f'exif_{turn}.jpg': _encode(
        landscape, 'JPEG', quality=90, exif=exif.PREFIX + exif.block(turn)
      )
      for turn in range(1, 9)
    },
    'exif_6.png': _encode(landscape, 'PNG', exif=exif.block(6)),
    'photo_3000x2000.jpg': _encode(_picture(2000, 3000, 160), 'JPEG', quality=60),
    'line_400x2.png': _encode(_picture(2, 400), 'PNG'),
    '2x3.png': _encode(_picture(3, 2, 1), 'PNG'),
    '1x1.png': _encode(Image.new('RGB', (1, 1), (200, 100, 50)), 'PNG'),
  }


def _converted() -> dict[str, bytes]:
  landscape = _picture(60, 90)
  deep = np.asarray(landscape).astype('>u2') * 257
  return {
    '16_bits.png': _png(90, 60, 16, 2, b''.join(b'\x00' + row.tobytes() for row in deep)),
    'landscape.webp': _encode(landscape, 'WEBP', lossless=True),
    'landscape.tiff': _encode(landscape, 'TIFF', compression='tiff_adobe_deflate'),
    'palette.bmp': _encode(_picture(20, 30).convert('P'), 'BMP'),
  }


def _refused() -> dict[str, bytes]:
  whole = _encode(_picture(60, 90), 'JPEG', quality=90)
  side = 8000
  return {
    'nothing.jpg': b'',
    'text.jpg': b'filename,label\nlandscape.jpg,blue\n',
    'cut.jpg': whole[: len(whole) // 2],
    # A whole and honest PNG of 64 million pixels, of one bit each.
    f'white_{side}x{side}.png': _png(side, side, 1, 0, (b'\x00' + b'\xff' * (side // 8)) * side),
  }


def _picture(height: int, width: int, cell: int = 7) -> Image.Image:
  """Ramps of red and green, a grid, and one corner: no turn, flip or swap looks the same."""
  y, x = np.mgrid[0:height, 0:width]
  red = 255 * x // max(width - 1, 1)
  green = 160 * y // max(height - 1, 1)
  blue = np.where((x // cell + y // cell) % 2, 30, 90)
  pixels = np.stack([red, green, blue], axis=-1).astype(np.uint8)
  pixels[: -(-height // 4), : -(-width // 3)] = (250, 230, 20)
  return Image.fromarray(pixels)


def _encode(image: Image.Image, form: str, **options) -> bytes:
  stream = io.BytesIO()
  image.save(stream, form, **options)
  return stream.getvalue()


def _png(width: int, height: int, bits: int, kind: int, rows: bytes) -> bytes:
  """Writes what Pillow does not: rows with a filter byte before each."""
  header = struct.pack('>IIBBBBB', width, height, bits, kind, 0, 0, 0)
  return (
    png_container.MAGIC
    + png_container.chunk(b'IHDR', header)
    + png_container.chunk(b'IDAT', zlib.compress(rows, 9))
    + png_container.chunk(b'IEND', b'')
  )
