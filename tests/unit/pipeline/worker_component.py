"""A component that works for a moment in a process of its own, and may then fail."""

import subprocess
import sys

from tfx.dsl.component.experimental.annotations import Parameter
from tfx.dsl.component.experimental.decorators import component

from schemas.errors import RunError

CPU_SECONDS = 0.3


@component
def Worker(fails: Parameter[int]):
  """Spends CPU_SECONDS in a child."""
  busy = f'import time\nwhile time.process_time() < {CPU_SECONDS}: pass'
  subprocess.run([sys.executable, '-S', '-c', busy], check=True)
  if fails:
    raise RunError('it was told to fail')
