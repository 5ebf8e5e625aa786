"""The decision log: what people decided, and why, that this run rests on."""

from typing import NamedTuple

from pipeline import run_notes
from pipeline.report.material import Material


class Decision(NamedTuple):
  """One decision; what is not known of it is empty.

  Attributes:
    what: was decided.
    reason: why.
    who: decided it.
    when: as it was written down.
  """

  what: str
  reason: str
  who: str = ''
  when: str = ''


def log(material: Material) -> list[Decision]:
  """Returns overrides of gates first, then reasons of the config, reviewers, conclusions."""
  found = [
    Decision(
      f'override of the gate {one.get("gate", "")}',
      str(one.get('reason') or ''),
      str(one.get('who') or ''),
      str(one.get('when') or ''),
    )
    for one in material.verdict.get('overrides') or []
  ]
  floors = material.config.get('floors') or {}
  if floors.get('fit', True) and not floors.get('gates', True):
    found.append(Decision('the best simple model is only shown', floors.get('reason') or ''))
  reasons = (material.config.get('augment') or {}).get('reasons') or {}
  found += [
    Decision(f'augmentation: {name.replace("_", " ")}', reason) for name, reason in reasons.items()
  ]
  for kind, count in (material.recorded.dataset.get('decisions') or {}).items():
    if count:
      files = 'file' if count == 1 else 'files'
      found.append(Decision(f'{kind}: {count} {files}', 'decisions.csv', 'reviewers'))
  found += [
    Decision('conclusion', one['text'], when=one['time'])
    for one in run_notes.conclusions(material.recorded.notes)
  ]
  return found
