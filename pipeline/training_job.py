"""Trains on several machines: one process of this module on each.

  python -m pipeline.training_job CONFIG [--set KEY=VALUE ...]

Which process it is it reads from the environment, as an indexed job sets it:

  JOB_COMPLETION_INDEX  0 .. workers - 1; 0 runs the pipeline and is the chief of its training
  SIGHTLINE_WORKERS     how many there are
  SIGHTLINE_HOSTS       host name of a worker, with {index} in it
  SIGHTLINE_PORT        on which each listens; 2222 without it

The run root is a folder that all of them see under one path. The others wait until the
chief trains; what the chief takes from the cache is not trained, and the job ends with it.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from models.training import call, process
from pipeline import own_code
from schemas import loader
from schemas.config import Config
from schemas.errors import ConfigError, SightlineError

PORT = 2222
_EVERY = 2.0


@dataclasses.dataclass(frozen=True)
class Member:
  """One process of a training on several machines.

  Attributes:
    index: 0 .. workers - 1.
    workers: at least 1.
    hosts: name of a worker's host, with {index} in it.
    port: on which each of them listens.
  """

  index: int
  workers: int
  hosts: str
  port: int = PORT

  def address(self, index: int) -> tuple[str, int]:
    """Returns host and port of a worker."""
    return self.hosts.replace('{index}', str(index)), self.port

  def tf_config(self) -> str:
    """Returns the value of TF_CONFIG for this process."""
    addresses = [self.address(index) for index in range(self.workers)]
    cluster = {'worker': [f'{host}:{port}' for host, port in addresses]}
    return json.dumps({'cluster': cluster, 'task': {'type': 'worker', 'index': self.index}})


def member(environment: Mapping[str, str]) -> Member:
  """Reads which process this is.

  Raises:
    ConfigError: a variable is missing, or makes no sense beside the others.
  """
  workers = _number(environment, 'SIGHTLINE_WORKERS', 1)
  index = _number(environment, 'JOB_COMPLETION_INDEX', 0)
  hosts = environment.get('SIGHTLINE_HOSTS', '')
  port = _number({'SIGHTLINE_PORT': str(PORT), **environment}, 'SIGHTLINE_PORT', 1)
  if index >= workers:
    raise ConfigError(
      f'JOB_COMPLETION_INDEX: expected 0 to {workers - 1}, for SIGHTLINE_WORKERS {workers}. '
      f'Received: {index}. Next: give the job as many completions as workers.'
    )
  if not hosts or ('{index}' not in hosts and workers > 1):
    raise ConfigError(
      'SIGHTLINE_HOSTS: expected the host name of a worker with {index} in it, such as '
      f'training-{{index}}.training. Received: {hosts or "nothing"}.'
    )
  return Member(index, workers, hosts, port)


def _number(environment: Mapping[str, str], name: str, least: int) -> int:
  text = environment.get(name, '')
  if not text.isdecimal() or int(text) < least:
    raise ConfigError(
      f'{name}: expected a whole number of at least {least} in the environment. '
      f'Received: {text or "nothing"}.'
    )
  return int(text)


def wait_for_chief(
  own: Member, path: pathlib.Path, sleep: Callable[[float], None] = time.sleep
) -> None:
  """Waits until the chief trains: it answers at its port, and has written what it trains.

  It listens only while it trains, after it wrote the call: a call of an earlier attempt is
  not taken for one.
  """
  while not (_answers(own.address(0)) and path.exists()):
    sleep(_EVERY)


def _answers(address: tuple[str, int]) -> bool:
  try:
    with socket.create_connection(address, timeout=_EVERY):
      return True
  except OSError:
    return False


def run(config: Config, own: Member, pipeline: Sequence[str]) -> int:
  """Does this process' part; returns its exit code.

  Args:
    config: of the experiment.
    own: which process this is; TF_CONFIG of the environment is of it.
    pipeline: the command that runs the pipeline, for the chief.

  Raises:
    TrainingError: the training stopped.
  """
  path = config.state / call.FILE
  if own.index == 0:
    path.unlink(missing_ok=True)
    return subprocess.run(pipeline).returncode
  wait_for_chief(own, path)
  process.take_part(path)
  return 0


def main(arguments: Sequence[str]) -> int:
  """Reads arguments and environment; returns the exit code."""
  parser = argparse.ArgumentParser(prog='python -m pipeline.training_job', description=__doc__)
  parser.add_argument('config', type=pathlib.Path)
  parser.add_argument('--set', action='append', default=[], dest='overrides', metavar='KEY=VALUE')
  given = parser.parse_args(arguments)
  overrides = [*given.overrides, 'train.strategy=multi_worker']
  try:
    own = member(os.environ)
    config = loader.load_config(given.config, overrides)
    own_code.make_importable(config, given.config)
    os.environ['TF_CONFIG'] = own.tf_config()
    sets = [part for value in overrides for part in ('--set', value)]
    return run(config, own, [sys.executable, '-m', 'pipeline', 'run', str(given.config), *sets])
  except SightlineError as error:
    sys.stderr.write(f'{error}\n')
    return 1


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
