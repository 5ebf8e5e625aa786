"""Before a run: do the workers of the Beam engine answer, and have they what it takes?

A worker that cannot start is no error to Beam: the client waits for ever. So a
tiny job is sent first, with a limit of time.
"""

import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile

from pipeline import beam_engine, worker_probe
from schemas.beam import BeamConfig
from schemas.config import Config
from schemas.errors import RunError

_TRY_OUT = 'to try it on this machine: python deploy/beam/local_cluster.py'
_CONNECT_SECONDS = 5.0


def check(config: Config) -> None:
  """Asks the services of the chosen engine; quiet where there is nothing to ask.

  Raises:
    RunError: one does not answer, or its workers are not as this process is.
  """
  beam = config.beam
  jar = beam.jar()
  if jar and shutil.which('java') is None:
    raise RunError(
      f'beam.engine: {beam.engine} expects java on PATH, for {jar[1]}. Received: none. '
      'Install a Java runtime, or: --set beam.engine=local'
    )
  if beam.engine == 'portable':
    _answers('beam.portable.job_endpoint', beam.portable.job_endpoint or '', 'a Beam job service')
    _answers('beam.portable.worker_pool', beam.portable.worker_pool or '', 'a Beam worker pool')
    check_worker(beam, config.state)


def check_worker(beam: BeamConfig, state: pathlib.Path) -> None:
  """Sends the tiny job and compares what its worker has.

  Args:
    beam: of engine portable.
    state: a folder that the workers have to share with this machine.

  Raises:
    RunError: it did not come back in time, or with another answer.
  """
  state.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='probe-', dir=state) as folder:
    _send(beam, folder)
    answer = pathlib.Path(folder, worker_probe.ANSWER)
    if not answer.is_file():
      raise RunError(
        f'{beam.portable.worker_pool}: expected workers that share the folder {state} with this '
        'machine. Received: a worker that wrote there, and no file here. Mount one folder in both '
        'places and name it: --set run.root=FOLDER'
      )
    found = json.loads(answer.read_text(encoding='utf-8'))
  differing = [
    f'{name} {found.get(name, "missing")} (here: {version})'
    for name, version in worker_probe.here().items()
    if found.get(name) != version
  ]
  if differing:
    raise RunError(
      f'{beam.portable.worker_pool}: expected workers with the packages of this process. '
      f'Received: {", ".join(differing)}. Start the pool with the same environment, python first '
      f'on PATH and Sightline in PYTHONPATH; {_TRY_OUT}'
    )


def _send(beam: BeamConfig, folder: str) -> None:
  given = {'arguments': list(beam_engine.arguments(beam)), 'folder': folder}
  seconds = beam.portable.check_seconds
  try:
    done = subprocess.run(
      [sys.executable, '-m', 'pipeline.worker_probe', json.dumps(given)],
      check=False,
      capture_output=True,
      text=True,
      timeout=seconds,
    )
  except subprocess.TimeoutExpired as error:
    raise RunError(
      f'{beam.portable.worker_pool}: expected a worker within {seconds:g} s '
      '(beam.portable.check_seconds). Received: none. Mostly `python` on the PATH of the pool has '
      'no apache_beam, or the job service cannot reach the pool by that name: read what the pool '
      f'prints, and start it with the environment of this process; {_TRY_OUT}'
    ) from error
  if done.returncode:
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    raise RunError(
      f'{beam.portable.job_endpoint}: expected a tiny job to come back. Received: '
      f'{lines[-1] if lines else f"code {done.returncode}"}. Read what job service and pool '
      f'print; {_TRY_OUT}'
    )


def _answers(key: str, address: str, what: str) -> None:
  host, _, port = address.rpartition(':')
  try:
    socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
  except (OSError, OverflowError) as error:
    raise RunError(
      f'{key}: expected {what} at {address}. Received: {error}. Start it, or mend the address; '
      f'{_TRY_OUT}'
    ) from error
