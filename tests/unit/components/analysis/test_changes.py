"""Each change of a picture, against what it should do by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from components.analysis import changes
from schemas.config import AugmentConfig


def picture(pixels, ratio=1.0, sign=1, seed=0):
  return changes.Picture(np.asarray(pixels, np.uint8), ratio, sign, seed)


@pytest.fixture
def coloured():
  """12 x 16 pixels, every one different."""
  values = np.arange(12 * 16, dtype=np.uint8).reshape(12, 16)
  return np.stack([values, values[::-1], 255 - values], axis=-1)


def decoded(encoded):
  return np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'))


def test_there_are_five_severities_of_seven_kinds_each_with_its_amount_in_words():
  found = changes.robustness()
  kinds = ['blur', 'noise', 'brightness', 'contrast', 'JPEG', 'rotation', 'scale']
  assert [(one.name, one.severity) for one in found] == [
    (name, severity) for name in kinds for severity in (1, 2, 3, 4, 5)
  ]
  amounts = {(one.name, one.severity): one.amount for one in found}
  assert amounts['blur', 1] == "sigma 0.5 pixels of the network's input"
  assert amounts['noise', 3] == 'standard deviation 12% of the range'
  assert amounts['JPEG', 5] == 'quality 7'
  assert amounts['scale', 2] == 'by 0.8, or by 1 / 0.8'


def test_a_severity_is_stronger_than_the_one_before_it(coloured):
  one = picture(coloured, ratio=0.5)
  strength = {}
  for change in changes.robustness():
    if change.name in ('blur', 'noise', 'brightness', 'contrast', 'JPEG'):
      off = np.abs(decoded(change.encode(one)).astype(int) - coloured).mean()
      strength.setdefault(change.name, []).append(off)
  assert len(strength) == 5
  for amounts in strength.values():
    assert amounts == sorted(amounts) and amounts[-1] > amounts[0]


def test_png_keeps_every_pixel_and_jpeg_is_a_jpeg(coloured):
  np.testing.assert_array_equal(decoded(changes.png(coloured)), coloured)
  assert changes.jpeg(picture(coloured), 50)[:3] == b'\xff\xd8\xff'


def test_blur_spreads_a_point_as_a_gaussian_of_the_networks_pixels():
  pixels = np.zeros((41, 41, 3))
  pixels[20, 20] = 255
  # Twice as large as the network's input: a sigma of 2 of its pixels is 4 here.
  spread = changes.blur(picture(np.full((41, 41, 3), 0)), 2.0)
  assert spread.max() == 0
  wide = np.tile(pixels[20:21].repeat(41, 0), (1, 1, 1))
  row = changes.blur(picture(wide, ratio=2.0), 2.0)[20, :, 0]
  places = np.arange(41) - 20
  gaussian = np.exp(-(places**2) / 32)
  np.testing.assert_allclose(row, 255 * gaussian / gaussian.sum(), atol=1)


def test_noise_has_the_deviation_that_it_says_and_is_that_of_its_seed():
  grey = np.full((200, 200, 3), 128)
  found = changes.noise(picture(grey, seed=1), 0.08).astype(float)
  assert found.std() == pytest.approx(0.08 * 255, rel=0.02)
  # On a grey picture it is grey.
  assert (found == found[..., :1]).all()
  np.testing.assert_array_equal(found, changes.noise(picture(grey, seed=1), 0.08))
  assert (found != changes.noise(picture(grey, seed=2), 0.08)).mean() > 0.9
  grey[0, 0, 0] = 0
  colour = changes.noise(picture(grey), 0.08)
  assert (colour[..., 0] != colour[..., 1]).mean() > 0.9


def test_brightness_and_contrast_by_hand():
  pixels = np.array([[[10, 100, 250], [30, 100, 50]]])
  assert changes.brightness(picture(pixels), 0.1).tolist() == [[[36, 126, 255], [56, 126, 76]]]
  darker = changes.brightness(picture(pixels, sign=-1), 0.1)
  assert darker.tolist() == [[[0, 74, 224], [4, 74, 24]]]
  # Means 20, 100, 150.
  assert changes.contrast(picture(pixels), 0.5).tolist() == [[[15, 100, 200], [25, 100, 100]]]


def test_rotation_turns_to_the_side_of_the_sign_and_fills_with_the_colour_of_the_border():
  pixels = np.full((21, 21, 3), 40)
  pixels[8:13, 13:18] = 240  # to the right of the centre
  left = changes.rotation(picture(pixels), 45)
  right = changes.rotation(picture(pixels, sign=-1), 45)
  assert left[:8].max() > 200 and left[13:].max() < 200
  assert right[13:].max() > 200 and right[:8].max() < 200
  assert (left[0, 0] == 40).all()


def test_scale_makes_the_whole_smaller_or_cuts_out_the_centre(coloured):
  cut = changes.scale(picture(coloured, sign=-1), 0.5)
  np.testing.assert_array_equal(cut, coloured[3:9, 4:12])
  pixels = np.full((20, 20, 3), 200)
  pixels[[0, -1]] = pixels[:, [0, -1]] = 50
  small = changes.scale(picture(pixels), 0.5)
  assert small.shape == pixels.shape
  assert (small[:5] == 50).all() and (small[7:13, 7:13] == 200).all()


def test_a_shift_moves_to_the_right_by_part_of_a_pixel_too():
  row = np.array([[[0, 0, 0], [100, 0, 0], [200, 0, 0], [40, 0, 0]]], np.uint8)
  assert changes.shifted(row, 1.0)[0, :, 0].tolist() == [0, 0, 100, 200]
  # A quarter of the pixel to the left, three quarters of its own.
  assert changes.shifted(row, 0.25)[0, :, 0].tolist() == [0, 75, 175, 80]


def names(augment, directional):
  return {change.name for change in changes.harmless(augment, directional)}


def test_a_mirrored_picture_is_harmless_only_where_that_is_declared():
  augment = AugmentConfig()
  everywhere = {
    're-encoded as PNG', 'JPEG quality 95', 'brightness +2 %', 'shifted by one pixel'
  }  # fmt: skip
  assert names(augment, True) == names(augment, None) == everywhere
  assert names(augment, False) == everywhere | {'mirrored'}
  (mirrored,) = (one for one in changes.harmless(augment, False) if one.name == 'mirrored')
  pixels = np.arange(12).reshape(1, 4, 3)
  np.testing.assert_array_equal(decoded(mirrored.encode(picture(pixels))), pixels[:, ::-1])


def test_what_is_left_out_for_a_reason_is_not_called_harmless():
  left_out = AugmentConfig(shift=0.0, reasons={'shift': 'the place of a mark is its class'})
  assert 'shifted by one pixel' not in names(left_out, False)
  kept = AugmentConfig(shift=0.1, reasons={'shift': 'a thing elsewhere is the same thing'})
  assert 'shifted by one pixel' in names(kept, False)
  assert 'mirrored' not in names(AugmentConfig(reasons={'horizontal_flip': 'hands'}), False)
