"""What a person sees while a run goes on: one line a component, and a bar in training.

On a terminal the lines are live; elsewhere each event is a line of its own, and a
sign of life comes at least every ten seconds.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pipeline import runner

_SIGN_OF_LIFE = 8.0
_STYLE = {runner.DONE: 'green', runner.CACHED: 'cyan', runner.FAILED: 'bold red'}


class Display:
  """A runner.Listener; a context manager around the run."""

  def __init__(self, console: Console):
    self._console = console
    self._outcomes: dict[str, tuple[str, float]] = {}
    self._planned: list[str] = []
    self._running: str | None = None
    self._began = time.monotonic()
    self._training = ''
    self._bar = Progress(
      TextColumn('   training'),
      BarColumn(),
      TextColumn('{task.description}'),
      TimeRemainingColumn(),
      console=console,
    )
    self._task = self._bar.add_task('', total=None, visible=False)
    self._live: Live | None = None
    self._heart = contextlib.ExitStack()
    self._handler = _ProgressHandler(self)

  def __enter__(self) -> 'Display':
    logger = logging.getLogger('sightline.progress')
    logger.setLevel(logging.INFO)
    logger.addHandler(self._handler)
    if self._console.is_terminal:
      self._live = Live(
        console=self._console,
        get_renderable=self._render,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
      )
      self._live.start()
    else:
      self._heart.enter_context(_heartbeat(self._beat))
    return self

  def __exit__(self, *_) -> None:
    logging.getLogger('sightline.progress').removeHandler(self._handler)
    if self._live:
      self._running = None
      self._live.stop()
    self._heart.close()

  def planned(self, components: list[str]) -> None:
    self._planned = components

  def started(self, component: str) -> None:
    self._began = time.monotonic()
    self._running = component
    if not self._live:
      self._console.print(f'{component} ...', highlight=False)

  def finished(self, component: str, outcome: str, seconds: float) -> None:
    self._running = None
    self._training = ''
    self._outcomes[component] = (outcome, seconds)
    self._bar.update(self._task, visible=False)
    if not self._live:
      self._console.print(f'{component}: {outcome} ({seconds:.1f} s)', highlight=False)

  def progress(self, event: dict) -> None:
    """Shows one step or epoch of training."""
    figures = ' '.join(
      f'{name} {event[name]:.3f}'
      for name in ('loss', 'accuracy', 'val_loss', 'val_accuracy')
      if name in event
    )
    self._training = f'{event["stage"]} {event["epoch"]}/{event["epochs"]} {figures}'
    self._bar.update(
      self._task,
      visible=True,
      total=event['steps'],
      completed=event['step'],
      description=self._training,
    )
    if event['kind'] == 'epoch' and not self._live:
      self._console.print(f'  {self._training}', highlight=False)

  def _beat(self) -> None:
    where = 'starting'
    if self._running:
      where = f'{self._running} ({time.monotonic() - self._began:.0f} s)'
    self._console.print(f'  ... {where} {self._training}'.rstrip(), highlight=False)

  def _render(self) -> Group:
    table = Table.grid(padding=(0, 2))
    for component in self._planned:
      if component in self._outcomes:
        outcome, seconds = self._outcomes[component]
        table.add_row(Text(outcome, style=_STYLE[outcome]), component, f'{seconds:.1f} s')
      elif component == self._running:
        table.add_row(
          Text('running', style='yellow'), component, f'{time.monotonic() - self._began:.0f} s'
        )
      else:
        table.add_row(Text('waits', style='dim'), Text(component, style='dim'), '')
    if not self._planned:
      table.add_row(
        Text('starting', style='yellow'),
        'loading TFX and TensorFlow',
        f'{time.monotonic() - self._began:.0f} s',
      )
    return Group(table, self._bar)


@contextlib.contextmanager
def waiting(console: Console, text: str) -> Iterator[None]:
  """Shows what is waited for, and that it still goes on."""
  if console.is_terminal:
    with console.status(Text(text)):
      yield
    return
  console.print(text, markup=False)
  began = time.monotonic()
  with _heartbeat(lambda: console.print(f'  ... {time.monotonic() - began:.0f} s')):
    yield


@contextlib.contextmanager
def _heartbeat(beat: Callable[[], None]) -> Iterator[None]:
  """Calls `beat` again and again, on a thread of its own."""
  stop = threading.Event()

  def run() -> None:
    while not stop.wait(_SIGN_OF_LIFE):
      beat()

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  try:
    yield
  finally:
    stop.set()
    thread.join()


class _ProgressHandler(logging.Handler):
  """Passes the events of training on."""

  def __init__(self, display: Display):
    super().__init__()
    self._display = display

  def emit(self, record: logging.LogRecord) -> None:
    event = getattr(record, 'event', None)
    if event:
      self._display.progress(event)
