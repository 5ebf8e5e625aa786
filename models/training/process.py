"""One worker of a training in a process of its own.

`train` starts it; the process is `python -m models.training.process CALL ANSWER`.
"""

import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from models.training import call
from schemas.errors import SightlineError, TrainingError

ROOT = pathlib.Path(__file__).parents[2]


def train(wanted: call.TrainingCall, state: pathlib.Path) -> None:
  """Writes the call for the other workers, and takes part as TF_CONFIG says.

  Args:
    wanted: what to train.
    state: a folder that all workers see.

  Raises:
    TrainingError: the training stopped, for a cause that its text names.
  """
  path = state / call.FILE
  wanted.write(path)
  try:
    take_part(path)
  finally:
    path.unlink(missing_ok=True)


def take_part(path: pathlib.Path) -> None:
  """Runs one worker of a training to its end.

  Args:
    path: of the call.

  Raises:
    TrainingError: it stopped.
  """
  with tempfile.TemporaryDirectory() as folder:
    answer = pathlib.Path(folder, 'answer.json')
    command = [sys.executable, '-m', 'models.training.process', str(path), str(answer)]
    # A network of one's own is found there, too.
    found = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    worker = subprocess.Popen(command, env={**os.environ, 'PYTHONPATH': found})
    try:
      ended = worker.wait()
    finally:
      worker.kill()
      worker.wait()
    if ended:
      raise TrainingError(_why(answer, ended))


def _why(answer: pathlib.Path, ended: int) -> str:
  if answer.exists():
    return json.loads(answer.read_text(encoding='utf-8'))
  how = f'signal {signal.Signals(-ended).name}' if ended < 0 else f'exit code {ended}'
  return (
    f'the process of this worker ended with {how} and gave no reason; the log has its last words. '
    'Where TensorFlow ends it, another worker is gone. Start all of them again: training goes on '
    'at the last checkpoint.'
  )


def main(arguments: list[str]) -> int:
  """Takes part in a training; returns the exit code."""
  path, answer = map(pathlib.Path, arguments)
  logging.basicConfig(level=logging.INFO)
  try:
    # It brings TensorFlow.
    from models.training import run

    run.train_and_export(call.TrainingCall.read(path))
  except SightlineError as error:
    answer.write_text(json.dumps(str(error)), encoding='utf-8')
    return 1
  return 0


if __name__ == '__main__':
  ended = main(sys.argv[1:])
  sys.stdout.flush()
  sys.stderr.flush()
  # Where others are gone, what TensorFlow does at the end of a process waits for them.
  os._exit(ended)
