"""TFX's LocalDagRunner with Sightline's record of the run.

A runner file uses it, so that what `tfx run create` starts holds the run root,
comes out in `summary.json` and ends with the same exit codes as `sightline run`.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator

from tfx.orchestration.local import local_dag_runner

from pipeline import beam_preflight, display, library_output, runner, summary
from schemas.config import Config
from schemas.errors import ConfigError, SightlineError

_log = logging.getLogger(__name__)


class LocalDagRunner(local_dag_runner.LocalDagRunner):
  """Runs one experiment; `run(create_pipeline(config))` as with TFX's own."""

  def __init__(self, config: Config):
    super().__init__()
    self._config = config

  def run_with_ir(self, pipeline, run_options=None, **kwargs) -> None:
    """See LocalDagRunner.

    Raises:
      ConfigError: for a partial run, which has no verdict to record.
      RunError: the workers of the Beam engine do not answer.
      SystemExit: with the exit code of `sightline run`, where it is not 0.
    """
    if run_options is not None:
      raise ConfigError(
        'run_options: expected none. A partial run has no verdict; use '
        "TFX's own LocalDagRunner for it."
      )
    beam_preflight.check(self._config)
    with runner.open_run(self._config) as run, library_output.log_lines(run.log), _shown():
      _log.info('library logs: %s', run.log)
      try:
        runner.execute(lambda: pipeline, run, _Lines())
      except SightlineError:
        pass  # run.error holds its text, and the summary says it
      finally:
        found = summary.collect(self._config, run)
        summary.write(found, run.folder)
        for line in summary.in_words(found):
          _log.info('%s', line)
        _log.info('summary    %s', run.folder / summary.FILE)
    code = summary.exit_code(found)
    if code:
      sys.exit(code)


@contextlib.contextmanager
def _shown() -> Iterator[None]:
  """Shows our own log lines, and not those of the libraries, on stderr."""
  handler = logging.StreamHandler()
  shown = (_log, logging.getLogger(display.PROGRESS))
  for log in shown:
    log.addHandler(handler)
  try:
    yield
  finally:
    for log in shown:
      log.removeHandler(handler)


class _Lines:
  """A runner.Listener that logs a line an event."""

  def planned(self, components: list[str]) -> None:
    _log.info('components: %s', ', '.join(components))

  def started(self, component: str) -> None:
    _log.info('Component %s is running.', component)

  def finished(self, component: str, outcome: str, seconds: float) -> None:
    _log.info('Component %s: %s (%.1f s)', component, outcome, seconds)
