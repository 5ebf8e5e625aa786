import io

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen import inspection, manifest, quarantine
from models import image_file


def _inspect(root, name):
  opened = manifest.Manifest(root, root / 'images', root / 'labels.csv', ())
  return inspection.inspect_row(opened, manifest.Row(2, name, 'cat'))


@pytest.mark.parametrize('image_format', ['PNG', 'JPEG', 'GIF', 'BMP'])
def test_each_format_is_measured(write_data, encode, image_format):
  content = encode(3, width=17, height=11, image_format=image_format)
  found = _inspect(write_data([], {'a': content}), 'a')
  assert found.row.reason == ''
  assert (found.format, found.width, found.height) == (image_format, 17, 11)
  assert found.bytes == len(content)
  luma = np.asarray(Image.open(io.BytesIO(content)).convert('RGB')) @ [0.299, 0.587, 0.114] / 255
  assert found.measured.brightness == pytest.approx(luma.mean(), abs=0.01)


def _turned(encode):
  exif = Image.Exif()
  exif[0x0112] = 6
  return encode(4, image_format='JPEG', exif=exif.tobytes())


@pytest.mark.parametrize(
  ('make', 'reason'),
  [
    (lambda encode: b'', image_file.EMPTY_FILE),
    (lambda encode: b'just some text, named .jpg', image_file.NOT_AN_IMAGE),
    (lambda encode: encode(1, 64, 48, 'JPEG')[:-700], quarantine.UNDECODABLE),
    (lambda encode: encode(1, 64, 48, 'PNG')[:-700], quarantine.UNDECODABLE),
    (lambda encode: encode(1, image_format='WEBP'), image_file.UNSUPPORTED_FORMAT),
    (lambda encode: encode(1, image_format='TIFF'), image_file.UNSUPPORTED_FORMAT),
    (_turned, image_file.ORIENTATION),
  ],
  ids=['empty', 'text', 'cut JPEG', 'cut PNG', 'WebP', 'TIFF', 'turned'],
)
def test_what_cannot_be_used_says_why(write_data, encode, make, reason):
  found = _inspect(write_data([], {'a.jpg': make(encode)}), 'a.jpg')
  assert found.row.reason == reason
  assert found.row.detail


def test_a_file_that_is_too_large_is_not_read_as_a_whole(write_data, encode, monkeypatch):
  root = write_data([], {'a.png': encode(1)})
  monkeypatch.setattr(inspection, 'MAX_BYTES', 10)
  assert _inspect(root, 'a.png').row.reason == quarantine.TOO_MANY_BYTES


def test_a_missing_file_keeps_the_row(write_data):
  found = _inspect(write_data([]), 'absent.png')
  assert (found.row.reason, found.row.filename) == (manifest.MISSING_FILE, 'absent.png')
