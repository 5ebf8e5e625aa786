import numpy as np
import pytest
from PIL import Image, ImageFilter

from components.audit import outliers
from models import measurements


def _measured(pixels):
  found = measurements.measure(np.asarray(pixels))
  return found.brightness, found.contrast, found.sharpness


@pytest.fixture
def photos(make_images):
  """Sixty noisy images, and among them a black, a white, a blank and a blurred one."""
  rng = np.random.default_rng(0)
  pictures = [rng.integers(0, 256, (90, 120, 3), dtype=np.uint8) for _ in range(60)]
  pictures[5] = rng.integers(0, 6, (90, 120, 3), dtype=np.uint8)
  pictures[6] = np.full((90, 120, 3), 252, np.uint8)
  pictures[7] = np.full((90, 120, 3), (20, 140, 90), np.uint8)
  blurred = Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
  pictures[8] = np.asarray(blurred.filter(ImageFilter.GaussianBlur(2)))
  brightness, contrast, sharpness = np.array([_measured(picture) for picture in pictures]).T
  return make_images(
    ['cat', 'dog'] * 30, brightness=brightness, contrast=contrast, sharpness=sharpness
  )


def test_each_planted_image_is_listed_with_its_reason_value_and_limit(photos):
  found = {outlier.position: outlier for outlier in outliers.find(photos)}
  assert {position: outlier.code for position, outlier in found.items()} == {
    5: 'black',
    6: 'white',
    7: 'blank',
    8: 'blurred',
  }
  assert found[5].value == pytest.approx(2.5 / 255, abs=0.002) and found[5].limit == 0.04
  assert found[8].value < found[8].limit < np.median(photos.sharpness)
  assert 'class cat' in found[8].detail


def test_a_class_of_smooth_things_is_not_blurred(make_images):
  sharpness = np.where(np.arange(60) < 30, 1e-2, 1e-5) * 10 ** np.random.default_rng(1).normal(
    0, 0.05, 60
  )
  smooth = make_images(['gravel'] * 30 + ['sky'] * 30, sharpness=sharpness)
  assert outliers.find(smooth) == []
  sharpness[3] = 1e-4  # for gravel far too low, for the data set in the middle
  (found,) = outliers.find(smooth)
  assert (found.position, found.code) == (3, 'blurred')


def test_tiny_and_long_are_judged_against_the_median(make_images):
  width, height = np.full(40, 400), np.full(40, 300)
  width[2], height[2] = 60, 50
  width[3], height[3] = 1200, 300
  found = outliers.find(make_images(['a', 'b'] * 20, width=width, height=height))
  assert [(row.position, row.code, row.value) for row in found] == [
    (2, 'tiny', 50),
    (3, 'extreme_aspect', 4),
  ]
  # A data set of small, long images is as it is.
  assert outliers.find(make_images(['a'] * 40, width=np.full(40, 32), height=np.full(40, 8))) == []


def test_no_images_have_no_outliers(make_images):
  assert outliers.find(make_images([])) == []
