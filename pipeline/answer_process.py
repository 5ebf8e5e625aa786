"""Asks the published model about a test image, in a process that cannot take ours along."""

import json
import pathlib
import subprocess
from typing import Any

from schemas import module_process
from schemas.errors import ServingError

_LONGEST_SECONDS = 120.0


def ask(
  found: dict[str, Any], log: pathlib.Path, longest_seconds: float = _LONGEST_SECONDS
) -> dict[str, Any]:
  """Serves the published version for a moment and returns its answer.

  Args:
    found: the summary of the run; see summary.collect.
    log: gets what the process prints.
    longest_seconds: after which it is given up.

  Returns:
    See served_answer.ask.

  Raises:
    ServingError: there was no answer; the text says why and names the log.
  """
  published, paths = found['published'], found['paths']
  if not published or not paths['manifest']:
    raise ServingError(
      'expected a published version and the manifest of its data. '
      f'Received: {published and published["directory"]}, {paths["manifest"]}.'
    )
  request = {
    'directory': paths['serving'],
    'name': pathlib.Path(paths['serving']).name,
    'version': published['version'],
    'manifest': paths['manifest'],
    'data_root': paths['images'],
  }
  try:
    answer = _run(request, log, longest_seconds)
  except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
    reason = str(error)
    if isinstance(error, subprocess.TimeoutExpired):
      reason = f'no answer after {longest_seconds:.0f} seconds'
    elif isinstance(error, subprocess.CalledProcessError):
      reason = f'its process ended with code {error.returncode}'
    elif isinstance(error, ValueError | IndexError):
      reason = 'its process printed no answer'
    raise ServingError(_failure(request, reason, log)) from error
  if 'error' in answer:
    raise ServingError(_failure(request, answer['error'], log))
  return answer


def _run(request: dict, log: pathlib.Path, longest_seconds: float) -> dict:
  with open(log, 'ab') as stream:
    done = subprocess.run(
      module_process.command('pipeline.served_answer', json.dumps(request)),
      env=module_process.environment(),
      check=True,
      timeout=longest_seconds,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      stderr=stream,
    )
  # The last line; libraries may have printed before it.
  return json.loads(done.stdout.decode().strip().splitlines()[-1])


def _failure(request: dict, reason: str, log: pathlib.Path) -> str:
  return (
    f'version {request["version"]} in {request["directory"]} is published and did not answer: '
    f'{reason}. What its process printed is at the end of {log}'
  )
