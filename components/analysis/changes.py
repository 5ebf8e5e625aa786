"""Changes of a picture: by how much it is blurred, turned or compressed before it is asked again.

Kinds and five severities as Hendrycks and Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations" (2019); the amounts are ours. Every
changed picture is encoded as PNG, without loss, but for those whose change is JPEG.
"""

import dataclasses
import io
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from PIL import Image

from schemas.config import AugmentConfig

SEVERITIES = (1, 2, 3, 4, 5)

_BLUR = (0.5, 1.0, 2.0, 3.0, 4.0)
_NOISE = (0.04, 0.08, 0.12, 0.18, 0.26)
_BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
_CONTRAST = (0.8, 0.6, 0.4, 0.3, 0.2)
_QUALITY = (80, 50, 30, 15, 7)
_ROTATION = (5, 10, 15, 30, 45)
_SCALE = (0.9, 0.8, 0.7, 0.6, 0.5)
_HARMLESS_QUALITY = 95
_HARMLESS_BRIGHTNESS = 0.02


@dataclasses.dataclass(frozen=True)
class Picture:
  """A picture that is to be changed, and what its changes depend on.

  Attributes:
    pixels: uint8 [h, w, 3], RGB.
    ratio: its pixels for one pixel of the network's input.
    sign: +1 or -1, drawn once a picture: brighter or darker, left or right, larger or smaller.
    seed: of its noise.
  """

  pixels: np.ndarray
  ratio: float
  sign: int
  seed: int


@dataclasses.dataclass(frozen=True)
class Change:
  """One change at one severity.

  Attributes:
    name: of the kind of change.
    severity: 1 to 5; 0 for one that should be harmless.
    amount: in words.
    encode: gives the changed picture as PNG or JPEG.
  """

  name: str
  severity: int
  amount: str
  encode: Callable[[Picture], bytes]


def robustness() -> list[Change]:
  """Returns seven kinds at five severities each, kind by kind."""
  kinds: list[tuple[str, tuple, str, Callable]] = [
    ('blur', _BLUR, "sigma {:g} pixels of the network's input", _encoded(blur)),
    ('noise', _NOISE, 'standard deviation {:.0%} of the range', _encoded(noise)),
    ('brightness', _BRIGHTNESS, '{:.0%} of the range up or down', _encoded(brightness)),
    ('contrast', _CONTRAST, '{:.0%} of what it was', _encoded(contrast)),
    ('JPEG', _QUALITY, 'quality {:g}', jpeg),
    ('rotation', _ROTATION, '{:g} degrees left or right', _encoded(rotation)),
    ('scale', _SCALE, 'by {:g}, or by 1 / {:g}', _encoded(scale)),
  ]
  return [
    Change(name, severity, words.format(amount, amount), _at(encode, amount))
    for name, amounts, words, encode in kinds
    for severity, amount in zip(SEVERITIES, amounts, strict=True)
  ]


def harmless(augment: AugmentConfig, directional: bool | None) -> list[Change]:
  """Returns the changes that nobody should answer otherwise for.

  A mirrored picture is one of them only where data.directional is false. None is called
  harmless that augment.reasons speaks of while augment leaves it out: the reason says why.
  """
  found = [
    (None, 're-encoded as PNG', 'the same pixels', lambda picture: png(picture.pixels)),
    (None, 'JPEG quality 95', 'quality 95', _at(jpeg, _HARMLESS_QUALITY)),
    (
      'brightness',
      'brightness +2 %',
      '2 % of the range up',
      lambda picture: png(_brighter(picture.pixels, _HARMLESS_BRIGHTNESS)),
    ),
    (
      'shift',
      'shifted by one pixel',
      "one pixel of the network's input to the right",
      lambda picture: png(shifted(picture.pixels, picture.ratio)),
    ),
  ]
  if directional is False:
    found.append(
      (
        'horizontal_flip',
        'mirrored',
        'left and right change places',
        lambda picture: png(np.ascontiguousarray(picture.pixels[:, ::-1])),
      )
    )
  return [
    Change(name, 0, amount, encode)
    for field, name, amount, encode in found
    if field is None or not _left_out(augment.model_dump(), augment.reasons, field)
  ]


def _left_out(values: Mapping, reasons: Mapping[str, str], field: str) -> bool:
  return field in reasons and not values[field]


def blur(picture: Picture, sigma: float) -> np.ndarray:
  """Blurs by a Gaussian of `sigma` pixels of the network's input."""
  return cv2.GaussianBlur(
    picture.pixels, (0, 0), sigma * picture.ratio, borderType=cv2.BORDER_REPLICATE
  )


def noise(picture: Picture, deviation: float) -> np.ndarray:
  """Adds Gaussian noise to each pixel; grey to a grey picture, as a grey sensor would."""
  grey = bool((picture.pixels == picture.pixels[..., :1]).all())
  shape = (*picture.pixels.shape[:2], 1 if grey else 3)
  drawn = np.random.default_rng(picture.seed).standard_normal(shape, np.float32)
  return _clipped(picture.pixels + 255 * deviation * drawn)


def brightness(picture: Picture, share: float) -> np.ndarray:
  """Adds a share of 255 to each value, or takes it off."""
  return _brighter(picture.pixels, picture.sign * share)


def contrast(picture: Picture, kept: float) -> np.ndarray:
  """Moves each value towards the mean of its channel."""
  mean = picture.pixels.mean((0, 1))
  return _clipped(mean + kept * (picture.pixels - mean))


def rotation(picture: Picture, degrees: float) -> np.ndarray:
  """Turns about the centre; what comes into view has the mean colour of the border."""
  turned = Image.fromarray(picture.pixels).rotate(
    picture.sign * degrees, Image.Resampling.BILINEAR, fillcolor=_border(picture.pixels)
  )
  return np.asarray(turned)


def scale(picture: Picture, factor: float) -> np.ndarray:
  """Makes what is seen smaller, in front of the border's mean colour, or cuts out the centre."""
  height, width = picture.pixels.shape[:2]
  inner = (max(1, round(height * factor)), max(1, round(width * factor)))
  top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
  if picture.sign < 0:
    # The decoder enlarges it: nothing is interpolated twice.
    return np.ascontiguousarray(picture.pixels[top : top + inner[0], left : left + inner[1]])
  image = Image.fromarray(picture.pixels)
  canvas = Image.new('RGB', image.size, _border(picture.pixels))
  canvas.paste(image.resize((inner[1], inner[0]), Image.Resampling.BILINEAR), (left, top))
  return np.asarray(canvas)


def shifted(pixels: np.ndarray, distance: float) -> np.ndarray:
  """Shifts to the right by a distance in pixels, which need not be whole; the border repeats."""
  whole = int(distance)
  part = distance - whole
  moved = (1 - part) * _moved(pixels, whole) + part * _moved(pixels, whole + 1)
  return _clipped(moved)


def png(pixels: np.ndarray) -> bytes:
  """Encodes without loss, and quickly."""
  return _saved(pixels, 'PNG', compress_level=1)


def jpeg(picture: Picture, quality: int) -> bytes:
  """Encodes as JPEG, by Pillow's table of that quality."""
  return _saved(picture.pixels, 'JPEG', quality=quality)


def _saved(pixels: np.ndarray, kind: str, **options) -> bytes:
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, kind, **options)
  return stream.getvalue()


def _encoded(change: Callable) -> Callable:
  return lambda picture, amount: png(change(picture, amount))


def _at(encode: Callable, amount) -> Callable[[Picture], bytes]:
  return lambda picture: encode(picture, amount)


def _brighter(pixels: np.ndarray, share: float) -> np.ndarray:
  return _clipped(pixels + 255.0 * share)


def _moved(pixels: np.ndarray, distance: int) -> np.ndarray:
  columns = np.clip(np.arange(pixels.shape[1]) - distance, 0, None)
  return pixels[:, columns].astype(np.float32)


def _border(pixels: np.ndarray) -> tuple[int, ...]:
  border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
  return tuple(int(value) for value in np.rint(border.mean(0)))


def _clipped(values: np.ndarray) -> np.ndarray:
  return np.clip(np.rint(values), 0, 255).astype(np.uint8)
