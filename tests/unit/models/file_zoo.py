"""Files as people have them, each with the pixels that it must give or the reason why not.

Expected pixels are Pillow's, or computed from the array that was written.
"""

import io
import struct
import zlib
from typing import NamedTuple

import cv2
import numpy as np
import pillow_heif
from PIL import Image, ImageOps

HEIGHT, WIDTH = 17, 31


class Animal(NamedTuple):
  """A file and what becomes of it.

  Attributes:
    data: the file.
    pixels: expected, uint8 [height, width, 3]; None where it is refused.
    reason: of the refusal; ''.
    in_graph: whether TensorFlow Serving alone answers, rather than refuses.
    tolerance: largest difference from `pixels`.
  """

  data: bytes
  pixels: np.ndarray | None = None
  reason: str = ''
  in_graph: bool = False
  tolerance: int = 0


def colours(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
  y, x = np.mgrid[0:height, 0:width]
  return np.stack([8 * x, 14 * y, x * y], -1).astype(np.uint8)


def encode(image: Image.Image, form: str, **options) -> bytes:
  stream = io.BytesIO()
  image.save(stream, form, **options)
  return stream.getvalue()


def by_pillow(data: bytes) -> np.ndarray:
  return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert('RGB'))


def chunk(kind: bytes, body: bytes) -> bytes:
  return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def png(pixels: np.ndarray, bits: int, kind: int, interlaced: bool = False) -> bytes:
  """Writes a PNG of 1, 2, 4, 8 or 16 bits a sample without filters."""
  height, width = pixels.shape[:2]
  passes = [(0, 0, 1, 1)]
  if interlaced:  # Adam7: first row, first column, step of rows, step of columns
    passes = [
      (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
      (1, 0, 2, 1),
    ]  # fmt: skip
  raw = b''
  for top, left, down, right in passes:
    for row in pixels[top::down, left::right]:
      if row.size:
        raw += b'\x00' + packed(row, bits)
  header = struct.pack('>IIBBBBB', width, height, bits, kind, 0, 0, int(interlaced))
  return (
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', header)
    + chunk(b'IDAT', zlib.compress(raw))
    + chunk(b'IEND', b'')
  )


def packed(row: np.ndarray, bits: int) -> bytes:
  if bits == 16:
    return row.astype('>u2').tobytes()
  digits = ''.join(f'{value:0{bits}b}' for value in row.ravel())
  digits += '0' * (-len(digits) % 8)
  return int(digits, 2).to_bytes(len(digits) // 8, 'big')


def bmp(rows: list[bytes], width: int, bits: int, compression=0, palette=b'', height=None) -> bytes:
  body = b''.join(row + b'\x00' * (-len(row) % 4 if not compression else 0) for row in rows)
  offset = 54 + len(palette)
  header = struct.pack(
    '<IiiHHIIiiII',
    *(40, width, height or len(rows), 1, bits, compression, len(body), 0, 0, 0, 0),
  )
  return b'BM' + struct.pack('<IHHI', offset + len(body), 0, 0, offset) + header + palette + body


def tiff(pixels: np.ndarray, photometric: int, **entries) -> bytes:
  """Writes an uncompressed little-endian TIFF of one strip; entries t<tag>=(type, value)."""
  samples = 1 if pixels.ndim == 2 else pixels.shape[2]
  bits = pixels.dtype.itemsize * 8
  sample_format = {'u': 1, 'i': 2, 'f': 3}[pixels.dtype.kind]
  body = pixels.tobytes()
  extra_at = 8 + len(body)
  extra = struct.pack(f'<{samples}H', *[bits] * samples)
  tags = {
    256: (4, pixels.shape[1]),
    257: (4, pixels.shape[0]),
    258: (3, bits if samples == 1 else extra_at),
    259: (3, 1),
    262: (3, photometric),
    273: (4, 8),
    277: (3, samples),
    278: (4, pixels.shape[0]),
    279: (4, len(body)),
    339: (3, sample_format),
    **{int(name[1:]): value for name, value in entries.items()},
  }
  count = {258: samples}
  directory = struct.pack('<H', len(tags)) + b''.join(
    struct.pack('<HHII', tag, kind, count.get(tag, 1), value)
    for tag, (kind, value) in sorted(tags.items())
  )
  head = b'II*\x00' + struct.pack('<I', extra_at + len(extra))
  return head + body + extra + directory + bytes(4)


def small_frame(width: int = 20, height: int = 15, clear: int = 12) -> Animal:
  """A GIF whose first frame is 8x6, at (5, 4), with pixels of one clear colour."""
  frame = Image.new('P', (8, 6))
  colour_map = np.array([[i * step % 256 for step in (1, 3, 7)] for i in range(256)], np.uint8)
  frame.putpalette(colour_map.ravel().tolist())
  values = np.arange(1, 49).reshape(6, 8)
  frame.putdata(values.ravel().tolist())
  data = bytearray(encode(frame, 'GIF', transparency=clear, optimize=False))
  struct.pack_into('<HH', data, 6, width, height)
  struct.pack_into('<HH', data, data.index(b'\x2c\0\0\0\0\x08\0\x06') + 1, 5, 4)
  pixels = np.zeros((15, 20, 3), np.uint8)
  pixels[4:10, 5:13] = np.where(values[..., None] == clear, 0, colour_map[values])
  return Animal(bytes(data), pixels)


def heif(image: Image.Image) -> bytes:
  stream = io.BytesIO()
  pillow_heif.from_pillow(image).save(stream, quality=90)
  return stream.getvalue()


def animals() -> dict[str, Animal]:
  """Returns every file by its name."""
  return {**_as_they_are(), **_converted(), **_refused()}


def _as_they_are() -> dict[str, Animal]:
  image = Image.fromarray(colours())
  frames = [Image.fromarray(np.roll(colours(), shift, 1)) for shift in (5, 9)]
  alpha = np.dstack([colours(), 8 * np.mgrid[0:HEIGHT, 0:WIDTH][1]]).astype(np.uint8)
  palette = image.convert('P', palette=Image.Palette.ADAPTIVE)
  multi_picture = encode(image, 'MPO', save_all=True, append_images=frames)
  files = {
    'JPEG': encode(image, 'JPEG'),
    'JPEG progressive': encode(image, 'JPEG', progressive=True, subsampling=0),
    'JPEG grey': encode(image.convert('L'), 'JPEG'),
    'JPEG CMYK': encode(image.convert('CMYK'), 'JPEG'),
    'JPEG YCCK': _as_ycck(encode(image.convert('CMYK'), 'JPEG')),
    'JPEG of a phone, MPO': multi_picture,
    'JPEG and a film behind it': encode(image, 'JPEG') + b'\x00\x00\x00\x18ftypmp42 a film',
    'PNG': encode(image, 'PNG'),
    'PNG grey': encode(image.convert('L'), 'PNG'),
    'PNG alpha': encode(Image.fromarray(alpha), 'PNG'),
    'PNG grey and alpha': encode(Image.fromarray(alpha[..., ::3].copy(), 'LA'), 'PNG'),
    'PNG palette': encode(palette, 'PNG'),
    'PNG palette, one clear': encode(palette, 'PNG', transparency=7),
    'PNG palette, all half clear': encode(palette, 'PNG', transparency=bytes(range(256))),
    'PNG one colour clear': encode(image, 'PNG', transparency=(8, 14, 1)),
    'PNG interlaced': png(colours(), 8, 2, interlaced=True),
    'PNG with a gamma': _behind_header(encode(image, 'PNG'), chunk(b'gAMA', b'\0\0\x20\0')),
    'PNG animated': encode(image, 'PNG', save_all=True, append_images=frames),
    'GIF': encode(palette, 'GIF'),
    'GIF interlaced': encode(palette, 'GIF', interlace=1),
    'GIF animated': encode(palette, 'GIF', save_all=True, append_images=frames),
    'BMP': encode(image, 'BMP'),
    'BMP 32 bits': encode(Image.fromarray(alpha), 'BMP'),
    'BMP from the top': bmp(
      [row[:, ::-1].tobytes() for row in colours()], WIDTH, 24, height=-HEIGHT
    ),
    '1x1': encode(Image.new('RGB', (1, 1), (200, 100, 50)), 'PNG'),
    '1x5000': encode(Image.fromarray(colours(5000, 1)), 'PNG'),
  }
  found = {
    name: Animal(data, by_pillow(data), in_graph=True, tolerance=2 if 'JPEG' in name else 0)
    for name, data in files.items()
  }
  clear = encode(palette, 'GIF', transparency=3)
  black = np.where(np.asarray(palette)[..., None] == 3, 0, by_pillow(encode(palette, 'PNG')))
  found['GIF one colour clear'] = Animal(clear, black, in_graph=True)
  for bits in (1, 2, 4):
    values = np.mgrid[0:HEIGHT, 0:WIDTH].sum(0) % 2**bits
    grey = np.repeat((values * (255 // (2**bits - 1)))[..., None], 3, 2).astype(np.uint8)
    found[f'PNG of {bits} bits'] = Animal(png(values, bits, 0), grey, in_graph=True)
  return found


def _converted() -> dict[str, Animal]:
  image = Image.fromarray(colours())
  frames = [Image.fromarray(np.roll(colours(), shift, 1)) for shift in (5, 9)]
  files = {
    'WebP': encode(image, 'WEBP'),
    'WebP without loss': encode(image, 'WEBP', lossless=True),
    'WebP animated': encode(
      image, 'WEBP', save_all=True, append_images=frames, lossless=True
    ),
    'AVIF': encode(image, 'AVIF', quality=95),
    'TIFF': encode(image, 'TIFF'),
    'TIFF deflated': encode(image, 'TIFF', compression='tiff_adobe_deflate'),
    'TIFF grey': encode(image.convert('L'), 'TIFF'),
    'TIFF of 1 bit': encode(image.convert('1'), 'TIFF'),
    'TIFF palette': encode(image.convert('P'), 'TIFF'),
    'TIFF CMYK': encode(image.convert('CMYK'), 'TIFF'),
    'TIFF alpha': encode(image.convert('RGBA'), 'TIFF'),
    'TIFF pages': encode(image, 'TIFF', save_all=True, append_images=frames),
    'BMP palette': encode(image.convert('P'), 'BMP'),
    'BMP grey': encode(image.convert('L'), 'BMP'),
    'BMP of 1 bit': encode(image.convert('1'), 'BMP'),
    'BMP run lengths': bmp(
      [b'\x04\x01\x00\x00', b'\x02\x02\x02\x00\x00\x00', b'\x00\x01'], 4, 8, 1,
      bytes([0, 0, 0, 0, 0, 0, 255, 0, 0, 200, 0, 0]) + bytes(4 * 253), height=2,
    ),
  }  # fmt: skip
  found = {name: Animal(data, by_pillow(data)) for name, data in files.items()}
  found['GIF of a small frame'] = small_frame()
  # Its decoder and encoder are of one library; the picture is what was put in.
  smooth = np.stack([*(3 * axis for axis in np.mgrid[0:64, 0:80]), np.full((64, 80), 90)], -1)
  smooth = smooth.astype(np.uint8)
  found['HEIC'] = Animal(heif(Image.fromarray(smooth)), smooth, tolerance=12)
  deep = np.random.default_rng(4).integers(0, 65536, (HEIGHT, WIDTH, 3), np.uint16)
  eight = np.round(deep / 257).astype(np.uint8)
  grey, eight_grey = deep[..., 0], np.repeat(eight[..., :1], 3, 2)
  alpha = np.dstack([deep, deep[..., 0]])
  found['PNG of 16 bits'] = Animal(png(deep, 16, 2), eight)
  found['PNG of 16 bits, interlaced'] = Animal(png(deep, 16, 2, interlaced=True), eight)
  found['PNG of 16 bits, alpha'] = Animal(png(alpha, 16, 6), eight)
  found['PNG of 16 bits, grey'] = Animal(png(grey, 16, 0), eight_grey)
  found['PNG of 16 bits, grey and alpha'] = Animal(png(deep[..., :2], 16, 4), eight_grey)
  found['TIFF of 16 bits'] = Animal(cv2.imencode('.tiff', deep[..., ::-1])[1].tobytes(), eight)
  found['TIFF of 16 bits, plain'] = Animal(tiff(deep, 2), eight)
  found['TIFF of 16 bits, grey'] = Animal(tiff(grey, 1), eight_grey)
  found['TIFF of 16 bits, 0 is white'] = Animal(tiff(grey, 0), 255 - eight_grey)
  found['TIFF of 8 bits, 0 is white'] = Animal(tiff(eight[..., 0].copy(), 0), 255 - eight_grey)
  return found


def _refused() -> dict[str, Animal]:
  image = Image.fromarray(colours())
  floats = np.random.default_rng(1).random((5, 8)).astype(np.float32)
  bomb = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 9000, 9000, 8, 2, 0, 0, 0))
  webp_bomb = bytearray(encode(image, 'WEBP', lossless=True))
  webp_bomb[21:25] = struct.pack('<I', 16383 | 16383 << 14)
  return {
    'nothing': Animal(b'', reason='empty_file'),
    'text': Animal(b'filename,label\na.png,cat\n', reason='not_an_image'),
    'zeros': Animal(bytes(400), reason='not_an_image'),
    'a page': Animal(b'<!DOCTYPE html><html></html>', reason='not_an_image'),
    'JPEG cut': Animal(encode(image, 'JPEG')[:-60], reason='undecodable'),
    'PNG cut': Animal(encode(image, 'PNG')[:-20], reason='undecodable'),
    'GIF cut': Animal(encode(image, 'GIF')[:-40], reason='undecodable'),
    'WebP cut': Animal(encode(image, 'WEBP')[:-40], reason='undecodable'),
    'TIFF cut': Animal(encode(image, 'TIFF')[:-40], reason='undecodable'),
    'AVIF cut': Animal(encode(image, 'AVIF')[:-40], reason='undecodable'),
    'HEIC cut': Animal(heif(Image.fromarray(colours(64, 80)))[:-60], reason='undecodable'),
    'ICO': Animal(encode(image, 'ICO'), reason='unsupported_format'),
    'JPEG 2000': Animal(encode(image, 'JPEG2000'), reason='unsupported_format'),
    'TIFF of floats': Animal(tiff(floats, 1), reason='undefined_range'),
    'TIFF of doubles': Animal(tiff(floats.astype(np.float64), 1), reason='undefined_range'),
    'TIFF of signed numbers': Animal(
      tiff((floats * 99).astype(np.int16), 1), reason='undefined_range'
    ),
    'TIFF of 32 bits': Animal(tiff((floats * 99).astype(np.uint32), 1), reason='undefined_range'),
    'TIFF of L*a*b*': Animal(encode(Image.new('LAB', (9, 5)), 'TIFF'), reason='unsupported_format'),
    'PNG bomb': Animal(bomb + chunk(b'IDAT', b'x'), reason='too_many_pixels'),
    'GIF bomb': Animal(small_frame(65_535, 65_535).data, reason='too_many_pixels'),
    'WebP bomb': Animal(bytes(webp_bomb), reason='too_many_pixels'),
    'TIFF bomb': Animal(
      tiff(np.zeros((2, 2), np.uint8), 1, t256=(4, 60_000), t257=(4, 60_000)),
      reason='too_many_pixels',
    ),
    'BMP bomb': Animal(bmp([bytes(4)], 60_000, 24, height=60_000), reason='too_many_pixels'),
    'a line of 70000': Animal(
      encode(Image.new('L', (70_000, 1)), 'PNG'), reason='too_many_pixels', in_graph=True
    ),
  }  # fmt: skip


def _behind_header(data: bytes, inserted: bytes) -> bytes:
  return data[:33] + inserted + data[33:]


def _as_ycck(data: bytes) -> bytes:
  marker = data.index(b'\xff\xeeA'[:2])
  transform = marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], 'big') - 1
  return data[:transform] + b'\x02' + data[transform + 1 :]
