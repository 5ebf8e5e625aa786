import hashlib
import io

import numpy as np
import pdqhash
import pytest
from PIL import Image

from components.image_example_gen import perceptual


def distance(one: perceptual.Description, other: perceptual.Description) -> int:
  """Bits in which two PDQ hashes differ, by Python's own integers."""
  return (int.from_bytes(one.hashes) ^ int.from_bytes(other.hashes)).bit_count()


def test_sizes_of_the_parts(picture):
  described = perceptual.describe(picture(0, 90, 120))
  assert len(described.hashes) == 32
  assert len(described.signature) == 64 * 64
  assert len(described.thumbnail) == 32 * 32 * 3
  assert described.side == 90
  assert 0 <= described.quality <= 100


def test_hash_is_the_library_s_of_the_area_mean(picture):
  # Pillow's BOX filter is the area mean; PDQ of 64 x 64 pixels takes them as they are.
  pixels = picture(1, 256, 192)
  small = np.asarray(Image.fromarray(pixels).resize((64, 64), Image.Resampling.BOX))
  bits, _ = pdqhash.compute(np.ascontiguousarray(small))
  expected = np.packbits(bits.astype(np.uint8)).tobytes()
  got = perceptual.describe(pixels).hashes
  # Grey levels are rounded in another order.
  assert (int.from_bytes(got) ^ int.from_bytes(expected)).bit_count() <= 6


def test_signature_and_thumbnail_by_pillow(picture):
  pixels = picture(2, 128, 320)
  described = perceptual.describe(pixels)
  image = Image.fromarray(pixels)
  grey = image.resize((64, 64), Image.Resampling.BOX).convert('L')
  got = np.frombuffer(described.signature, np.uint8).reshape(64, 64)
  assert np.abs(got.astype(int) - np.asarray(grey)).max() <= 2
  small = np.asarray(image.resize((32, 32), Image.Resampling.BOX)).astype(int)
  got = np.frombuffer(described.thumbnail, np.uint8).reshape(32, 32, 3)
  assert np.abs(got - small).max() <= 2


def test_pixel_id_is_over_shape_and_pixels():
  pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
  expected = hashlib.sha256(bytes([2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]) + pixels.tobytes())
  assert perceptual.pixel_id(pixels) == expected.hexdigest()
  assert perceptual.pixel_id(pixels.reshape(3, 2, 3)) != perceptual.pixel_id(pixels)


def test_pixel_id_is_of_the_pixels_not_of_the_file(picture):
  pixels = picture(3, 40, 50)
  ids = set()
  for form in ('PNG', 'BMP'):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    ids.add(perceptual.describe(np.asarray(Image.open(stream))).pixel_id)
  assert len(ids) == 1


def test_one_pixel_changes_the_id_and_hardly_the_hash(picture):
  pixels = picture(4, 100, 80)
  other = pixels.copy()
  other[50, 40] ^= 255
  one, two = perceptual.describe(pixels), perceptual.describe(other)
  assert one.pixel_id != two.pixel_id
  assert distance(one, two) <= 16


def test_a_view_of_pixels_is_as_good_as_a_copy(picture):
  pixels = picture(5, 60, 70)
  turned = pixels[:, ::-1]
  assert perceptual.describe(turned) == perceptual.describe(turned.copy())


@pytest.mark.parametrize('shape', [(1, 1), (1, 400), (400, 1), (8, 8), (2, 2000), (63, 65)])
def test_any_shape(shape):
  pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
  described = perceptual.describe(pixels)
  assert described.side == min(shape)
  assert len(described.signature) == 4096
  grey = Image.fromarray(pixels).convert('L')
  mean = np.frombuffer(described.signature, np.uint8).mean()
  assert mean == pytest.approx(np.asarray(grey).mean(), abs=8)


def test_flat_images_have_no_quality():
  flat = np.full((50, 60, 3), (200, 30, 90), np.uint8)
  assert perceptual.describe(flat).quality == 0
