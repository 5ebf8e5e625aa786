"""Everything that the decoder in the graph does not take, made an 8-bit PNG.

Ingest and the door of the embedded server call the one function here, so that a
file gets the same pixels in training and in service. TensorFlow Serving alone
answers such a file with INVALID_ARGUMENT.

What is read, and as what:

| File | Pixels |
|---|---|
| JPEG, also CMYK and of two pictures (MPO) | untouched; the first picture. CMYK is inverted where Adobe's marker is there |
| PNG of up to 8 bits, palette, interlaced | untouched |
| GIF whose first frame fills the picture | untouched; the first frame |
| BMP of 24 or 32 bits, uncompressed | untouched |
| PNG of 16 bits, TIFF of 12 or 16 bits | scaled to 8: 255 v / 65535, rounded; not cut off |
| GIF whose first frame is smaller | the first frame on its canvas, black around it |
| BMP with palette, run lengths, 16 bits, OS/2 | converted |
| WebP, AVIF, HEIF (HEIC) | converted; the first frame, or the primary picture |
| TIFF of 1 to 8 bits: grey, palette, RGB, CMYK, YCbCr | converted; the first page |
| TIFF of floats, of signed or 32-bit integers | refused, undefined_range: nobody knows what is white |
| TIFF of CIE L*a*b*, of 16-bit CMYK, and what Pillow does not know | refused, unsupported_format |

Everywhere: alpha is dropped and not blended with a background, because no
background is the right one; only the clear pixels of a GIF are black, as
TensorFlow's decoder has them. An animation is its first frame; an APNG its still
picture. Colour profiles and gamma are ignored. EXIF orientation (of TIFF its tag,
of HEIF and AVIF the transformations) turns the pixels.
"""  # noqa: E501

import functools
import io
import struct
import zlib
from typing import NamedTuple

import numpy as np
from PIL import (
  AvifImagePlugin,
  BmpImagePlugin,
  GifImagePlugin,
  Image,
  JpegImagePlugin,
  PngImagePlugin,
  TiffImagePlugin,
  WebPImagePlugin,
)

from models.image_formats import exif, gif_container

# Pillow's parsers raise whatever a broken field leads them to.
DECODER_ERRORS = (
  OSError,
  ValueError,
  SyntaxError,
  struct.error,
  zlib.error,
  LookupError,
  TypeError,
  ArithmeticError,
  EOFError,
  RuntimeError,
  AttributeError,
  AssertionError,
)
_PLUGINS = {
  'JPEG': JpegImagePlugin.JpegImageFile,
  'PNG': PngImagePlugin.PngImageFile,
  'GIF': GifImagePlugin.GifImageFile,
  'BMP': BmpImagePlugin.BmpImageFile,
  'WEBP': WebPImagePlugin.WebPImageFile,
  'TIFF': TiffImagePlugin.TiffImageFile,
  'AVIF': AvifImagePlugin.AvifImageFile,
}
_TURNS = {
  2: Image.Transpose.FLIP_LEFT_RIGHT,
  3: Image.Transpose.ROTATE_180,
  4: Image.Transpose.FLIP_TOP_BOTTOM,
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}
_GREY = ('1', 'L', 'LA', 'La')
_COLOUR = ('P', 'PA', 'RGB', 'RGBA', 'RGBX', 'RGBa', 'CMYK', 'YCbCr')
_NO_RANGE = ('I', 'F')
# Of TIFF 6.0.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT, _XMP = 258, 262, 339, 700
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
# Quick; a file is a tenth larger than with the default of 6.
_COMPRESS_LEVEL = 3


class UndefinedRangeError(Exception):
  """The pixels are numbers of which nobody knows which one is white."""


class UnsupportedError(Exception):
  """The pixels are stored in a way that is not read here."""


class Opened(NamedTuple):
  """An image whose header was read.

  Attributes:
    image: not yet decoded; `size` is known.
    form: one of file_magic.FORMATS.
    orientation: EXIF orientation of the file, 1..8.
    turned: that `image` is upright by itself once it is decoded, and its size is
      that of the upright picture.
    exif: block of EXIF, from the byte order mark on; b'' where there is none.
    xmp: packet; b'' where there is none.
  """

  image: Image.Image
  form: str
  orientation: int
  turned: bool
  exif: bytes
  xmp: bytes


def open_image(data: bytes, form: str) -> Opened:
  """Reads the header of a file; nothing is decoded.

  Args:
    data: the file's bytes.
    form: one of file_magic.FORMATS, as its first bytes say.

  Raises:
    UnsupportedError: Pillow does not know this kind of pixels.
    one of DECODER_ERRORS: the header is broken.
  """
  stream = io.BytesIO(data)
  if form == 'HEIF':
    # Costs a tenth of a second, so only where there is such a file.
    from pillow_heif.as_plugin import HeifImageFile

    image: Image.Image = HeifImageFile(stream)
  else:
    try:
      image = _PLUGINS[form](stream)
    except SyntaxError as error:
      if 'unknown pixel mode' in str(error):
        _check_range(data, form)
        raise UnsupportedError(f'{form} of a kind that Pillow does not read') from error
      raise
  return _described(image, data, form)


def to_png(opened: Opened, data: bytes, orientation: int) -> bytes:
  """Decodes an image and encodes it as an 8-bit PNG, upright.

  Args:
    opened: of open_image.
    data: the file's bytes.
    orientation: EXIF orientation by which the pixels are turned, 1..8; what
      turns itself is not turned again.

  Returns:
    The same for the same bytes.

  Raises:
    UndefinedRangeError: the pixels have no white.
    UnsupportedError: they are stored in a way that is not read.
    one of DECODER_ERRORS: the file is broken.
  """
  image = opened.image
  bits = _bits(image, data)
  if image.mode in _NO_RANGE:
    raise UndefinedRangeError(f'{opened.form} with pixels of mode {image.mode}')
  _check_range(data, opened.form)
  inverted = _is_inverted(image)
  image.load()
  if image.mode.startswith('I;16'):
    result = Image.fromarray(_eight_bits(bits)[np.asarray(image)])
    if inverted:
      result = Image.eval(result, lambda value: 255 - value)
  elif image.mode not in _GREY + _COLOUR:
    raise UnsupportedError(f'{opened.form} with pixels of mode {image.mode}')
  elif opened.form == 'GIF':
    result = _on_black(image, gif_container.frame_box(gif_container.strip_gif(data).encoded))
  else:
    result = _plain(image)
    if bits > 8:
      result = _deep(result, data, f'{opened.form} with {bits} bits of {image.mode}')
  if orientation in _TURNS and not opened.turned:
    result = result.transpose(_TURNS[orientation])
  # Pillow would write the colour profile that stands there.
  result.info.clear()
  stream = io.BytesIO()
  result.save(stream, 'PNG', compress_level=_COMPRESS_LEVEL)
  return stream.getvalue()


def _described(image: Image.Image, data: bytes, form: str) -> Opened:
  block = bytes(image.info.get('exif') or b'').removeprefix(exif.PREFIX)
  packet = image.info.get('xmp') or b''
  if isinstance(image, TiffImagePlugin.TiffImageFile):
    block, packet = data, image.tag_v2.get(_XMP, b'')
  return Opened(
    image,
    form,
    # libheif turns by the transformations, which stand above EXIF.
    exif.UPRIGHT if form == 'HEIF' else exif.orientation(block),
    form in ('TIFF', 'HEIF'),
    block,
    packet if isinstance(packet, bytes) else str(packet).encode(),
  )


def _bits(image: Image.Image, data: bytes) -> int:
  if isinstance(image, TiffImagePlugin.TiffImageFile):
    return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
  return data[24] if isinstance(image, PngImagePlugin.PngImageFile) else 8


def _is_inverted(image: Image.Image) -> bool:
  """Says whether 0 is white and Pillow does not mind; of up to 8 bits it does."""
  return (
    isinstance(image, TiffImagePlugin.TiffImageFile)
    and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
  )


def _check_range(data: bytes, form: str) -> None:
  if form != 'TIFF':
    return
  bits = exif.numbers(data, _BITS_PER_SAMPLE)
  signed_or_float = set(exif.numbers(data, _SAMPLE_FORMAT)) - {_UNSIGNED}
  if signed_or_float or max(bits, default=1) > 16:
    raise UndefinedRangeError(f'TIFF of {max(bits, default=1)} bits, of floats or signed numbers')


def _on_black(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
  """Puts the frame of a GIF where it belongs, as TensorFlow's decoder would."""
  frame = image.convert('RGBA').crop(box)
  result = Image.new('RGB', image.size)
  result.paste(frame.convert('RGB'), box[:2], frame.getchannel('A'))
  return result


def _plain(image: Image.Image) -> Image.Image:
  if image.mode in ('RGBa', 'La'):
    image = image.convert(image.mode.upper())
  return image.convert('L' if image.mode in _GREY else 'RGB')


@functools.cache
def _eight_bits(bits: int) -> np.ndarray:
  """Returns the table from `bits` to 8 bits: uint8 [2 ** bits]."""
  white = 2**bits - 1
  return ((np.arange(white + 1) * 255 + white // 2) // white).astype(np.uint8)


def _deep(high: Image.Image, data: bytes, name: str) -> Image.Image:
  """Reads 16 bits a colour, of which Pillow keeps the upper eight.

  OpenCV reads all of them. Both must agree on the upper ones, so that neither a
  broken file nor a layout that one of them takes otherwise gives a wrong picture.
  """
  import cv2

  try:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
  except cv2.error as error:
    raise UnsupportedError(name) from error
  if found is None or found.dtype != np.uint16:
    raise UnsupportedError(name)
  if found.ndim == 3:
    found = found[..., 2::-1] if high.mode == 'RGB' else found[..., 0]
  if found.shape != np.asarray(high).shape or (found >> 8 != np.asarray(high)).any():
    raise UnsupportedError(name)
  return Image.fromarray(_eight_bits(16)[found])
