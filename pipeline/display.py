"""What a person sees while a run goes on: one line a component, and a bar in training.

On a terminal the lines are live; elsewhere each component, epoch and note is a line of
its own, and a sign of life comes at least every ten seconds.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline import runner

# models.training.progress has it too, whose import would bring TensorFlow.
PROGRESS = 'sightline.progress'
_SIGN_OF_LIFE = 8.0
# Left of what belongs to a component.
_INDENT = 3
_NARROWEST_BAR = 10
# How each figure of training reads. The names are those of models.training.progress,
# which is not imported: it would bring TensorFlow with it.
_LEARNT: dict[str, Callable[[float], str]] = {
  'loss': lambda value: f'loss {_number(value)}',
  'accuracy': lambda value: f'accuracy {value:.3f}',
  'val_loss': lambda value: f'val loss {_number(value)}',
  'val_accuracy': lambda value: f'val accuracy {value:.3f}',
}
_HOW: dict[str, Callable[[float], str]] = {
  'images_per_second': lambda value: (
    f'{value:.0f} images/s' if value >= 10 else f'{value:.1f} images/s'
  ),
  'learning_rate': lambda value: f'rate {value:.2g}',
  'gradient_norm': lambda value: f'gradient norm {value:.2g}',
  'waiting_share': lambda value: f'waiting for input {value:.0%}',
}
_STYLE = {runner.DONE: 'green', runner.CACHED: 'cyan', runner.FAILED: 'bold red'}


class Display:
  """A runner.Listener; a context manager around the run."""

  def __init__(self, console: Console):
    self._console = console
    self._outcomes: dict[str, tuple[str, float]] = {}
    self._planned: list[str] = []
    self._running: str | None = None
    self._began = time.monotonic()
    self._training: _Training | None = None
    self._live: Live | None = None
    self._while_shown = contextlib.ExitStack()
    self._events = _Events(self)

  def __enter__(self) -> 'Display':
    self._while_shown.enter_context(self._events.heard())
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
      self._while_shown.enter_context(_heartbeat(self._beat))
    return self

  def __exit__(self, *_) -> None:
    if self._live:
      self._running = None
      self._live.stop()
    self._while_shown.close()

  def planned(self, components: list[str]) -> None:
    self._planned = components

  def started(self, component: str) -> None:
    self._began = time.monotonic()
    self._running = component
    if not self._live:
      self._console.print(f'{component} ...', highlight=False)

  def finished(self, component: str, outcome: str, seconds: float) -> None:
    self._running = None
    self._training = None
    self._outcomes[component] = (outcome, seconds)
    if not self._live:
      self._console.print(f'{component}: {outcome} ({seconds:.1f} s)', highlight=False)

  def progress(self, event: Mapping) -> None:
    """Shows one step, epoch or note of training."""
    if event['kind'] == 'note':
      # Above the live lines, where it stays.
      self._console.print(Text(f'{" " * _INDENT}{event["text"]}'), highlight=False)
      return
    self._training = _Training(event, self._training)
    if event['kind'] == 'epoch' and not self._live:
      self._console.print(Text(f'{" " * _INDENT}{self._training.line()}'), highlight=False)

  def _beat(self) -> None:
    where = 'starting'
    if self._running:
      where = f'{self._running} ({time.monotonic() - self._began:.0f} s)'
    training = f' {self._training.short()}' if self._training else ''
    self._console.print(Text(f'  ... {where}{training}'), highlight=False)

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
    return Group(table, *([self._training] if self._training else []))


class _Training:
  """The state of a training, as lines that fit the width that there is."""

  def __init__(self, event: Mapping, before: '_Training | None'):
    self._event = event
    # Val is measured once an epoch; until the next time the last figures stand.
    self._figures: dict[str, float] = {}
    if before and before._event['stage'] == event['stage']:
      kept = before._figures
      self._figures = {name: kept[name] for name in ('val_loss', 'val_accuracy') if name in kept}
    self._figures |= {name: event[name] for name in (*_LEARNT, *_HOW) if name in event}

  def line(self) -> str:
    """Returns all of it as one line."""
    return '  '.join([self._where(), *self._words(_LEARNT), *self._words(_HOW), *self._left()])

  def short(self) -> str:
    """Returns what a sign of life needs."""
    event = self._event
    step = f'step {event["step"]} of {event["steps"]}'
    return '  '.join([self._where(), step, *self._words(_LEARNT)[:2], *self._left()])

  def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
    width = options.max_width - _INDENT
    tail = '  '.join([f'{self._event["step"] / max(self._event["steps"], 1):4.0%}', *self._left()])
    where = self._where()
    room = width - len(where) - len(tail) - 2
    if room < _NARROWEST_BAR:
      yield _line(_fitting([where, tail.strip()], width))
    else:
      row = Table.grid(padding=(0, 1, 0, 0))
      bar = ProgressBar(self._event['steps'], self._event['step'], width=room)
      row.add_row(Text(' ' * (_INDENT - 1)), Text(where, 'bold'), bar, Text(tail))
      yield row
    for names in (_LEARNT, _HOW):
      yield _line(_fitting(self._words(names), width))

  def _where(self) -> str:
    return f'{self._event["stage"]} {self._event["epoch"]}/{self._event["epochs"]}'

  def _words(self, names: Mapping[str, Callable[[float], str]]) -> list[str]:
    return [words(self._figures[name]) for name, words in names.items() if name in self._figures]

  def _left(self) -> list[str]:
    seconds = self._event.get('seconds_left')
    return [] if seconds is None else [f'{_duration(seconds)} left']


def _fitting(words: Sequence[str], width: int) -> str:
  """Joins as many words as fit; the first ones are the ones that count."""
  line = ''
  for word in words:
    longer = f'{line}  {word}' if line else word
    if len(longer) > width:
      break
    line = longer
  return line or words[0][: max(width, 0)] if words else ''


def _line(text: str) -> Text:
  return Text(' ' * _INDENT + text, no_wrap=True)


def _number(value: float) -> str:
  # A loss that explodes must not push the rest off the line.
  return f'{value:.3f}' if abs(value) < 1000 else f'{value:.2g}'


def _duration(seconds: float) -> str:
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{rest:02}' if hours else f'{minutes}:{rest:02}'


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


class _Events(logging.Filter):
  """Passes the events of training on to a display.

  A filter and no handler, so that it can keep the steps, several a second, from the
  log file; epochs and notes go there, too.
  """

  def __init__(self, display: Display):
    super().__init__()
    self._display = display

  @contextlib.contextmanager
  def heard(self) -> Iterator[None]:
    """Listens; steps are logged at DEBUG, which is off elsewhere."""
    logger = logging.getLogger(PROGRESS)
    previous = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addFilter(self)
    try:
      yield
    finally:
      logger.removeFilter(self)
      logger.setLevel(previous)

  def filter(self, record: logging.LogRecord) -> bool:
    event = getattr(record, 'event', None)
    if event:
      self._display.progress(event)
    return not event or event['kind'] != 'step'
