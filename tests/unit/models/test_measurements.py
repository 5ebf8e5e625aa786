import numpy as np
import pytest
from PIL import Image, ImageFilter

from models import measurements


def test_flat_colours_by_hand():
  # BT.601: 0.299 R + 0.587 G + 0.114 B.
  green = np.zeros((5, 7, 3), np.uint8)
  green[..., 1] = 255
  measured = measurements.measure(green)
  assert measured.brightness == pytest.approx(0.587, abs=1e-6)
  assert measured.contrast == pytest.approx(0, abs=1e-3)
  assert measured.sharpness == pytest.approx(0, abs=1e-9)


def test_half_black_half_white_has_the_largest_contrast():
  pixels = np.zeros((4, 6, 3), np.uint8)
  pixels[:, 3:] = 255
  measured = measurements.measure(pixels)
  assert measured.brightness == pytest.approx(0.5, abs=1e-6)
  assert measured.contrast == pytest.approx(0.5, abs=1e-6)
  assert measured.contrast <= 0.5
  # Inside, columns 1 to 4: the Laplacian is 0, 1, -1, 0 in each of two rows.
  assert measured.sharpness == pytest.approx(0.5, abs=1e-5)


def test_white_does_not_leave_the_scale():
  assert measurements.measure(np.full((300, 11, 3), 255, np.uint8)).brightness <= 1.0


@pytest.mark.parametrize('height', [1, 2, 3, 4, 511, 512, 513, 514, 515, 1030])
def test_strips_change_nothing(height):
  pixels = np.random.default_rng(height).integers(0, 256, (height, 9, 3), dtype=np.uint8)
  luma = pixels.astype(np.float64) @ [0.299, 0.587, 0.114] / 255
  laplacian = (
    luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
  )
  measured = measurements.measure(pixels)
  assert measured.brightness == pytest.approx(luma.mean(), abs=1e-5)
  assert measured.contrast == pytest.approx(luma.std(), abs=1e-5)
  assert measured.sharpness == pytest.approx(laplacian.var() if height > 2 else 0, abs=1e-4)


@pytest.mark.parametrize('shape', [(1, 9), (9, 1), (2, 9), (9, 2), (1, 1)])
def test_an_image_too_thin_for_a_laplacian_has_no_sharpness(shape):
  pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
  assert measurements.measure(pixels).sharpness == 0


def test_a_blurred_image_is_less_sharp():
  pixels = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
  blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2)))
  assert measurements.measure(blurred).sharpness < measurements.measure(pixels).sharpness / 100
