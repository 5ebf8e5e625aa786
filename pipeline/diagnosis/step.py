"""One step of the diagnosis.

Nothing heavy is imported here, nor by conclusion.py: the command reads both before it
silences TensorFlow.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

OK = 'ok'
GAP = 'gap'
NOT_DONE = 'not done'

# Names of the steps: does production answer as the export does,
REPLAY, ANSWERS, LOGGED = 'replay of test', 'server and export', 'logged and export'
SERVING = (REPLAY, ANSWERS, LOGGED)
# and are its images other ones.
ACCURACY, CONFIDENCE, LABELS, PROPERTIES = 'accuracy', 'confidence', 'labels', 'properties'


@dataclasses.dataclass(frozen=True)
class Step:
  """What was compared, and what came of it.

  Attributes:
    name: of the step.
    outcome: OK, GAP or NOT_DONE.
    found: the figures in words, one line.
    cause: what explains a gap, as the end of a sentence; '' where nothing was found.
    figures: the same for a program.
  """

  name: str
  outcome: str
  found: str
  cause: str = ''
  figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
