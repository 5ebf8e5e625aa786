"""Replays the proof of an export against a live server, and says who answered.

The server may be the embedded one or TensorFlow Serving, on REST or gRPC; both are asked
by TensorFlow Serving's own API.
"""

import dataclasses
import pathlib
from typing import NamedTuple, Protocol

import numpy as np

from models import proof
from models.proof import Judged
from schemas.errors import ExportError
from schemas.weights_hash import weights_sha256


class Asked(NamedTuple):
  """What a server said about one image.

  Attributes:
    answer: the probabilities [K], or the text by which it refused the image.
    version: that answered; '' where the server does not say.
    sha256: of the weights that answered; '' where the server does not say.
  """

  answer: np.ndarray | str
  version: str = ''
  sha256: str = ''


class Server(Protocol):
  """A live server, by one of its protocols."""

  def version(self) -> str:
    """Returns the version that answers whoever asks for none; '' where it does not say.

    Raises:
      ServingError: it is not there, or serves no such model.
    """

  def ask(self, image: bytes) -> Asked:
    """Asks about one image, as it is.

    Raises:
      ServingError: it is not there, or answers with something else than a Sightline model.
    """


@dataclasses.dataclass(frozen=True)
class Verified:
  """What a replay found.

  Attributes:
    rows: an image each.
    limit: of a difference of a probability.
    expected_version: of the export; '' where its folder is no published version.
    versions: that answered.
    expected_sha256: of the export's weights.
    sha256s: that answered; none where the server does not say.
  """

  rows: tuple[Judged, ...]
  limit: float
  expected_version: str
  versions: frozenset[str]
  expected_sha256: str
  sha256s: frozenset[str]

  @property
  def largest_difference(self) -> float:
    """Of all answers that could be compared."""
    return max((row.difference for row in self.rows if row.difference is not None), default=0.0)

  @property
  def same_version(self) -> bool:
    return not self.expected_version or self.versions <= {self.expected_version}

  @property
  def same_weights(self) -> bool:
    return self.sha256s <= {self.expected_sha256}

  @property
  def ok(self) -> bool:
    return self.same_version and self.same_weights and all(row.ok for row in self.rows)


def verify(export: pathlib.Path, server: Server, limit: float | None = None) -> Verified:
  """Asks a server about every image that an export carries.

  Args:
    export: the folder with saved_model.pb; of a published version its name is the version.
    server: that is asked.
    limit: of a difference of a probability; by default that of the proof.

  Raises:
    ExportError: the export carries no proof, or one of another export.
    ServingError: as Server.
  """
  carried = proof.read(export)
  digest = weights_sha256(export)
  if carried.weights_sha256 != digest:
    raise ExportError(
      f'{export}: expected a proof of the weights that lie beside it, {digest[:12]}. Received: one '
      f'of {carried.weights_sha256[:12]}. Name the folder of a version as it was published.'
    )
  allowed = carried.limit if limit is None else limit
  version = server.version()
  rows, versions, sha256s = [], {version}, set()
  for golden in carried.goldens:
    asked = server.ask(golden.image.encoded)
    rows.append(proof.judge(golden, asked.answer, allowed))
    versions.add(asked.version)
    sha256s.add(asked.sha256)
  name = export.resolve().name
  return Verified(
    tuple(rows),
    allowed,
    name if name.isdecimal() else '',
    frozenset(versions - {''}),
    digest,
    frozenset(sha256s - {''}),
  )
