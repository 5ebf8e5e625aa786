"""Serves one export in a process of its own, by the embedded server, for a moment."""

import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from schemas import module_process
from schemas.errors import ServingError, SightlineError

_LAST_CHARACTERS = 2000
_LONGEST_WAIT = 20


@contextlib.contextmanager
def serving(export: pathlib.Path, model_name: str, version: str) -> Iterator[str]:
  """Yields the URL of a server that serves the export; stops it at the end.

  Args:
    export: the folder with saved_model.pb.
    model_name: under which it is served.
    version: a number, as which it is served.

  Raises:
    ServingError: the server did not start.
  """
  with tempfile.TemporaryDirectory(prefix='diagnose-') as work:
    # The server takes the newest of a folder; here it has no choice.
    base = pathlib.Path(work, model_name)
    base.mkdir()
    (base / version).symlink_to(export.resolve(), target_is_directory=True)
    with open(pathlib.Path(work, 'log'), 'w+b') as log:
      process = subprocess.Popen(
        module_process.command('pipeline.diagnosis.own_server', str(base), model_name),
        env=module_process.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
      )
      try:
        yield _url(process, log, export)
      finally:
        _stop(process)


def _url(process: subprocess.Popen, log, export: pathlib.Path) -> str:
  assert process.stdout is not None
  for line in process.stdout:
    # Libraries may print before it.
    with contextlib.suppress(ValueError):
      said = json.loads(line)
      if isinstance(said, dict) and 'url' in said:
        return said['url']
      if isinstance(said, dict) and 'error' in said:
        raise ServingError(said['error'])
  log.seek(0)
  raise ServingError(
    f'{export}: expected an export that can be served. Received: the server ended: '
    f'{log.read()[-_LAST_CHARACTERS:].decode(errors="replace")}'
  )


def _stop(process: subprocess.Popen) -> None:
  process.terminate()
  try:
    process.wait(_LONGEST_WAIT)
  except subprocess.TimeoutExpired:
    process.kill()
    process.wait()
  if process.stdout:
    process.stdout.close()


def main(base: str, model_name: str) -> None:
  """Serves until SIGTERM; prints the URL, or the error, as a line of JSON."""
  from serving import model_config, server

  def say(**fields: str) -> None:
    sys.stdout.write(json.dumps(fields) + '\n')
    sys.stdout.flush()

  try:
    config = model_config.single(model_name, base)
    server.serve(config, server.FREE_PORTS, on_ready=lambda running: say(url=running.url))
  except SightlineError as error:
    say(error=str(error))


if __name__ == '__main__':
  main(*sys.argv[1:])
