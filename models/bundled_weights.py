"""The weights that come with the package: a file and a card for each backbone that has one.

`models/weights/<backbone>.weights.h5` is what keras.Model.save_weights writes of
models.backbones.build(<backbone>, ...), its arrays as float32 or float16. The card
`<backbone>.json` beside it holds:

  sha256        of the weights file
  licence       of the weights, such as Apache-2.0
  trained_on    the images, in words, with their licence
  frozen_stage  true: frozen, its features beat training from scratch; false: they do not,
                and training starts from the weights with every layer trainable
"""

import dataclasses
import hashlib
import json
import pathlib

import h5py
import numpy as np

from schemas.errors import WeightsError

FOLDER = pathlib.Path(__file__).parent / 'weights'
_SUFFIX = '.weights.h5'


@dataclasses.dataclass(frozen=True)
class Bundled:
  """One file of weights, and what its card says.

  Attributes:
    path: the file.
    sha256: of the file.
    licence: of the weights.
    trained_on: the images, in words.
    frozen_stage: whether a stage with a frozen backbone makes sense.
  """

  path: pathlib.Path
  sha256: str
  licence: str
  trained_on: str
  frozen_stage: bool


def names() -> list[str]:
  """Returns the backbones that have weights in the package."""
  return sorted(path.name.removesuffix(_SUFFIX) for path in FOLDER.glob(f'*{_SUFFIX}'))


def find(backbone: str) -> Bundled | None:
  """Returns the weights of a backbone, or None where the package has none.

  Raises:
    WeightsError: the file is not the one that its card describes.
  """
  path = FOLDER / f'{backbone}{_SUFFIX}'
  if not path.is_file():
    return None
  card_path = FOLDER / f'{backbone}.json'
  try:
    card = json.loads(card_path.read_text(encoding='utf-8'))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    found = Bundled(
      path, digest, card['licence'], card['trained_on'], frozen_stage=bool(card['frozen_stage'])
    )
    expected = card['sha256']
  except (OSError, ValueError, KeyError) as error:
    raise WeightsError(
      f'{card_path}: expected a card with sha256, licence, trained_on and frozen_stage. '
      f'Received: {error!r}. Install Sightline again.'
    ) from error
  if digest != expected:
    raise WeightsError(
      f'{path}: expected a file of sha256 {expected}, as its card says. Received: {digest}. '
      'Install Sightline again.'
    )
  return found


def write(
  source: pathlib.Path, backbone: str, licence: str, trained_on: str, frozen_stage: bool
) -> Bundled:
  """Makes a weights file one of the package: half its size, in float16, with its card.

  Args:
    source: what keras.Model.save_weights wrote of the backbone.
    backbone: a row of models/backbones.py.
    licence: of the weights.
    trained_on: the images, in words, with their licence.
    frozen_stage: whether, frozen, it was seen to beat training from scratch.

  Raises:
    WeightsError: a weight is not finite, or too large for float16 (65,504).
  """
  FOLDER.mkdir(exist_ok=True)
  path = FOLDER / f'{backbone}{_SUFFIX}'
  with h5py.File(source) as read, h5py.File(path, 'w') as written:
    _copy_attributes(read, written)

    def copy(name: str, item: h5py.Dataset | h5py.Group) -> None:
      if isinstance(item, h5py.Group):
        made = written.require_group(name)
      else:
        made = written.create_dataset(name, data=_in_half(item[()], f'{source}: {name}'))
      _copy_attributes(item, made)

    read.visititems(copy)
  card: dict = {
    'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
    'licence': licence,
    'trained_on': trained_on,
    'frozen_stage': frozen_stage,
  }
  (FOLDER / f'{backbone}.json').write_text(json.dumps(card, indent=2) + '\n', encoding='utf-8')
  return Bundled(path, card['sha256'], licence, trained_on, frozen_stage)


def _copy_attributes(read, written) -> None:
  for key, value in read.attrs.items():
    written.attrs[key] = value


def _in_half(values: np.ndarray, where: str) -> np.ndarray:
  if values.dtype != np.float32:
    return values
  with np.errstate(over='ignore'):
    half: np.ndarray = values.astype(np.float16)
  if not np.isfinite(half).all():
    raise WeightsError(
      f'{where}: expected weights within float16. Received: {np.abs(values).max():g}.'
    )
  return half
