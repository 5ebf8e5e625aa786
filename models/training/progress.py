"""What a training tells while it goes on: steps, epochs and notes, as log records.

Each record carries `event`, a dict, which the command line draws. Elsewhere an epoch
or a note is an ordinary log line at INFO; steps are at DEBUG, since four of them a
second would bury the rest.
"""

import collections
import logging
import time
from collections.abc import Callable, Mapping

LOGGER = 'sightline.progress'
STEP, EPOCH, NOTE = 'step', 'epoch', 'note'
# What `figures` may hold; images_per_second and seconds_left are measured here.
FIGURES = (
  'loss',
  'accuracy',
  'val_loss',
  'val_accuracy',
  'learning_rate',
  'gradient_norm',
  'waiting_share',
)

_SECONDS_BETWEEN_STEPS = 0.25
# Long enough to be calm, short enough to show that another program takes the cores.
_WINDOW_SECONDS = 5.0

_log = logging.getLogger(LOGGER)


class Progress:
  """Reports one stage. Epochs count from 1 in the stage, steps from 1 in the epoch.

  A training that goes on after an interruption may begin in the middle of either.
  """

  def __init__(
    self,
    stage: str,
    epochs: int,
    steps_per_epoch: int,
    batch_size: int,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._stage = stage
    self._epochs = epochs
    self._steps = steps_per_epoch
    self._batch_size = batch_size
    self._clock = clock
    self._reported = -float('inf')
    # (time, steps of the stage so far) of the epoch at hand, for the moving average.
    self._window: collections.deque[tuple[float, int]] = collections.deque()
    self._first: tuple[float, int] | None = None
    self._last: tuple[float, int] | None = None
    # Of the last epoch seen: seconds a training step, and of what came after the steps.
    self._step_seconds: float | None = None
    self._rest_seconds = 0.0

  def step(self, epoch: int, step: int, figures: Mapping[str, float | None]) -> None:
    """Notes that a step has ended; says so at most four times a second.

    Not every step has to be noted.

    Args:
      epoch: from 1 to epochs.
      step: from 1 to steps_per_epoch.
      figures: names of FIGURES; means over the epoch so far, or the step's own. None
        stands for what is not known.

    Raises:
      ValueError: a name is not one of FIGURES.
    """
    now = self._clock()
    done = (epoch - 1) * self._steps + step
    self._measure(now, done)
    if now - self._reported < _SECONDS_BETWEEN_STEPS:
      return
    self._reported = now
    event = self._event(STEP, epoch, done, figures)
    recent = self._window_step_seconds()
    if recent:
      event['images_per_second'] = self._batch_size / recent
    seconds = self._step_seconds or recent
    if seconds:
      event['seconds_left'] = self._seconds_left(epoch, self._steps - step, seconds)
    _send(event, logging.DEBUG)

  def epoch(self, epoch: int, figures: Mapping[str, float | None]) -> None:
    """Says that an epoch has ended, its validation included; arguments as of step."""
    now = self._clock()
    done = epoch * self._steps
    event = self._event(EPOCH, epoch, done, figures)
    if self._first and self._last:
      if self._last[1] > self._first[1]:
        self._step_seconds = (self._last[0] - self._first[0]) / (self._last[1] - self._first[1])
      # Not every step is told of; what is left after the last one is the validation.
      silent = (done - self._last[1]) * (self._step_seconds or 0.0)
      self._rest_seconds = max(now - self._last[0] - silent, 0.0)
    if self._step_seconds:
      event['images_per_second'] = self._batch_size / self._step_seconds
      event['seconds_left'] = (self._epochs - epoch) * self._epoch_seconds(self._step_seconds)
    self._window.clear()
    self._window.append((now, done))
    self._first = self._last = (now, done)
    _send(event, logging.INFO)

  def note(self, text: str) -> None:
    """Says a line of its own, such as the result of a check."""
    _send({'kind': NOTE, 'stage': self._stage, 'text': text}, logging.INFO)

  def _measure(self, now: float, done: int) -> None:
    # The first step of a stage is traced and compiled: time counts from its end.
    self._first = self._first or (now, done)
    self._last = (now, done)
    self._window.append((now, done))
    while len(self._window) > 2 and now - self._window[1][0] >= _WINDOW_SECONDS:
      self._window.popleft()

  def _window_step_seconds(self) -> float | None:
    if not self._window or self._window[-1][1] <= self._window[0][1]:
      return None
    (began, first), (ended, last) = self._window[0], self._window[-1]
    return (ended - began) / (last - first)

  def _epoch_seconds(self, step_seconds: float) -> float:
    return self._steps * step_seconds + self._rest_seconds

  def _seconds_left(self, epoch: int, steps_left: int, step_seconds: float) -> float:
    later = (self._epochs - epoch) * self._epoch_seconds(step_seconds)
    return steps_left * step_seconds + self._rest_seconds + later

  def _event(self, kind: str, epoch: int, done: int, figures: Mapping[str, float | None]) -> dict:
    unknown = sorted(set(figures) - set(FIGURES))
    if unknown:
      raise ValueError(
        f'figures of stage {self._stage}: expected names among {", ".join(FIGURES)}. '
        f'Received: {", ".join(unknown)}. Add the name to FIGURES and to what shows it.'
      )
    return {
      'kind': kind,
      'stage': self._stage,
      'epoch': epoch,
      'epochs': self._epochs,
      'step': done,
      'steps': self._steps * self._epochs,
      **{name: float(value) for name, value in figures.items() if value is not None},
    }


def in_words(event: Mapping) -> str:
  """Returns one event as a line for a log."""
  if event['kind'] == NOTE:
    return event['text']
  names = (*FIGURES, 'images_per_second', 'seconds_left')
  figures = ', '.join(
    f'{name.replace("_", " ")} {event[name]:.4g}' for name in names if name in event
  )
  return (
    f'training, stage {event["stage"]}, epoch {event["epoch"]} of {event["epochs"]}, '
    f'step {event["step"]} of {event["steps"]}: {figures}'
  )


def _send(event: dict, level: int) -> None:
  if _log.isEnabledFor(level):
    _log.log(level, '%s', in_words(event), extra={'event': event})
