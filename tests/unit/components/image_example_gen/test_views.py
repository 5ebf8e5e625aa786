import numpy as np
import pdqhash
import pytest
from PIL import Image

from components.image_example_gen import perceptual, views

SIDE = 64


@pytest.fixture
def signature(picture):
  pixels = perceptual.describe(picture(3, 150, 200)).signature
  return np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE)


def library_hash(grey):
  """The library's bits of the lowest 8 x 8 frequencies, packed as ours are."""
  bits, _ = pdqhash.compute(np.repeat(np.ascontiguousarray(grey)[..., np.newaxis], 3, 2))
  return views.low_hashes(np.packbits(bits.astype(np.uint8))[np.newaxis])[0]


def seen(grey, matrix):
  """Pillow's affine transform: from the output's to the input's coordinates.

  Its coordinates are of corners, ours of the middles of pixels.
  """
  middle = np.array([0.5, 0.5])
  shift = matrix[:, 2] - matrix[:, :2] @ middle + middle
  (a, b), (d, e) = matrix[:, :2]
  padded = Image.fromarray(np.pad(grey, SIDE, 'symmetric'))
  c, f = shift + SIDE
  return np.asarray(
    padded.transform(
      (SIDE, SIDE), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )
  )


def test_every_view_s_hash_is_the_library_s_of_what_is_seen(signature):
  hashes = views.view_hashes(signature[np.newaxis])[0]
  assert len(hashes) == len(views.views()) > 300
  for view, got in zip(views.views(), hashes, strict=True):
    expected = library_hash(seen(signature, view.matrix))
    # PDQ splits at the median, a view at zero, and pixels are rounded.
    assert np.bitwise_count(got ^ expected) <= 8, view.how


@pytest.mark.parametrize(
  ('how', 'turn'),
  [
    ('', None),
    ('mirrored', Image.Transpose.FLIP_LEFT_RIGHT),
    ('mirrored upside down', Image.Transpose.FLIP_TOP_BOTTOM),
    # Pillow turns anticlockwise.
    ('rotated by 90', Image.Transpose.ROTATE_270),
    ('rotated by 180', Image.Transpose.ROTATE_180),
    ('rotated by 270', Image.Transpose.ROTATE_90),
    ('mirrored and rotated by 90', Image.Transpose.TRANSPOSE),
    ('mirrored and rotated by 270', Image.Transpose.TRANSVERSE),
  ],
)
def test_whole_views_by_pillow(signature, how, turn):
  (view,) = (view for view in views.views() if view.whole and view.how == how)
  image = Image.fromarray(signature)
  expected = np.asarray(image if turn is None else image.transpose(turn))
  np.testing.assert_array_equal(seen(signature, view.matrix), expected)


def test_low_hashes_are_bits_of_the_library(signature):
  bits, _ = pdqhash.compute(np.repeat(signature[..., np.newaxis], 3, 2))
  # The library's vector starts with the highest frequency.
  lowest = bits[::-1].reshape(16, 16)[:8, :8].reshape(-1)
  np.testing.assert_array_equal(views.bits_of(library_hash(signature)[np.newaxis])[0], lowest)
