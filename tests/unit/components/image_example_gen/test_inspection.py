import hashlib
import io
import re

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen import inspection, location, manifest, quarantine, rows
from models import image_file


def _inspect(root, name):
  opened = manifest.Manifest(root, root / 'images', root / 'labels.csv', ())
  return inspection.inspect_row(opened, rows.Row(2, name, 'cat'))


@pytest.mark.parametrize('image_format', ['PNG', 'JPEG', 'GIF', 'BMP', 'WEBP', 'TIFF'])
def test_each_format_is_measured(write_data, encode, image_format):
  content = encode(3, width=17, height=11, image_format=image_format)
  found = _inspect(write_data([], {'a': content}), 'a')
  assert found.row.reason == ''
  assert (found.format, found.width, found.height) == (image_format, 17, 11)
  assert found.bytes == len(content)
  luma = np.asarray(Image.open(io.BytesIO(content)).convert('RGB')) @ [0.299, 0.587, 0.114] / 255
  assert found.measured.brightness == pytest.approx(luma.mean(), abs=0.01)


def test_a_turned_photo_is_measured_upright_and_its_place_is_noted(write_data, encode):
  exif = Image.Exif()
  exif[0x0112] = 6
  exif.get_ifd(0x8825).update({1: 'N', 2: (52.0, 31.0, 12.0)})
  content = encode(4, width=40, height=9, image_format='JPEG', exif=exif.tobytes())
  found = _inspect(write_data([], {'a': content}), 'a')
  assert (found.width, found.height, found.bytes) == (9, 40, len(content))
  assert found.personal == ('gps',)
  assert found.image_id == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
  ('make', 'reason'),
  [
    (lambda encode: b'', image_file.EMPTY_FILE),
    (lambda encode: b'just some text, named .jpg', image_file.NOT_AN_IMAGE),
    (lambda encode: encode(1, 64, 48, 'JPEG')[:-700], quarantine.UNDECODABLE),
    (lambda encode: encode(1, 64, 48, 'PNG')[:-700], quarantine.UNDECODABLE),
    (lambda encode: encode(1, 64, 48, 'WEBP')[:-700], quarantine.UNDECODABLE),
    (lambda encode: encode(1, 64, 48, 'BMP')[:-700], quarantine.UNDECODABLE),
    (lambda encode: encode(1, image_format='ICO'), image_file.UNSUPPORTED_FORMAT),
  ],
  ids=['empty', 'text', 'cut JPEG', 'cut PNG', 'cut WebP', 'cut BMP', 'ICO'],
)
def test_what_cannot_be_used_says_why(write_data, encode, make, reason):
  found = _inspect(write_data([], {'a.jpg': make(encode)}), 'a.jpg')
  assert found.row.reason == reason
  assert found.row.detail
  if reason == quarantine.UNDECODABLE:
    cause = 'Invalid JPEG|whole (PNG|WEBP|GIF) image|header_size'
    assert re.search(cause, found.row.detail, re.IGNORECASE), found.row.detail
    assert not re.search(r'Graph execution|node|Op:', found.row.detail), found.row.detail


def test_a_file_that_is_too_large_is_not_read_as_a_whole(write_data, encode, monkeypatch):
  root = write_data([], {'a.png': encode(1)})
  monkeypatch.setattr(inspection, 'MAX_BYTES', 10)
  assert _inspect(root, 'a.png').row.reason == quarantine.TOO_MANY_BYTES


def test_a_missing_file_keeps_the_row(write_data):
  found = _inspect(write_data([]), 'absent.png')
  assert (found.row.reason, found.row.filename) == (location.MISSING_FILE, 'absent.png')
