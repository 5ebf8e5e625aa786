"""A look at the header of an encoded image, before anybody decodes it.

ImageExampleGen quarantines by it and the server's door refuses by it, so that
what can be served is what can be trained on. Pillow reads the header alone: a
420 kB PNG of 12000x12000 is refused in milliseconds, where decoding it would
cost seconds and 430 MB.
"""

import dataclasses
import io
import struct

from PIL import Image, UnidentifiedImageError

from schemas.errors import DataError

FORMATS = ('JPEG', 'PNG', 'GIF', 'BMP')
# About 150 MB as RGB bytes; the largest photo of a usual camera stays below.
MAX_PIXELS = 50_000_000

# Reasons, as they stand in quarantine.csv.
EMPTY_FILE = 'empty_file'
NOT_AN_IMAGE = 'not_an_image'
UNSUPPORTED_FORMAT = 'unsupported_format'
ORIENTATION = 'orientation'
TOO_MANY_PIXELS = 'too_many_pixels'
REASONS = (EMPTY_FILE, NOT_AN_IMAGE, UNSUPPORTED_FORMAT, ORIENTATION, TOO_MANY_PIXELS)

_PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
# The same magic bytes stand in the graph, in models/decoder.py.
_MAGIC = (
  (b'\xff\xd8\xff', 'JPEG'),
  (_PNG_MAGIC, 'PNG'),
  (b'GIF87a', 'GIF'),
  (b'GIF89a', 'GIF'),
  (b'BM', 'BMP'),
)
# (offset, bytes, name): formats that are images, though not ours, so that the
# text can say what to convert from.
_OTHER_MAGIC = (
  (8, b'WEBP', 'WebP'),
  (0, b'II*\x00', 'TIFF'),
  (0, b'MM\x00*', 'TIFF'),
  (4, b'ftypheic', 'HEIC'),
  (4, b'ftypheix', 'HEIC'),
  (4, b'ftypmif1', 'HEIF'),
  (4, b'ftypavif', 'AVIF'),
  (4, b'jP  ', 'JPEG 2000'),
  (0, b'\xff\x4f\xff\x51', 'JPEG 2000'),
  (0, b'8BPS', 'Photoshop'),
  (0, b'%PDF', 'PDF'),
  (0, b'\x00\x00\x01\x00', 'ICO'),
  (0, b'<svg', 'SVG'),
)
_ORIENTATION_TAG = 0x0112  # Exif 2.32, table 4
_UPRIGHT = 1


class ImageFileError(DataError):
  """The bytes are no image that Sightline takes.

  Attributes:
    reason: one of REASONS, for a program.
    detail: what was found, for a person; without advice.
  """

  def __init__(self, reason: str, detail: str, advice: str):
    super().__init__(f'{detail} {advice}')
    self.reason = reason
    self.detail = detail


@dataclasses.dataclass(frozen=True)
class ImageHeader:
  """What the header says.

  Attributes:
    format: one of FORMATS.
    width: pixels.
    height: pixels.
    orientation: EXIF orientation; always 1 for now.
  """

  format: str
  width: int
  height: int
  orientation: int


def inspect(data: bytes, max_pixels: int = MAX_PIXELS) -> ImageHeader:
  """Reads the header of an encoded image.

  Nothing is decoded, so a file that is cut off behind its header passes.

  Args:
    data: the file's bytes.
    max_pixels: largest width x height that is accepted.

  Raises:
    ImageFileError: the bytes are empty, no image, an image of another format,
      not upright, or larger than `max_pixels`; `reason` says which.
  """
  if not data:
    raise ImageFileError(
      EMPTY_FILE, 'Expected an image. Received: 0 bytes.', 'Copy the file again.'
    )
  expected = _format_by_magic(data)
  try:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
      # A phone's JPEG with a second picture behind the first calls itself MPO;
      # its first picture is a plain JPEG.
      found = 'JPEG' if image.format == 'MPO' else image.format
      width, height = image.size
      orientation = _orientation(image, data)
  except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
    raise _too_many_pixels(str(error), max_pixels) from error
  # Pillow's parsers raise whatever a broken field leads them to.
  except (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    EOFError,
  ) as error:
    raise ImageFileError(
      NOT_AN_IMAGE,
      f'Expected a {expected} image, as its first bytes promise. '
      f'Received: {len(data)} bytes with a broken header.',
      'Save or copy the file again.',
    ) from error
  if found != expected or width < 1 or height < 1:
    raise ImageFileError(
      NOT_AN_IMAGE,
      f'Expected a {expected} image. Received: {found} of {width}x{height} pixels.',
      'Save the file again.',
    )
  if width * height > max_pixels:
    raise _too_many_pixels(f'{width}x{height}', max_pixels)
  if orientation != _UPRIGHT:
    raise ImageFileError(
      ORIENTATION,
      f'Expected an upright image (EXIF orientation 1). Received: {orientation}.',
      'Turn the pixels and drop the tag, for instance with: magick FILE -auto-orient FILE',
    )
  return ImageHeader(found, width, height, orientation)


def _format_by_magic(data: bytes) -> str:
  for magic, name in _MAGIC:
    if data.startswith(magic):
      return name
  for offset, magic, name in _OTHER_MAGIC:
    if data[offset : offset + len(magic)] == magic:
      raise ImageFileError(
        UNSUPPORTED_FORMAT,
        f'Expected one of {", ".join(FORMATS)}. Received: {name}.',
        'Convert it to PNG or JPEG.',
      )
  raise ImageFileError(
    NOT_AN_IMAGE,
    f'Expected one of {", ".join(FORMATS)}. Received: {len(data)} bytes that begin with '
    f'{data[:8]!r}.',
    'Remove its row, or put the image in its place.',
  )


def _too_many_pixels(size: str, max_pixels: int) -> ImageFileError:
  return ImageFileError(
    TOO_MANY_PIXELS,
    f'Expected at most {max_pixels} pixels. Received: {size}.',
    'Make the image smaller.',
  )


def _orientation(image: Image.Image, data: bytes) -> int:
  if image.format == 'PNG':
    # PngImageFile.getexif decodes all pixels in search of a late chunk.
    exif = Image.Image.getexif(image)
    late = _png_chunk(data, b'eXIf')
    if _ORIENTATION_TAG not in exif and late is not None:
      exif = Image.Exif()
      exif.load(late)
  else:
    exif = image.getexif()
  value = exif.get(_ORIENTATION_TAG, _UPRIGHT)
  # 0 and values above 8 mean nothing; viewers show such an image as it is.
  return value if isinstance(value, int) and 1 <= value <= 8 else _UPRIGHT


def _png_chunk(data: bytes, wanted: bytes) -> bytes | None:
  """Returns the first chunk of that type (PNG specification, section 5.3)."""
  position = len(_PNG_MAGIC)
  while position + 8 <= len(data):
    length, kind = struct.unpack_from('>I4s', data, position)
    if kind == wanted:
      return data[position + 8 : position + 8 + length]
    position += length + 12
  return None
