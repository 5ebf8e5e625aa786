"""What became of a planted fault."""

import dataclasses
from collections.abc import Callable

from schemas.errors import SightlineError


@dataclasses.dataclass(frozen=True)
class Caught:
  """A gate that refused.

  Attributes:
    gate: its name.
    said: its own words.
  """

  gate: str
  said: str


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A fault, or the control, and what the gates made of it.

  Attributes:
    fault: its name.
    planted: what was done, in words.
    expected: the gate that is to catch it; '' for the control.
    caught_by: the gate that did; '' where none did.
    said: by that gate; for the control, what the gates let pass.
    seconds: that it took.
  """

  fault: str
  planted: str
  expected: str
  caught_by: str
  said: str
  seconds: float

  @property
  def ok(self) -> bool:
    """Whether it went as it should: caught by that gate, or for the control, by none."""
    return self.caught_by == self.expected


def refusal(gate: str, ask: Callable[[], object]) -> Caught | None:
  """Returns what a gate says that refuses by raising; None where it lets pass."""
  try:
    ask()
  except SightlineError as error:
    return Caught(gate, str(error))
  return None
