"""The events of a training, by a clock that the tests move."""

import logging

import pytest

from models.training import progress


class Clock:
  def __init__(self):
    self.now = 1000.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


@pytest.fixture
def records(caplog):
  caplog.set_level(logging.DEBUG, progress.LOGGER)
  return caplog


def _events(records, kind):
  return [record.event for record in records.records if record.event['kind'] == kind]


def _train(stage, clock, epochs, steps=10, step_seconds=1.0, validation=5.0, report_every=1):
  """Runs whole epochs, each of `steps` steps and then a validation."""
  for epoch in epochs:
    for step in range(1, steps + 1):
      clock.now += step_seconds
      if step % report_every == 0 or step == 1:
        stage.step(epoch, step, {'loss': 1.0})
    clock.now += validation
    stage.epoch(epoch, {'loss': 1.0, 'val_loss': 2.0})


def test_an_event_says_where_the_training_stands(clock, records):
  stage = progress.Progress('frozen', 3, 10, 32, clock)
  stage.step(2, 4, {'loss': 0.5, 'waiting_share': 0.25, 'gradient_norm': None})
  assert _events(records, 'step') == [
    {
      'kind': 'step',
      'stage': 'frozen',
      'epoch': 2,
      'epochs': 3,
      'step': 14,
      'steps': 30,
      'loss': 0.5,
      'waiting_share': 0.25,
    }
  ]


def test_steps_come_at_most_four_times_a_second(clock, records):
  stage = progress.Progress('frozen', 1, 1000, 32, clock)
  for step in range(1, 201):
    clock.now += 0.0625
    stage.step(1, step, {})
  # 200 steps of 1/16 s are 12.5 s; the first, and one each 0.25 s of the 12.4375 s after it.
  assert [event['step'] for event in _events(records, 'step')] == list(range(1, 201, 4))


def test_images_per_second_are_those_of_the_last_seconds(clock, records):
  stage = progress.Progress('frozen', 1, 1000, 32, clock)
  for step in range(1, 101):
    clock.now += 0.5 if step <= 50 else 0.25
    stage.step(1, step, {})
  rates = [event.get('images_per_second') for event in _events(records, 'step')]
  assert rates[0] is None  # one moment is no duration
  assert rates[1] == rates[49] == pytest.approx(64)  # 32 images in 0.5 s
  # Ten steps later, half of five seconds went by at each speed: 5 + 10 steps in 5 s.
  assert rates[59] == pytest.approx(15 * 32 / 5)
  assert rates[99] == pytest.approx(128)  # 32 images in 0.25 s


def test_steps_longer_than_the_window_have_a_rate_too(clock, records):
  stage = progress.Progress('frozen', 1, 10, 32, clock)
  for step in range(1, 4):
    clock.now += 16
    stage.step(1, step, {})
  assert [event.get('images_per_second') for event in _events(records, 'step')] == [None, 2, 2]


@pytest.mark.parametrize('report_every', [1, 3])
def test_the_time_left_counts_validation_and_not_the_first_trace(clock, records, report_every):
  stage = progress.Progress('frozen', 4, 10, 32, clock)
  clock.now += 60  # the first step is traced for a minute
  _train(stage, clock, [1, 2], report_every=report_every)
  first, second = _events(records, 'epoch')
  # An epoch: 10 steps of 1 s and 5 s of validation.
  assert first['seconds_left'] == pytest.approx(3 * 15)
  assert second['seconds_left'] == pytest.approx(2 * 15)
  assert second['images_per_second'] == pytest.approx(32)
  third = [event for event in _events(records, 'step') if event['step'] == 16]
  if report_every == 1:
    # Four steps are left of epoch 2, its validation, and two epochs.
    assert third[0]['seconds_left'] == pytest.approx(4 + 5 + 2 * 15)


def test_in_the_first_epoch_the_time_left_is_that_of_the_steps(clock, records):
  stage = progress.Progress('frozen', 4, 10, 32, clock)
  for step in (1, 2, 3):
    clock.now += 1
    stage.step(1, step, {})
  assert _events(records, 'step')[-1]['seconds_left'] == pytest.approx(37)


def test_a_rate_after_validation_does_not_count_validation(clock, records):
  stage = progress.Progress('frozen', 4, 10, 32, clock)
  _train(stage, clock, [1], validation=300)
  clock.now += 1
  stage.step(2, 1, {})
  assert _events(records, 'step')[-1]['images_per_second'] == pytest.approx(32)


def test_a_training_that_goes_on_in_the_middle_measures_from_there(clock, records):
  stage = progress.Progress('frozen', 4, 10, 32, clock)
  for step in (7, 8, 9, 10):
    clock.now += 1
    stage.step(3, step, {})
  clock.now += 5
  stage.epoch(3, {})
  (event,) = _events(records, 'epoch')
  assert event['step'] == 30 and event['seconds_left'] == pytest.approx(15)


def test_a_note_is_a_line_of_its_own(clock, records):
  progress.Progress('before', 1, 1, 32, clock).note('loss 2.31, a guess has 2.30')
  assert _events(records, 'note') == [
    {'kind': 'note', 'stage': 'before', 'text': 'loss 2.31, a guess has 2.30'}
  ]
  assert records.records[0].getMessage() == 'loss 2.31, a guess has 2.30'


def test_an_ordinary_log_gets_a_line_an_epoch_and_none_a_step(clock, caplog):
  caplog.set_level(logging.INFO, progress.LOGGER)
  stage = progress.Progress('frozen', 2, 10, 32, clock)
  _train(stage, clock, [1])
  assert [record.getMessage() for record in caplog.records] == [
    'training, stage frozen, epoch 1 of 2, step 10 of 20: loss 1, val loss 2, '
    'images per second 32, seconds left 15'
  ]


def test_a_figure_that_nobody_shows_is_refused(clock, records):
  stage = progress.Progress('frozen', 2, 10, 32, clock)
  with pytest.raises(ValueError, match='Received: lr'):
    stage.step(1, 1, {'lr': 0.1})
