"""What a server said about an image, whichever protocol it was asked by."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas import signatures
from schemas.errors import ServingError

# Headers of REST and trailing metadata of gRPC; serving/identity.py writes them.
MODEL_VERSION = 'x-model-version'
MODEL_SHA256 = 'x-model-sha256'
FALLBACK = 'x-fallback'


class RejectedError(ServingError):
  """The server says that the request itself is wrong; another image may do."""


class Reply(NamedTuple):
  """An answer about one image.

  Attributes:
    row: the outputs of the signature, by name.
    told: what the server said of itself, by the names above.
  """

  row: Mapping[str, Any]
  told: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Prediction:
  """What the server said about one file.

  Attributes:
    path: of the file.
    label: the most likely class.
    class_id: its number; -1 where the server states a label without asking the model.
    probability: its probability, 0..1.
    probabilities: of every class, by number.
    model_version: that answered; '' where the server does not say.
    model_sha256: of its weights; '' where the server does not say.
    low_confidence: whether a person should look; None where the model does not say.
    ood_score: how far it is from what the model was trained on, from 0; None likewise.
    foreign: whether that is too far for an answer to mean anything; None likewise.
    fallback: `previous` or `default` where something answered in the model's place.
  """

  path: pathlib.Path
  label: str
  class_id: int
  probability: float
  probabilities: tuple[float, ...]
  model_version: str = ''
  model_sha256: str = ''
  low_confidence: bool | None = None
  ood_score: float | None = None
  foreign: bool | None = None
  fallback: str = ''


def of_reply(path: pathlib.Path, reply: Reply) -> Prediction:
  """Reads an answer.

  Raises:
    ServingError: it is not the answer of a Sightline model.
  """
  row, told = reply
  try:
    probabilities = tuple(float(value) for value in row[signatures.PROBABILITIES])
    class_id = int(row[signatures.CLASS_ID])
    return Prediction(
      path,
      str(row[signatures.PREDICTED_LABEL]),
      class_id,
      # What a fallback states is no class of the model.
      probabilities[class_id] if class_id >= 0 else 0.0,
      probabilities,
      told.get(MODEL_VERSION, ''),
      told.get(MODEL_SHA256, ''),
      row.get(signatures.LOW_CONFIDENCE),
      row.get(signatures.OOD_SCORE),
      row.get(signatures.FOREIGN),
      told.get(FALLBACK, ''),
    )
  except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
    raise not_ours(row) from error


def not_ours(received: Any) -> ServingError:
  """Returns the error of an answer that no export of Sightline gives."""
  return ServingError(
    'Expected the answer of a Sightline model, with '
    f'{signatures.PREDICTED_LABEL}, {signatures.CLASS_ID} and {signatures.PROBABILITIES}. '
    f'Received: {str(received)[:200]}'
  )
