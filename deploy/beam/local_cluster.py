"""Starts a Beam job service and a worker pool on this machine, to try `beam.engine: portable`.

  python deploy/beam/local_cluster.py

prints the lines for the config and runs until Ctrl-C or SIGTERM. Workers are
processes of their own, reached over gRPC, as on a cluster; the job service still
plans in one process.

Both services are Beam's own: they listen on every address of the machine, ask
nobody who they are, and run what they are sent. Not for a machine that strangers
can reach.
"""

import argparse
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = 120


def free_port() -> int:
  with socket.socket() as probe:
    probe.bind(('', 0))
    return probe.getsockname()[1]


def environment() -> dict[str, str]:
  """What the workers inherit: the pool starts a bare `python`, which must be this one."""
  path = [str(pathlib.Path(sys.executable).parent), os.environ.get('PATH', '')]
  packages = [str(ROOT), os.environ.get('PYTHONPATH', '')]
  return os.environ | {
    'PATH': os.pathsep.join(filter(None, path)),
    'PYTHONPATH': os.pathsep.join(filter(None, packages)),
  }


def answers(port: int) -> bool:
  with socket.socket() as probe:
    probe.settimeout(1)
    return probe.connect_ex(('localhost', port)) == 0


def wait(port: int, process: subprocess.Popen) -> None:
  deadline = time.monotonic() + START_SECONDS
  while not answers(port):
    if process.poll() is not None:
      sys.exit(f'{" ".join(process.args)} ended with code {process.returncode}')
    if time.monotonic() > deadline:
      sys.exit(f'nothing listens on port {port} after {START_SECONDS} s')
    time.sleep(0.2)


def main() -> None:
  parser = argparse.ArgumentParser(description='A Beam job service and a worker pool.')
  parser.add_argument('--job-port', type=int, default=0, help='0: a free one')
  parser.add_argument('--pool-port', type=int, default=0, help='0: a free one')
  given = parser.parse_args()
  job_port = given.job_port or free_port()
  pool_port = given.pool_port or free_port()
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
  with tempfile.TemporaryDirectory(prefix='beam-') as folder:
    staging = pathlib.Path(folder, 'staging')
    commands = {
      pool_port: ['apache_beam.runners.worker.worker_pool_main', f'--service_port={pool_port}'],
      job_port: [
        'apache_beam.runners.portability.local_job_service_main',
        f'--port={job_port}',
        f'--staging_dir={staging}',
      ],
    }
    # In a session of its own, each with its workers: they are ended together.
    started = [
      subprocess.Popen(
        [sys.executable, '-m', *command], env=environment(), start_new_session=True, cwd=folder
      )
      for command in commands.values()
    ]
    try:
      for port, process in zip(commands, started, strict=True):
        wait(port, process)
      sys.stdout.write(
        f'beam:\n  engine: portable\n  portable:\n    job_endpoint: localhost:{job_port}\n'
        f'    worker_pool: localhost:{pool_port}\n'
      )
      sys.stdout.flush()
      while all(process.poll() is None for process in started):
        time.sleep(0.5)
      sys.exit('a service ended')
    except KeyboardInterrupt:
      pass
    finally:
      for process in started:
        end(process)


def end(process: subprocess.Popen) -> None:
  try:
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(10)
  except subprocess.TimeoutExpired:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
  except ProcessLookupError:
    pass


if __name__ == '__main__':
  main()
