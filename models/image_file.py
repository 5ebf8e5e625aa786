"""What of a file's bytes reaches the records and the graph, or why nothing does.

ImageExampleGen and the door of the embedded server both call `prepare`, so that
what can be served is what can be trained on, and gets the same answer. Sizes are
read from the header first: a 420 kB PNG of 12000x12000 is refused in
milliseconds, where decoding it would cost seconds and 430 MB.
"""

import dataclasses
from typing import NamedTuple

from models import image_limits
from models.image_formats import (
  bmp_container,
  container,
  conversion,
  exif,
  file_magic,
  gif_container,
  jpeg_container,
  png_container,
)
from schemas.errors import DataError

FORMATS = file_magic.FORMATS
MAX_PIXELS = image_limits.MAX_PIXELS
MAX_SIDE = image_limits.MAX_SIDE
_HEADER_FIRST = ('JPEG', 'PNG', 'GIF', 'BMP')

# Reasons, as they stand in quarantine.csv.
EMPTY_FILE = 'empty_file'
NOT_AN_IMAGE = 'not_an_image'
UNSUPPORTED_FORMAT = 'unsupported_format'
UNDEFINED_RANGE = 'undefined_range'
UNDECODABLE = 'undecodable'
TOO_MANY_PIXELS = 'too_many_pixels'
TOO_MANY_SCANS = 'too_many_scans'
REASONS = (
  EMPTY_FILE,
  NOT_AN_IMAGE,
  UNSUPPORTED_FORMAT,
  UNDEFINED_RANGE,
  UNDECODABLE,
  TOO_MANY_PIXELS,
  TOO_MANY_SCANS,
)


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
    format: one of FORMATS, of the file as it is.
    width: pixels, as shown: upright.
    height: pixels, as shown: upright.
    orientation: EXIF orientation that the file had, 1..8.
  """

  format: str
  width: int
  height: int
  orientation: int


class PreparedImage(NamedTuple):
  """An image as the records hold it and the graph gets it.

  Attributes:
    encoded: a JPEG, PNG, GIF or BMP for the decoder, without metadata but the
      EXIF orientation. Bytes that are so already come back as they are.
    header: of the original.
    personal: codes of models.image_formats.exif: what was found in the original and is not in
      `encoded`.
  """

  encoded: bytes
  header: ImageHeader
  personal: tuple[str, ...]


def prepare(data: bytes, max_pixels: int = MAX_PIXELS) -> PreparedImage:
  """Makes an image ready for the records and the graph.

  The compressed pixels of what the graph takes are not touched. All else becomes
  an 8-bit PNG; models/image_formats/conversion.py has the rules.

  Args:
    data: the file's bytes.
    max_pixels: largest width x height that is accepted; looked at before
      anything is decoded.

  Returns:
    The same for the same bytes. Pixels that are not touched are not decoded
    here, so a file that is damaged in them passes, for the decoder to refuse.

  Raises:
    ImageFileError: the bytes are empty, no image, an image of another kind, too
      large or broken; `reason` says which.
  """
  form = _format(data)
  opened = _open(data, form, max_pixels)
  stripped = _strip(data, form)
  if stripped is None:
    found = exif.personal(opened.exif) | exif.personal_in_xmp(opened.xmp)
    stripped = container.Stripped(b'', opened.orientation, frozenset(found))
  if not stripped.encoded or _must_convert(stripped.encoded, form):
    stripped = stripped._replace(encoded=_converted(opened, data, form, stripped.orientation))
  width, height = opened.image.size
  if stripped.orientation >= 5 and not opened.turned:
    width, height = height, width
  return PreparedImage(
    stripped.encoded,
    ImageHeader(form, width, height, stripped.orientation),
    tuple(sorted(stripped.personal)),
  )


def _format(data: bytes) -> str:
  if not data:
    raise ImageFileError(
      EMPTY_FILE, 'Expected an image. Received: 0 bytes.', 'Copy the file again.'
    )
  form = file_magic.format_of(data)
  other = file_magic.other_format_of(data)
  expected = f'Expected one of {", ".join(FORMATS)}. Received:'
  if not form and other:
    raise ImageFileError(UNSUPPORTED_FORMAT, f'{expected} {other}.', 'Convert it to PNG or JPEG.')
  if not form:
    raise ImageFileError(
      NOT_AN_IMAGE,
      f'{expected} {len(data)} bytes that begin with {data[:8]!r}.',
      'Remove its row, or put the image in its place.',
    )
  return form


def _open(data: bytes, form: str, max_pixels: int) -> conversion.Opened:
  # Pillow's reader of WebP makes room for the pixels already here.
  if form == 'WEBP':
    _check_size(*file_magic.webp_size(data), max_pixels)
  try:
    opened = conversion.open_image(data, form)
  except (conversion.UndefinedRangeError, conversion.UnsupportedError) as error:
    raise _not_read(error) from error
  except conversion.DECODER_ERRORS as error:
    # The header of these is spread over the file.
    if form not in _HEADER_FIRST:
      raise _undecodable(form, error) from error
    raise ImageFileError(
      NOT_AN_IMAGE,
      f'Expected a {form} image, as its first bytes promise. '
      f'Received: {len(data)} bytes with a broken header.',
      'Save or copy the file again.',
    ) from error
  width, height = opened.image.size
  if width < 1 or height < 1:
    raise ImageFileError(
      NOT_AN_IMAGE,
      f'Expected a {form} image. Received: {width}x{height} pixels.',
      'Save the file again.',
    )
  _check_size(width, height, max_pixels)
  return opened


def _check_size(width: int, height: int, max_pixels: int) -> None:
  if width * height > max_pixels or max(width, height) > MAX_SIDE:
    raise ImageFileError(
      TOO_MANY_PIXELS,
      f'Expected at most {max_pixels} pixels, and {MAX_SIDE} a side. Received: {width}x{height}.',
      'Make the image smaller.',
    )


def _strip(data: bytes, form: str) -> container.Stripped | None:
  """Takes the metadata out; None where only converting does."""
  try:
    if form == 'JPEG':
      return jpeg_container.strip_jpeg(data)
    if form == 'PNG':
      return png_container.strip_png(data)
    if form == 'GIF':
      return gif_container.strip_gif(data)
    if form == 'BMP' and bmp_container.is_plain(data):
      return bmp_container.strip_bmp(data)
    return None
  except container.TooManyScansError as error:
    raise ImageFileError(
      TOO_MANY_SCANS, f'Expected a usual JPEG. Received: {error}.', 'Save the file again.'
    ) from error
  except container.BrokenError as error:
    raise _undecodable(form, error) from error


def _must_convert(stripped: bytes, form: str) -> bool:
  # The graph refuses both, in models/decoder.py.
  if form == 'PNG':
    return png_container.is_deep(stripped)
  return form == 'GIF' and not gif_container.fills_canvas(stripped)


def _converted(opened: conversion.Opened, data: bytes, form: str, orientation: int) -> bytes:
  try:
    return conversion.to_png(opened, data, orientation)
  except (conversion.UndefinedRangeError, conversion.UnsupportedError) as error:
    raise _not_read(error) from error
  except conversion.DECODER_ERRORS as error:
    raise _undecodable(form, error) from error


def _not_read(error: Exception) -> ImageFileError:
  if isinstance(error, conversion.UndefinedRangeError):
    return ImageFileError(
      UNDEFINED_RANGE,
      f'Expected pixels of 1 to 16 bits. Received: {error}.',
      'Scale it to 8 bits by a rule of your own, and save it as PNG.',
    )
  return ImageFileError(
    UNSUPPORTED_FORMAT,
    f'Expected pixels of a usual kind. Received: {error}.',
    'Convert it to PNG or JPEG.',
  )


def _undecodable(form: str, error: Exception) -> ImageFileError:
  return ImageFileError(
    UNDECODABLE,
    f'Expected a whole {form} image. Received: one that is broken: {str(error)[:200]}.',
    'Save or copy the file again.',
  )
