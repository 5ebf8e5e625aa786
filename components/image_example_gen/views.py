"""The ways in which a copy may show an image: turned, mirrored, cropped; and their hashes.

A view's hash is the part of PDQ's that survives a small misplacement: the signs of the
64 lowest of its 256 frequencies. It follows from the signature by matrix products, so
that the hundreds of views of an image cost little more than one call of the library.
"""

import functools
import itertools
from typing import NamedTuple

import cv2
import numpy as np

from components.image_example_gen.perceptual import SIGNATURE_SIDE

# Frequencies an axis: 8 of PDQ's 16.
FREQUENCIES = 8
# Crops: shares of the side that remain, each at 5 x 5 places, chosen by measurement
# (docs/decisions/0007-near-copies.md).
_CROPS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
_PLACES = (0.0, 0.25, 0.5, 0.75, 1.0)
# The centre square of a 4:3, 3:2 or 16:9 photo.
_SQUARES = (3 / 4, 2 / 3, 9 / 16)
# Degrees, the share of the side that remains (with the corners that a small turn leaves
# empty, or cropped to where there is picture) and width by height of the picture: in a
# signature, which is square, the turn of a picture that is not becomes a slant.
_TURNS = tuple(
  (sign * angle, share, aspect)
  for angle, shares in ((5, (1.0, 0.92)), (10, (1.0, 0.86)))
  for share in shares
  for sign in (1, -1)
  for aspect in (1.0, 4 / 3, 3 / 4)
)
_LAST = SIGNATURE_SIDE - 1
_MIRROR = np.array([[-1, 0, _LAST], [0, 1, 0], [0, 0, 1]], np.float32)
# The rest of the eight ways to lay down a square: in words, rows and columns exchanged,
# then rows and columns read backwards.
_QUARTERS = (
  ('rotated by 90', True, False, True),
  ('rotated by 180', False, True, True),
  ('rotated by 270', True, True, False),
  ('mirrored upside down', False, True, False),
  ('mirrored and rotated by 90', True, False, False),
  ('mirrored and rotated by 270', True, True, True),
)
# The other ways lead back when they are taken twice.
_BACK = {'rotated by 90': 'rotated by 270', 'rotated by 270': 'rotated by 90'}


class View(NamedTuple):
  """One way to look at an image.

  Attributes:
    how: in words; '' for the image as it is.
    back: likewise, of the way back.
    whole: whether all of the image is seen, turned by quarters or mirrored at most.
    matrix: float32 [2, 3], from the view's pixel (x, y) to the signature's.
  """

  how: str
  back: str
  whole: bool
  matrix: np.ndarray


@functools.cache
def views() -> tuple[View, ...]:
  """Returns all views; the first is the image as it is."""
  upright = [View('', '', True, np.eye(3, dtype=np.float32))]
  for row, column in _parts():
    upright.append(View('cropped', 'cropped', False, _stretch(column, row)))
  for angle, share, aspect in _TURNS:
    how = f'turned by about {abs(angle)} degrees'
    upright.append(View(how, how, False, _turn(angle, share, aspect)))
  mirrored = []
  for view in upright:
    how = f'mirrored and {view.how}' if view.how else 'mirrored'
    mirrored.append(View(how, how, view.whole, view.matrix @ _MIRROR))
  quarters = [View(how, _BACK.get(how, how), True, _quarter(*turn)) for how, *turn in _QUARTERS]
  return tuple(
    view._replace(matrix=np.ascontiguousarray(view.matrix[:2], np.float32))
    for view in (*upright, *mirrored, *quarters)
  )


def low_hashes(hashes: np.ndarray) -> np.ndarray:
  """Returns the 64 lowest frequencies of PDQ hashes, uint8 [n, 32], as uint64 [n]."""
  bits = np.unpackbits(hashes, axis=1)[:, ::-1].reshape(-1, 16, 16)
  return _packed(bits[:, :FREQUENCIES, :FREQUENCIES])


def bits_of(hashes: np.ndarray) -> np.ndarray:
  """Returns the bits of uint64 [n] as uint8 [n, 64]."""
  return np.unpackbits(np.ascontiguousarray(hashes)[:, np.newaxis].view(np.uint8), axis=1)


def view_hashes(signatures: np.ndarray) -> np.ndarray:
  """Returns the hash of every view of uint8 [n, 64, 64], as uint64 [n, len(views())]."""
  pictures: np.ndarray = signatures.astype(np.float32)
  spectra = [_spectra(pictures, rows, columns) for rows, columns in _part_filters()]
  whole = spectra[0]
  turned = pictures.reshape(len(pictures), -1) @ _turn_filters()
  spectra.append(turned.reshape(len(pictures), len(_TURNS), FREQUENCIES, FREQUENCIES))
  upright = np.concatenate(spectra, axis=1)
  backwards = _backwards()
  quarters = []
  for _, exchanged, rows, columns in _QUARTERS:
    spectrum = whole.swapaxes(2, 3) if exchanged else whole
    spectrum = spectrum * backwards[:, np.newaxis] if rows else spectrum
    quarters.append(spectrum * backwards if columns else spectrum)
  return _packed(np.concatenate([upright, upright * backwards, *quarters], axis=1) > 0)


def _packed(bits: np.ndarray) -> np.ndarray:
  """Returns bits [..., 8, 8] as uint64 [...]."""
  packed = np.packbits(bits.reshape(-1, FREQUENCIES**2), axis=1)
  return packed.view(np.uint64).reshape(bits.shape[:-2])


def _parts() -> list[tuple[tuple[float, float], tuple[float, float]]]:
  """Returns (start, share) of the rows and of the columns of every part, in order."""
  parts: list[tuple[tuple[float, float], tuple[float, float]]] = []
  for share in _CROPS:
    starts = [(place * (1 - share), share) for place in _PLACES]
    parts += itertools.product(starts, starts)
  for share in _SQUARES:
    middle = ((1 - share) / 2, share)
    parts += [((0.0, 1.0), middle), (middle, (0.0, 1.0))]
  return parts


@functools.cache
def _part_filters() -> list[tuple[np.ndarray, np.ndarray]]:
  """Returns filters of rows and columns for the whole, and for the parts in their order."""
  all_of_it = _axis([(0.0, 1.0)])
  filters = [(all_of_it, all_of_it)]
  for share in _CROPS:
    places = _axis([(place * (1 - share), share) for place in _PLACES])
    filters.append((places, places))
  for share in _SQUARES:
    middle = _axis([((1 - share) / 2, share)])
    filters += [(all_of_it, middle), (middle, all_of_it)]
  return filters


def _axis(parts: list[tuple[float, float]]) -> np.ndarray:
  """Returns float32 [parts * FREQUENCIES, 64]: the spectrum of each part of an axis."""
  filters = []
  for start, share in parts:
    place = (np.arange(SIGNATURE_SIDE) + 0.5) * share + start * SIGNATURE_SIDE - 0.5
    place = np.clip(place, 0, _LAST)
    below = np.minimum(place.astype(int), _LAST - 1)
    weights = np.zeros((SIGNATURE_SIDE, SIGNATURE_SIDE))
    rows = np.arange(SIGNATURE_SIDE)
    weights[rows, below] += 1 - (place - below)
    weights[rows, below + 1] += place - below
    filters.append(_cosines() @ weights)
  return np.concatenate(filters).astype(np.float32)


def _spectra(pictures: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
  """Returns float32 [n, parts, 8, 8]: every part of the rows with every one of the columns."""
  spectra = rows @ pictures @ columns.T
  down, across = len(rows) // FREQUENCIES, len(columns) // FREQUENCIES
  spectra = spectra.reshape(-1, down, FREQUENCIES, across, FREQUENCIES)
  return spectra.swapaxes(2, 3).reshape(-1, down * across, FREQUENCIES, FREQUENCIES)


@functools.cache
def _turn_filters() -> np.ndarray:
  """Returns float32 [4096, turns * 64]: from a picture to the spectra of its turns."""
  cosines = _cosines()
  basis = np.einsum('iy,jx->yxij', cosines, cosines).reshape(SIGNATURE_SIDE**2, -1)
  rows, columns = np.divmod(np.arange(SIGNATURE_SIDE**2), SIGNATURE_SIDE)
  filters = []
  for angle, share, aspect in _TURNS:
    x, y, _ = _turn(angle, share, aspect) @ np.stack([columns, rows, np.ones_like(rows)])
    # The picture is mirrored at its edges, as for a hash of all of it.
    x, y = (_LAST - np.abs(_LAST - np.abs(axis)) for axis in (x, y))
    left = np.minimum(x.astype(int), _LAST - 1)
    top = np.minimum(y.astype(int), _LAST - 1)
    filter_of_turn = np.zeros_like(basis)
    for right, down in itertools.product((0, 1), (0, 1)):
      weight = (x - left if right else 1 - x + left) * (y - top if down else 1 - y + top)
      source = (top + down) * SIGNATURE_SIDE + left + right
      np.add.at(filter_of_turn, source, weight[:, np.newaxis] * basis)
    filters.append(filter_of_turn)
  return np.concatenate(filters, axis=1).astype(np.float32)


def _cosines() -> np.ndarray:
  frequency = np.arange(1, FREQUENCIES + 1)[:, np.newaxis]
  return np.cos(np.pi / SIGNATURE_SIDE * frequency * (np.arange(SIGNATURE_SIDE) + 0.5))


def _backwards() -> np.ndarray:
  # Read backwards, a cosine of odd frequency changes its sign.
  return np.where(np.arange(1, FREQUENCIES + 1) % 2, -1, 1).astype(np.float32)


def _stretch(columns: tuple[float, float], rows: tuple[float, float]) -> np.ndarray:
  matrix: np.ndarray = np.eye(3, dtype=np.float32)
  for axis, (start, share) in enumerate((columns, rows)):
    matrix[axis, axis] = share
    matrix[axis, 2] = start * SIGNATURE_SIDE + (share - 1) / 2
  return matrix


def _turn(angle: float, share: float, aspect: float) -> np.ndarray:
  centre = (_LAST / 2, _LAST / 2)
  turn = cv2.getRotationMatrix2D((0, 0), angle, share)[:, :2]
  matrix: np.ndarray = np.eye(3)
  matrix[:2, :2] = turn * [[1, 1 / aspect], [aspect, 1]]
  matrix[:2, 2] = centre - matrix[:2, :2] @ centre
  return matrix.astype(np.float32)


def _quarter(exchanged: bool, rows: bool, columns: bool) -> np.ndarray:
  matrix: np.ndarray = np.eye(3, dtype=np.float32)
  if exchanged:
    matrix = matrix[[1, 0, 2]]
  # Read backwards after the exchange: from the view's pixel first back, then exchanged.
  back: np.ndarray = np.eye(3, dtype=np.float32)
  if columns:
    back = back @ np.array([[-1, 0, _LAST], [0, 1, 0], [0, 0, 1]], np.float32)
  if rows:
    back = back @ np.array([[1, 0, 0], [0, -1, _LAST], [0, 0, 1]], np.float32)
  return matrix @ back
