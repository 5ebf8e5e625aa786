"""The plan of a training whose steps cost a known time: its seconds, and what fits a budget."""

import io
import math
import shlex

import numpy as np
import pytest
from PIL import Image

from models.training import planner
from schemas.loader import build_config

# A step: 0.05 s and 50 us a pixel of the image.
FIXED, A_PIXEL = 0.05, 50e-6
TRACE = 7.0


class Fake:
  """A measure with a known cost of a step, which takes a trace of its own clock."""

  def __init__(self, fixed=FIXED, a_pixel=A_PIXEL):
    self.fixed, self.a_pixel = fixed, a_pixel
    self.asked = []
    self.now = 0.0

  def step(self, config):
    return self.fixed + self.a_pixel * config.image.height * config.image.width

  def __call__(self, config, policy, classes):
    self.asked.append((config.image.height, config.image.width))
    self.now += TRACE + 5 * self.step(config)
    return self.step(config)

  def clock(self):
    return self.now


def tree(side=96, augmented=True, **train):
  return {
    'name': 'x',
    'image': {'height': side, 'width': side},
    'augment': {} if augmented else {'shift': 0, 'rotation': 0, 'zoom': 0},
    'train': {'precision': 'float32', 'batch_size': 10, **train},
  }


def plan(config, knows_something=False, fake=None, train_images=1000, val_images=95):
  fake = fake or Fake()
  return planner.plan(config, train_images, val_images, 3, knows_something, fake, clock=fake.clock)


def seconds(config, epochs, fake=None):
  """From scratch, with 100 steps an epoch and 10 of validation at a third of the price."""
  step = (fake or Fake()).step(config)
  return 30 + TRACE + epochs * (100 + 10 / 3) * step + 18


def with_overrides(values, overrides):
  return build_config(values, 'test', list(overrides))


def test_a_training_from_scratch_is_steps_and_validation_and_what_is_around_it():
  config = build_config(tree(epochs=15), 'test')
  made = plan(config)
  assert made.step_seconds == pytest.approx(0.05 + 0.4608)
  assert made.trace_seconds == pytest.approx(TRACE)
  assert made.seconds == pytest.approx(seconds(config, 15))
  assert [(one.name, one.epochs, one.steps) for one in made.stages] == [('scratch', 15, 1500)]
  assert made.fits and made.budget_seconds is None and made.proposal is None


def test_a_frozen_stage_costs_a_forward_pass_a_step():
  config = build_config(tree(epochs=4, frozen_epochs=3), 'test')
  frozen, unfrozen = plan(config, knows_something=True).stages
  step = Fake().step(config)
  assert frozen.seconds == pytest.approx(TRACE + 3 * 110 * step / 3)
  assert unfrozen.seconds == pytest.approx(TRACE + 4 * (100 + 10 / 3) * step)


@pytest.mark.parametrize('augmented, copies', [(False, 1), (True, 2)])
def test_a_frozen_stage_that_keeps_features_computes_them_once(augmented, copies):
  values = tree(augmented=augmented, epochs=4, frozen_epochs=50)
  values['train']['feature_copies'] = 0 if copies == 1 else copies
  config = build_config(values, 'test')
  frozen = plan(config, knows_something=True).stages[0]
  once = (copies * 100 + 10) * Fake().step(config) / 3
  assert frozen.seconds == pytest.approx(TRACE + once + 50 * 100 * 0.003)


def test_the_input_of_each_batch_comes_on_top():
  config = build_config(tree(epochs=15), 'test')
  fake = Fake()
  without = plan(config)
  made = planner.plan(config, 1000, 95, 3, False, fake, 0.2, fake.clock)
  assert made.seconds == pytest.approx(without.seconds + 15 * 110 * 0.2)
  assert planner.in_words(made)[1] == 'to read, decode and augment them takes 0.2 s more'


def test_the_input_is_measured_on_the_images_that_can_be_decoded():
  values = tree(side=32)
  values['train']['batch_size'] = 3
  config = build_config(values, 'test')
  stream = io.BytesIO()
  Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(stream, 'PNG')
  assert planner.measure_input(config, [b'no image', stream.getvalue()], 2) > 0
  assert planner.measure_input(config, [b'no image'], 2) == 0


def test_within_the_budget_nothing_is_proposed_or_measured_again():
  fake = Fake()
  made = plan(build_config(tree(epochs=2, budget_minutes=5), 'test'), fake=fake)
  assert made.fits and made.proposal is None and fake.asked == [(96, 96)]


@pytest.mark.parametrize('minutes', [2, 3, 4, 6, 8, 10])
def test_a_proposal_fits_by_its_own_arithmetic_and_is_not_smaller_than_needed(minutes):
  values = tree(epochs=15, budget_minutes=minutes)
  fake = Fake()
  made = plan(build_config(values, 'test'), fake=fake)
  assert not made.fits and made.proposal is not None
  config = with_overrides(values, made.proposal.overrides)
  proposed = seconds(config, config.train.epochs)
  assert made.proposal.seconds == pytest.approx(proposed) and proposed <= minutes * 60
  # It was measured at its own size.
  assert (config.image.height, config.image.width) in fake.asked
  # With one epoch more it does not fit, and with half of the epochs no larger image does.
  if config.train.epochs < 15:
    assert seconds(config, config.train.epochs + 1) > minutes * 60
  sides = [96, 80, 72, 56, 48, 32]
  for side in sides[: sides.index(config.image.height)]:
    larger = with_overrides(values, [f'image.height={side}', f'image.width={side}'])
    assert seconds(larger, 8) > minutes * 60


def test_epochs_go_down_to_half_before_the_image_gets_smaller():
  values = tree(epochs=15, budget_minutes=8)
  # 96 pixels: 55 + 52.8 an epoch; 8 of them are 477 s of 480.
  assert plan(build_config(values, 'test')).proposal.overrides == ('train.epochs=8',)
  values = tree(epochs=15, budget_minutes=7.9)
  overrides = plan(build_config(values, 'test')).proposal.overrides
  # 80 pixels: 38.2 s an epoch.
  assert overrides == ('image.height=80', 'image.width=80', 'train.epochs=10')


def test_a_frozen_stage_keeps_features_before_anything_else_is_given_up():
  values = tree(epochs=2, frozen_epochs=40, budget_minutes=6)
  config = build_config(values, 'test')
  made = plan(config, knows_something=True)
  assert not made.fits
  assert made.proposal.overrides == ('train.feature_copies=2',)
  assert (
    made.proposal.seconds
    == plan(with_overrides(values, made.proposal.overrides), knows_something=True).seconds
  )


def test_below_half_of_the_epochs_only_at_the_smallest_image():
  # 32 pixels: a step of 0.1 s, an epoch of 10.5 s.
  values = tree(epochs=15, budget_minutes=(55 + 3.5 * 103.34 * 0.1012) / 60)
  made = plan(build_config(values, 'test'))
  assert made.proposal.overrides == ('image.height=32', 'image.width=32', 'train.epochs=3')


def test_where_nothing_fits_it_says_so_with_the_shortest_there_is():
  values = tree(epochs=15, budget_minutes=1)
  made = plan(build_config(values, 'test'))
  assert not made.fits and made.proposal is None
  smallest = with_overrides(values, ['image.height=32', 'image.width=32'])
  assert made.least_seconds == pytest.approx(seconds(smallest, 1), rel=0.1)
  words = '\n'.join(planner.in_words(made))
  assert 'nothing that was looked at does' in words and 'smaller model.backbone' in words


def test_a_cost_that_hardly_falls_with_the_image_is_found_out_by_measuring():
  fake = Fake(fixed=0.5, a_pixel=1e-6)
  values = tree(epochs=15, budget_minutes=4)
  made = plan(build_config(values, 'test'), fake=fake)
  # By pixels alone 48 x 48 would fit with all epochs; no size does with half of them.
  config = with_overrides(values, made.proposal.overrides)
  assert (config.image.height, config.image.width) in fake.asked
  assert seconds(config, config.train.epochs, fake) <= 240
  assert len(fake.asked) <= 1 + 3


def test_stages_that_are_written_out_are_shortened_as_a_whole():
  stages = [
    {'name': 'head', 'epochs': 2, 'learning_rate': 0.01, 'trainable': 'head'},
    {'name': 'top', 'epochs': 6, 'learning_rate': 0.001, 'trainable': 'blocks', 'blocks': 2},
  ]
  values = tree(budget_minutes=5, stages=stages)
  made = plan(build_config(values, 'test'), knows_something=True)
  assert not made.fits
  (override,) = made.proposal.overrides
  found = with_overrides(values, [override]).train.stages
  assert [stage.name for stage in found] == ['head', 'top']
  assert found[0].epochs == math.floor(2 * found[1].epochs / 6 + 1e-9)
  # What is printed can be typed into a shell.
  line = planner.in_words(made)[-1]
  typed = shlex.split(line.partition(': ')[2])
  assert typed == ['--set', override]


def test_the_plan_in_words():
  config = build_config(tree(epochs=15, budget_minutes=8), 'test')
  lines = planner.in_words(plan(config))
  assert lines[0] == 'a step takes 0.511 s: 10 images of 96 x 96 pixels in float32'
  # 7 + 15 * 103.33 * 0.5108 = 799 s, and 48 s around it.
  assert 'stage scratch: 15 epochs, 1500 steps, 13.3 minutes' in lines
  assert 'the training takes about 14.1 minutes at most' in lines
  assert lines[-1] == 'this does, in about 8.0 minutes: --set train.epochs=8'
