"""Gates that a named person sets aside: what they said stays in the record."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Refusal(NamedTuple):
  """What a gate says against a model: `gate` as evaluate.overrides names it, and a sentence."""

  gate: str
  sentence: str


@dataclasses.dataclass(frozen=True)
class Override:
  """One entry of evaluate.overrides.

  Attributes:
    gate: that is set aside.
    who: answers for it.
    reason: why.
    when: the day, as ISO 8601 writes it.
  """

  gate: str
  who: str
  reason: str
  when: str


def apply(
  refused: Iterable[Refusal], overrides: Sequence[Override]
) -> tuple[list[str], list[dict]]:
  """Parts what counts from what is set aside.

  Args:
    refused: by all gates.
    overrides: of the config.

  Returns:
    The sentences that count; and each override as a dict, with `overruled`: the sentences
    of its gate. An override whose gate said nothing is there too, with none.
  """
  set_aside = {one.gate: dataclasses.asdict(one) | {'overruled': []} for one in overrides}
  counting = []
  for refusal in refused:
    if refusal.gate in set_aside:
      set_aside[refusal.gate]['overruled'].append(refusal.sentence)
    else:
      counting.append(refusal.sentence)
  return counting, list(set_aside.values())


def sentences(set_aside: Iterable[dict]) -> list[str]:
  """Returns a sentence for each override that made a difference."""
  return [
    f'{one["who"]} set the gate {one["gate"]} aside on {one["when"]}: {one["reason"]} '
    f'It had said: {" ".join(one["overruled"])}'
    for one in set_aside
    if one['overruled']
  ]
