import numpy as np
import pytest
from PIL import Image

from components.image_example_gen import alignment, perceptual, views

PLAIN = np.float32([[1, 0, 0], [0, 1, 0]])


def signed(pixels):
  return np.frombuffer(perceptual.describe(pixels).signature, np.uint8).reshape(64, 64)


def view(how):
  return next(view for view in views.views() if view.how == how)


def product(pixels):
  """The picture within an ellipse in the middle of a white page."""
  height, width = pixels.shape[:2]
  y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
  page = np.full_like(pixels, 255)
  inside = x**2 + y**2 < 0.4
  page[inside] = pixels[inside]
  return page


def test_a_picture_agrees_with_itself(picture):
  signature = signed(picture(0, 100, 140))
  agreed = alignment.agreement(signature, signature, PLAIN)
  assert agreed.correlation == pytest.approx(1)
  assert agreed.detail == pytest.approx(1, abs=0.02)
  assert agreed.overlap == 1
  assert alignment.fit(signature, signature, view('')) == pytest.approx((1, True))


def test_light_and_contrast_do_not_matter(picture):
  signature = signed(picture(1, 100, 140))
  darker = (signature * 0.6 + 20).astype(np.uint8)
  assert alignment.fit(signature, darker, view('')).correlation > 0.99


def test_overlap_by_hand(picture):
  signature = signed(picture(2, 100, 140))
  # A quarter of the width is off the picture.
  agreed = alignment.agreement(signature, signature, np.float32([[1, 0, 16], [0, 1, 0]]))
  assert agreed.overlap == pytest.approx(0.75, abs=1 / 64)


def test_refined_finds_the_shift(picture):
  pixels = picture(3, 320, 320)
  # 20 of 320 pixels are 4 of 64 points.
  one, other = signed(pixels[:256, :256]), signed(pixels[:256, 16:272])
  matrix = alignment.refined(one, other, PLAIN)
  np.testing.assert_allclose(matrix, [[1, 0, 4], [0, 1, 0]], atol=0.15)


def test_refined_gives_up_on_noise():
  draw = np.random.default_rng(0)
  flat = np.full((64, 64), 7, np.uint8)
  noise = draw.integers(0, 256, (64, 64), dtype=np.uint8)
  assert alignment.fit(flat, noise, view('')) is None
  assert alignment.fit(noise, flat, view('cropped')) is None


@pytest.mark.parametrize('seed', range(6))
def test_one_outline_is_not_one_picture(picture, seed):
  one = product(picture(seed, 160, 120))
  other = product(picture(seed + 50, 160, 120))
  assert alignment.fit(signed(one), signed(other), view('')) is None
  # The grey values of the whole agree well, which is why detail is asked.
  again = np.asarray(Image.fromarray(one).resize((60, 80), Image.Resampling.BOX))
  assert alignment.fit(signed(one), signed(again), view('')) is not None


def test_a_change_of_a_quarter_is_another_picture(picture):
  one = picture(9, 128, 128)
  other = one.copy()
  other[:64, :64] = picture(10, 64, 64)
  assert alignment.fit(signed(one), signed(other), view('')) is None


@pytest.mark.parametrize('seed', range(4))
def test_one_outline_and_light_are_not_one_picture(picture, seed):
  # Dark things on white: nearly all of the grey values' variation is the outline.
  one = signed(product(picture(seed, 160, 120) // 5))
  other = signed(product(picture(seed + 50, 160, 120) // 5))
  assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.98
  assert alignment.fit(one, other, view('')) is None
