"""What is asked of a model and what it answers, whatever the protocol."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from serving.served_models import Spec


@dataclasses.dataclass(frozen=True)
class Call:
  """Who is asked, and until when.

  Attributes:
    spec: the model.
    signature_name: '' for serving_default.
    request_id: by which logs name it.
    deadline: by time.monotonic(), in seconds; None for none.
  """

  spec: Spec
  signature_name: str = ''
  request_id: str = ''
  deadline: float | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
  """What a version said.

  Attributes:
    name: of the model.
    version: that answered.
    sha256: of its weights; '' for a model without any.
    signature_name: that ran.
    inputs: as the client sent them.
    outputs: an array for each output that was asked for.
    fallback: '' where the model answered; otherwise what did in its place.
  """

  name: str
  version: int
  sha256: str
  signature_name: str
  inputs: Mapping[str, np.ndarray]
  outputs: Mapping[str, np.ndarray]
  fallback: str = ''


def fill_spec(model_spec, answer: Answer) -> None:
  """Writes into a ModelSpec who answered."""
  model_spec.name = answer.name
  model_spec.version.value = answer.version
  model_spec.signature_name = answer.signature_name
