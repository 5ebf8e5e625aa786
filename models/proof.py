"""What an export carries to be checked by: images, and the answers that training's process gave.

In assets.extra/proof/ of the export: proof.json and the images. Nothing here needs
TensorFlow; models/proof_writing.py writes it.
"""

import dataclasses
import hashlib
import json
import math
import pathlib

import numpy as np

from models import golden_images
from models.golden_images import GoldenImage
from schemas import signatures
from schemas.errors import ExportError

# Of a probability: between the network in training's process and its graph in a server.
LIMIT = 1e-5
# The same where layers compute in 8 or 11 bits of mantissa.
NARROW_LIMIT = 1e-2

_FOLDER, _FILE = 'proof', 'proof.json'
_FORM = 1


@dataclasses.dataclass(frozen=True)
class Golden:
  """One image and what training made of it.

  Attributes:
    image: the file, and what is to become of it.
    tensor_sha256: of the float32 [height, width, 3] that training sees of it, row by row;
      '' where it is refused.
    probabilities: of each class by its id; empty where it is refused.
  """

  image: GoldenImage
  tensor_sha256: str
  probabilities: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Proof:
  """What the export carries.

  Attributes:
    weights_sha256: of the export that it belongs to.
    limit: of a difference of a probability, by the network's own precision.
    goldens: an image each.
  """

  weights_sha256: str
  limit: float
  goldens: tuple[Golden, ...]


@dataclasses.dataclass(frozen=True)
class Judged:
  """How a server met one image.

  Attributes:
    name: of the image.
    outcome: that was asked for.
    difference: largest of a probability; None where there was no answer to compare.
    ok: whether it is as asked.
    said: what was wrong, or how it was refused; '' for an answer that is right.
  """

  name: str
  outcome: str
  difference: float | None
  ok: bool
  said: str = ''


def judge(golden: Golden, answered: np.ndarray | str, limit: float) -> Judged:
  """Compares what a server said.

  Args:
    golden: what it was asked about.
    answered: the probabilities [K], or the text by which it refused.
    limit: the largest difference of a probability that passes.
  """
  name, outcome = golden.image.name, golden.image.outcome
  if isinstance(answered, str):
    ok = outcome != golden_images.ANSWERED
    return Judged(name, outcome, None, ok, f'refused: {answered}')
  if outcome == golden_images.REFUSED:
    return Judged(name, outcome, None, False, 'answered, where a refusal was expected')
  if len(answered) != len(golden.probabilities):
    said = f'{len(answered)} probabilities, where {len(golden.probabilities)} were expected'
    return Judged(name, outcome, None, False, said)
  difference = float(np.abs(np.asarray(answered, np.float64) - golden.probabilities).max())
  # Not `>`: a probability that is no number is not close.
  if difference <= limit:
    return Judged(name, outcome, difference, True)
  said = f'differs by more than {limit:g}' if math.isfinite(difference) else 'is no number'
  return Judged(name, outcome, difference, False, said)


def tensor_sha256(pixels: np.ndarray) -> str:
  """Returns the hash of float32 [height, width, 3], in the byte order of most machines."""
  return hashlib.sha256(np.ascontiguousarray(pixels, '<f4').tobytes()).hexdigest()


def folder(export: pathlib.Path | str) -> pathlib.Path:
  """Returns where the proof of an export lies."""
  return pathlib.Path(export, signatures.EXTRA_FOLDER, _FOLDER)


def write(export: pathlib.Path, proof: Proof) -> None:
  """Writes a proof into its export."""
  place = folder(export)
  place.mkdir(parents=True, exist_ok=True)
  rows = []
  for golden in proof.goldens:
    (place / golden.image.name).write_bytes(golden.image.encoded)
    rows.append(
      {
        'file': golden.image.name,
        'outcome': golden.image.outcome,
        'tensor_sha256': golden.tensor_sha256,
        'probabilities': list(golden.probabilities),
      }
    )
  found = {'form': _FORM, **dataclasses.asdict(proof), 'goldens': rows}
  (place / _FILE).write_text(json.dumps(found, indent=2) + '\n', encoding='utf-8')


def read(export: pathlib.Path | str) -> Proof:
  """Reads the proof of an export.

  Raises:
    ExportError: there is none, or it is broken.
  """
  place = folder(export)
  try:
    found = json.loads((place / _FILE).read_text(encoding='utf-8'))
    if found['form'] != _FORM:
      raise ValueError(f'form {found["form"]}')
    goldens = tuple(_golden(place, row) for row in found['goldens'])
    if not any(golden.probabilities for golden in goldens):
      raise ValueError('no image that is answered')
    return Proof(str(found['weights_sha256']), float(found['limit']), goldens)
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise ExportError(
      f'{place / _FILE}: expected the proof that an export carries, of form {_FORM}. Received: '
      f'{type(error).__name__}: {error}. Export the model again: train it with this Sightline.'
    ) from error


def _golden(place: pathlib.Path, row: dict) -> Golden:
  name, outcome = str(row['file']), str(row['outcome'])
  if pathlib.PurePath(name).name != name or outcome not in golden_images.OUTCOMES:
    raise ValueError(f'the row {name} {outcome}')
  probabilities = tuple(float(value) for value in row['probabilities'])
  if (outcome == golden_images.REFUSED) == bool(probabilities):
    raise ValueError(f'{len(probabilities)} probabilities of {name}, which is {outcome}')
  image = GoldenImage(name, (place / name).read_bytes(), outcome)
  return Golden(image, str(row['tensor_sha256']), probabilities)
