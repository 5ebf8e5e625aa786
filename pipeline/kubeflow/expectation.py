"""What a container has to have in common with the machine that compiled its pipeline.

A cache key, a SavedModel and a record of one machine mean the same on another only
where the code and what it stands on are the same.
"""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform

from pipeline import doctor
from pipeline.code_fingerprint import fingerprint
from schemas.errors import RunError

LEGACY_SWITCH = 'TF_USE_LEGACY_KERAS'


@dataclasses.dataclass(frozen=True)
class Expectation:
  """What must not differ.

  Attributes:
    python: major and minor version.
    keras: major version.
    legacy_keras: whether the switch to Keras 2 is on. Sightline knows it off alone.
    lock: hash of the names and versions in the lock.
    code: hash of Sightline's own sources.
  """

  python: str
  keras: str
  legacy_keras: bool
  lock: str
  code: str

  def to_json(self) -> str:
    """Returns it as a command line carries it."""
    return json.dumps(dataclasses.asdict(self), sort_keys=True)

  @classmethod
  def from_json(cls, text: str) -> 'Expectation':
    """Reads what `to_json` wrote.

    Raises:
      RunError: it is something else.
    """
    try:
      return cls(**json.loads(text))
    except (ValueError, TypeError) as error:
      raise RunError(
        f'--expect: expected {", ".join(field.name for field in dataclasses.fields(cls))} as JSON. '
        f'Received: {text}.'
      ) from error


def compiled_here() -> Expectation:
  """Returns what this machine asks of each container.

  The switch is not read here: libraries turn it on in the process that imports them, so
  that it says nothing about the machine.
  """
  return dataclasses.replace(found_here(), legacy_keras=False)


def found_here() -> Expectation:
  """Returns what this process runs on; to be called before TFX is imported."""
  return Expectation(
    python='.'.join(platform.python_version_tuple()[:2]),
    keras=importlib.metadata.version('keras').partition('.')[0],
    legacy_keras=os.environ.get(LEGACY_SWITCH, '').lower() in ('1', 'true'),
    lock=lock_hash(doctor.lock_text()),
    code=fingerprint(*doctor.PACKAGES),
  )


def lock_hash(text: str) -> str:
  """Hashes the names and versions of a lock, not its comments and hashes of files."""
  rows = sorted(f'{name}=={version}' for name, version in doctor.read_lock(text).items())
  return hashlib.sha256('\n'.join(rows).encode()).hexdigest()[:16]


def check(expected: Expectation) -> None:
  """Refuses to work where something differs.

  Raises:
    RunError: names all that differs, and what to do about it.
  """
  found = found_here()
  rows = [
    f'{field.name}: compiled with {getattr(expected, field.name)}, '
    f'here {getattr(found, field.name)}'
    for field in dataclasses.fields(Expectation)
    if getattr(expected, field.name) != getattr(found, field.name)
  ]
  installed = doctor.check_versions()
  if installed.ok is not True:
    rows.append(f'installed: {installed.found}')
  if rows:
    raise RunError(
      'container: expected the environment that the pipeline was compiled with. Received: '
      f'{"; ".join(rows)}. Build the image from the same checkout and lock, with '
      f'{LEGACY_SWITCH} unset, or compile again on the machine that built the image.'
    )
