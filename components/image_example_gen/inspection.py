"""One look at one file: can it be used, and what does it look like."""

import functools
import hashlib
import pathlib
import re
from typing import NamedTuple

import tensorflow as tf

from components.image_example_gen import perceptual, quarantine
from components.image_example_gen.location import FileError
from components.image_example_gen.manifest import Manifest
from components.image_example_gen.rows import Row
from models import decoder, image_file, measurements

# Far above any photo; a protocol buffer ends at 2 GiB.
MAX_BYTES = 1 << 28
# What TensorFlow puts around the words of an operation.
_MACHINERY = re.compile(r'\{\{.*?\}\}|\[\[.*?\]\]|\[Op:\w+\]( name:.*)?')
_HEADER = re.compile(r'Graph execution error|Detected at node')


class Inspected(NamedTuple):
  """A manifest row and what its file turned out to be.

  Attributes:
    row: as in the manifest; `reason` is set where the file cannot be used.
    image_id: sha256 of the file's bytes, hex; '' where there is no file.
    format: one of models.image_file.FORMATS.
    width: pixels, upright.
    height: pixels, upright.
    bytes: size of the file.
    measured: of the decoded pixels.
    personal: codes of models.image_formats.exif: what the file says of people and places.
    description: of the decoded pixels, by which copies are found.
  """

  row: Row
  image_id: str = ''
  format: str = ''
  width: int = 0
  height: int = 0
  bytes: int = 0
  measured: measurements.Measurements = measurements.Measurements(0.0, 0.0, 0.0)
  personal: tuple[str, ...] = ()
  description: perceptual.Description | None = None


def inspect_row(manifest: Manifest, row: Row) -> Inspected:
  """Reads, checks, decodes and measures the file of one row."""
  if row.reason:
    return Inspected(row)
  try:
    data = read_file(manifest.locate(row.filename))
  except FileError as error:
    return _bad(row, error.reason, str(error))
  except OSError as error:
    return _bad(row, quarantine.UNREADABLE, str(error))
  if data is None:
    return _bad(row, quarantine.TOO_MANY_BYTES, f'expected at most {MAX_BYTES} bytes.')
  try:
    prepared = image_file.prepare(data)
  except image_file.ImageFileError as error:
    return _bad(row, error.reason, str(error))
  try:
    pixels = _decode()(prepared.encoded).numpy()
  except tf.errors.OpError as error:
    return _bad(row, quarantine.UNDECODABLE, _cause(prepared.encoded, error))
  return Inspected(
    row,
    hashlib.sha256(data).hexdigest(),
    prepared.header.format,
    pixels.shape[1],
    pixels.shape[0],
    len(data),
    measurements.measure(pixels),
    prepared.personal,
    perceptual.describe(pixels),
  )


def read_file(path: pathlib.Path) -> bytes | None:
  """Returns the file's bytes; None where there are more than MAX_BYTES."""
  with open(path, 'rb') as stream:
    data = stream.read(MAX_BYTES + 1)
  return data if len(data) <= MAX_BYTES else None


def _bad(row: Row, reason: str, detail: str) -> Inspected:
  return Inspected(row._replace(reason=reason, detail=detail))


@functools.cache
def _decode():
  # Traced once: eager, each of its operations would be dispatched by Python.
  return tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])


def _cause(encoded: bytes, error: tf.errors.OpError) -> str:
  """Returns what the decoder says of an image that it has refused."""
  try:
    # A traced function reports where the graph was built; an eager operation, what is wrong.
    decoder.decode(tf.constant(encoded))
  except tf.errors.OpError as eager:
    error = eager
  message = _MACHINERY.sub('', error.message)
  lines = [line.strip() for line in message.splitlines() if line.strip()]
  return next((line for line in lines if not _HEADER.match(line)), type(error).__name__)[:200]
