import colorsys

import numpy as np

from components.audit import cheap_features


def test_the_colour_part_is_the_root_of_an_hsv_histogram():
  pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
  expected = np.zeros((2, 12, 4, 4))
  for image in range(2):
    for pixel in pixels[image].reshape(-1, 3) / 255:
      hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
      expected[
        image, min(int(hue * 12), 11), min(int(saturation * 4), 3), min(int(value * 4), 3)
      ] += 1
  found = cheap_features.features(pixels)[:, :192]
  # A pixel on the edge of two bins may fall to either side in float32.
  np.testing.assert_allclose(found**2 * 1024, expected.reshape(2, -1), atol=2.01)
  assert np.abs(found**2 * 1024 - expected.reshape(2, -1)).sum() <= 8


def test_the_gradient_part_tells_a_horizontal_edge_from_a_vertical_one():
  pixels = np.zeros((2, 32, 32, 3), np.uint8)
  pixels[0, 12:] = 255  # dark above, bright below: the gradient points down, at 90 degrees
  pixels[1, :, 12:] = 255
  found = cheap_features.features(pixels)[:, 192 + 64 :].reshape(2, 4, 4, 9)
  assert {int(bin_) for bin_ in np.argwhere(found[0] > 0)[:, 2]} == {4}  # 80 to 100 degrees
  assert {int(bin_) for bin_ in np.argwhere(found[1] > 0)[:, 2]} == {0}


def test_black_images_have_finite_features():
  found = cheap_features.features(np.zeros((3, 32, 32, 3), np.uint8))
  assert found.shape == (3, cheap_features.WIDTH)
  assert np.isfinite(found).all()
