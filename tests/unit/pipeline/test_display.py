"""What a person sees of a run: on terminals of several widths, and in a log."""

import io
import logging

import pytest
from rich.console import Console

from models.training import progress
from pipeline import display, runner

LOGGER = logging.getLogger('sightline.progress')
STEP = {
  'kind': 'step',
  'stage': 'unfrozen',
  'epoch': 3,
  'epochs': 15,
  'step': 50,
  'steps': 200,
  'loss': 0.51234,
  'accuracy': 0.8234,
  'learning_rate': 0.000213,
  'gradient_norm': 1.234,
  'waiting_share': 0.031,
  'images_per_second': 310.4,
  'seconds_left': 252.2,
}
EPOCH = {**STEP, 'kind': 'epoch', 'val_loss': 0.61, 'val_accuracy': 0.79}


def _terminal(width):
  """The console that the command line makes, with a terminal of this width behind it."""
  return Console(
    file=io.StringIO(),
    width=width,
    height=40,
    force_terminal=True,
    record=True,
    highlight=False,
    soft_wrap=True,
    markup=False,
    emoji=False,
  )


def _seen(width, *events):
  """Returns the lines of training that stand on a terminal after some events."""
  console = _terminal(width)
  with display.Display(console) as shown:
    shown.planned(['Trainer'])
    shown.started('Trainer')
    for event in events:
      shown.progress(event)
    lines = _lines_now(shown, width)
    assert lines[0].startswith('running')
    return lines[1:]


def _lines_now(shown, width):
  console = _terminal(width)
  console.print(shown._render())
  return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_terminal_of_120_columns_shows_everything():
  where, learnt, how = _seen(120, EPOCH)
  assert where.startswith('   unfrozen 3/15 ━━━━') and where.endswith(' 25%  4:12 left')
  assert learnt == '   loss 0.512  accuracy 0.823  val loss 0.610  val accuracy 0.790'
  assert how == '   310 images/s  rate 0.00021  gradient norm 1.2  waiting for input 3%'


def test_80_columns_are_enough_for_all_figures():
  wide, narrow = _seen(120, EPOCH), _seen(80, EPOCH)
  assert narrow[1:] == wide[1:] and narrow[0].endswith(' 25%  4:12 left')


@pytest.mark.parametrize('width', range(20, 130))
def test_no_line_is_wider_than_the_terminal_or_broken(width):
  long = {**EPOCH, 'stage': 'a_stage_with_a_long_name', 'loss': 1.5e30, 'seconds_left': 90000}
  for event in (STEP, EPOCH, long):
    lines = _seen(width, event)
    assert len(lines) == 3
    assert max(len(line) for line in lines) <= width
    assert lines[0].startswith(f'   {event["stage"]}'[:width])


def test_what_counts_less_is_dropped_first():
  _, learnt, how = _seen(40, EPOCH)
  assert learnt == '   loss 0.512  accuracy 0.823'
  assert how == '   310 images/s  rate 0.00021'


def test_the_bar_shows_the_share_of_the_stage():
  for done in (0, 100, 200):
    bar = _seen(80, {**STEP, 'step': done})[0]
    assert f'{done // 2}%' in bar
  colours = Console(file=io.StringIO(), width=80, force_terminal=True, color_system='truecolor')
  with display.Display(_terminal(80)) as shown:
    shown.progress(STEP)
    parts = [part.text for part in colours.render(shown._render()) if '━' in part.text]
  # Finished and open part differ in colour: a quarter of the bar is of the first one.
  assert len(parts[0]) / sum(map(len, parts)) == pytest.approx(0.25, abs=0.03)


def test_the_last_figures_of_val_stand_until_the_next_epoch_and_no_longer_than_the_stage():
  assert 'val accuracy 0.790' in _seen(80, EPOCH, {**STEP, 'epoch': 4})[1]
  assert 'val' not in _seen(80, EPOCH, {**STEP, 'stage': 'next'})[1]


def test_figures_that_are_not_known_yet_leave_no_hole():
  bare = {name: STEP[name] for name in ('kind', 'stage', 'epoch', 'epochs', 'step', 'steps')}
  where, *rest = _seen(80, {**bare, 'loss': float('nan')})
  assert where.endswith(' 25%') and rest == ['   loss nan', '']


def test_a_note_stands_above_the_live_lines_as_it_is():
  console = _terminal(80)
  with display.Display(console) as shown:
    shown.progress({'kind': 'note', 'stage': 'x', 'text': 'loss [bold]2.31 :smile:'})
  assert '   loss [bold]2.31 :smile:\n' in console.export_text()


def _log():
  stream = io.StringIO()
  return Console(file=stream, highlight=False, soft_wrap=True, markup=False, emoji=False), stream


def test_elsewhere_an_epoch_is_a_line_and_a_step_is_none():
  console, stream = _log()
  with display.Display(console) as shown:
    shown.started('Trainer')
    shown.progress({'kind': 'note', 'stage': 'x', 'text': 'checks [are] fine'})
    shown.progress(STEP)
    shown.progress(EPOCH)
    shown.finished('Trainer', runner.DONE, 3.21)
  assert stream.getvalue().splitlines() == [
    'Trainer ...',
    '   checks [are] fine',
    '   unfrozen 3/15  loss 0.512  accuracy 0.823  val loss 0.610  val accuracy 0.790  '
    '310 images/s  rate 0.00021  gradient norm 1.2  waiting for input 3%  4:12 left',
    'Trainer: done (3.2 s)',
  ]


def test_a_sign_of_life_tells_the_step():
  console, stream = _log()
  with display.Display(console) as shown:
    shown.started('Trainer')
    shown.progress(STEP)
    shown._beat()
    shown.finished('Trainer', runner.DONE, 1.0)
    shown._beat()
  beats = [line for line in stream.getvalue().splitlines() if '...' in line][1:]
  assert beats == [
    '  ... Trainer (0 s) unfrozen 3/15  step 50 of 200  loss 0.512  accuracy 0.823  4:12 left',
    '  ... starting',
  ]


def test_what_training_reports_is_shown_and_steps_stay_out_of_other_logs(caplog):
  before = LOGGER.level
  console, stream = _log()
  with display.Display(console):
    stage = progress.Progress('frozen', 2, 10, 32)
    stage.note('seven checks')
    stage.step(1, 10, {'loss': 0.5})
    stage.epoch(1, {'loss': 0.25, 'val_loss': 0.75})
  assert stream.getvalue().splitlines() == [
    '   seven checks',
    '   frozen 1/2  loss 0.250  val loss 0.750',
  ]
  assert [record.event['kind'] for record in caplog.records] == ['note', 'epoch']
  assert LOGGER.level == before and not LOGGER.filters


def test_every_figure_that_training_reports_has_words():
  named = {*display._LEARNT, *display._HOW}
  assert named == {*progress.FIGURES, 'images_per_second'}
