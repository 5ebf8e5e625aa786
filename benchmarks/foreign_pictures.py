"""Pictures that belong to none of the classes, drawn with Pillow and NumPy.

Each maker returns uint8 [count, side, side, 3], RGB. What is drawn is drawn large and made
small as the known images were, so that sharpness alone gives nothing away.
"""

import string
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_LARGE = 64
# Letters that no digit looks like; O, I, S, Z, B, G and their like are left out.
_LETTERS = ''.join(letter for letter in string.ascii_uppercase if letter not in 'BDGIJLOQSTYZ')


def noise(draw: np.random.Generator, count: int, side: int, grey: bool) -> np.ndarray:
  """Every pixel by chance."""
  values = draw.integers(0, 256, (count, side, side, 1 if grey else 3), np.uint8)
  return np.repeat(values, 3, axis=3) if grey else values


def uniform(draw: np.random.Generator, count: int, side: int, grey: bool) -> np.ndarray:
  """One colour an image."""
  values = draw.integers(0, 256, (count, 1, 1, 1 if grey else 3), np.uint8)
  return np.broadcast_to(values, (count, side, side, 3)).copy()


def letters(draw: np.random.Generator, count: int, side: int, grey: bool) -> np.ndarray:
  """One capital letter, light on dark."""

  def one(pen: ImageDraw.ImageDraw, colour: tuple[int, ...]) -> None:
    letter = _LETTERS[draw.integers(len(_LETTERS))]
    font = ImageFont.load_default(int(draw.integers(46, 64)))
    pen.text((_LARGE / 2, _LARGE / 2), letter, colour, font, anchor='mm')

  return _drawn(draw, count, side, grey, one)


def shapes(draw: np.random.Generator, count: int, side: int, grey: bool) -> np.ndarray:
  """A filled ellipse, rectangle or triangle, light on dark."""

  def one(pen: ImageDraw.ImageDraw, colour: tuple[int, ...]) -> None:
    left, top = draw.integers(2, 24, 2).tolist()
    right, bottom = draw.integers(36, 62, 2).tolist()
    kind = draw.integers(3)
    if kind == 0:
      pen.ellipse((left, top, right, bottom), colour)
    elif kind == 1:
      pen.rectangle((left, top, right, bottom), colour)
    else:
      pen.polygon(((left, bottom), (right, bottom), ((left + right) // 2, top)), colour)

  return _drawn(draw, count, side, grey, one)


MAKERS: dict[str, Callable[[np.random.Generator, int, int, bool], np.ndarray]] = {
  'noise': noise,
  'one colour': uniform,
  'letters': letters,
  'shapes': shapes,
}


def _drawn(draw: np.random.Generator, count: int, side: int, grey: bool, one) -> np.ndarray:
  images = []
  for _ in range(count):
    dark, light = draw.integers(0, 30, 3), draw.integers(170, 256, 3)
    if grey:
      dark, light = np.repeat(dark[:1], 3), np.repeat(light[:1], 3)
    image = Image.new('RGB', (_LARGE, _LARGE), tuple(dark.tolist()))
    one(ImageDraw.Draw(image), tuple(light.tolist()))
    images.append(np.asarray(image.resize((side, side), Image.Resampling.BOX)))
  return np.array(images)
