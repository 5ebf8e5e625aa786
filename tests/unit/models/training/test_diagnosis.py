"""Each kind of curve, drawn with noise for many seeds, gets its own name."""

import math
import re

import numpy as np
import pytest

from models.training import diagnosis
from schemas import config

SEEDS = range(20)


def _rows(loss, val_loss, accuracy, val_accuracy, rate=None, stage='scratch'):
  return [
    {
      'stage': stage,
      'epoch': index + 1,
      'loss': float(loss[index]),
      'val_loss': float(val_loss[index]),
      'accuracy': float(accuracy[index]),
      'val_accuracy': float(val_accuracy[index]),
      'learning_rate': 2e-3 if rate is None else float(rate[index]),
    }
    for index in range(len(loss))
  ]


class Draw:
  """A random length, number of classes and level of noise; epochs as 0, 1, ..."""

  def __init__(self, seed):
    self.random = np.random.default_rng(seed)
    self.classes = int(self.random.choice([2, 3, 5, 10, 100]))
    self.guess = math.log(self.classes)
    self.count = int(self.random.integers(10, 41))
    self.epochs = np.arange(self.count)

  def noisy(self, values, share):
    """Adds normal noise with a standard deviation of `share` of ln K."""
    return values + self.random.normal(0, share * self.guess, len(values))

  def decay(self, begin, end, time):
    return end + (begin - end) * np.exp(-self.epochs / time)

  def accuracies(self, end):
    """From chance to `end`, with the noise of a small val split."""
    clean = self.decay(1 / self.classes, end, self.count / 6)
    return np.clip(clean + self.random.normal(0, 0.01, self.count), 0, 1)


def good(seed):
  """Falls and settles; floored by label smoothing; for odd seeds train is above val."""
  draw = Draw(seed)
  floor = draw.random.uniform(0.02, 0.35)
  above = 0.1 if seed % 2 else -0.02
  time = draw.count / draw.random.uniform(4.5, 8)
  loss = draw.noisy(draw.decay(0.9, floor + above, time) * draw.guess, 0.008)
  val_loss = draw.noisy(draw.decay(0.85, floor, time) * draw.guess, 0.015)
  accuracy = draw.accuracies(0.7 if seed % 2 else 0.98)
  return _rows(loss, val_loss, accuracy, draw.accuracies(0.95)), draw.classes


def over_fitted(seed):
  draw = Draw(seed)
  turn = int(draw.count * draw.random.uniform(0.3, 0.55))
  val_loss = draw.decay(0.9, 0.3, draw.count / 8)
  val_loss += np.maximum(draw.epochs - turn, 0) / (draw.count - turn) * 0.3
  return _rows(
    draw.noisy(draw.decay(0.9, 0.02, draw.count / 4) * draw.guess, 0.008),
    draw.noisy(val_loss * draw.guess, 0.015),
    draw.accuracies(0.99),
    draw.accuracies(0.8),
  ), draw.classes


def learnt_by_heart(seed):
  """The val loss stays where it is, and train goes to 1."""
  draw = Draw(seed)
  return _rows(
    draw.noisy(draw.decay(0.9, 0.02, draw.count / 4) * draw.guess, 0.008),
    draw.noisy(draw.decay(0.9, 0.5, draw.count / 8) * draw.guess, 0.015),
    draw.accuracies(0.99),
    draw.accuracies(0.7),
  ), draw.classes


def at_chance(seed):
  draw = Draw(seed)
  chance = np.full(draw.count, 1 / draw.classes)
  flat = np.full(draw.count, draw.guess)
  return _rows(
    draw.noisy(flat, 0.01),
    draw.noisy(flat, 0.02),
    np.clip(chance + draw.random.normal(0, 0.02, draw.count), 0, 1),
    np.clip(chance + draw.random.normal(0, 0.02, draw.count), 0, 1),
  ), draw.classes


def still_falling(seed):
  """Nearly a straight line downwards; for odd seeds train lies above val (MixUp)."""
  draw = Draw(seed)
  line = 0.95 - 0.5 * draw.epochs / draw.count
  above = 0.1 if seed % 2 else -0.02
  reached = 1 / draw.classes + 0.5 * (1 - 1 / draw.classes)
  return _rows(
    draw.noisy((line + above) * draw.guess, 0.008),
    draw.noisy(line * draw.guess, 0.015),
    draw.accuracies(reached),
    draw.accuracies(reached),
  ), draw.classes


def flat(seed):
  draw = Draw(seed)
  return _rows(
    draw.noisy(draw.decay(0.95, 0.5, draw.count / 10) * draw.guess, 0.008),
    draw.noisy(draw.decay(0.95, 0.52, draw.count / 10) * draw.guess, 0.015),
    draw.accuracies(0.72),
    draw.accuracies(0.7),
  ), draw.classes


def exploding(seed):
  draw = Draw(seed)
  loss = draw.decay(0.9, 0.3, draw.count / 6)
  loss[draw.random.integers(draw.count // 3, draw.count - 1) :] = draw.random.uniform(0.9, 4)
  return _rows(
    draw.noisy(loss * draw.guess, 0.01),
    draw.noisy(loss * draw.guess, 0.02),
    draw.accuracies(0.5),
    draw.accuracies(0.5),
  ), draw.classes


def oscillating(seed):
  draw = Draw(seed)
  loss = 0.7 + draw.random.uniform(0.2, 0.3) * np.where(draw.epochs % 2, 1, -1)
  return _rows(
    draw.noisy(loss * draw.guess, 0.02),
    draw.noisy(loss * draw.guess, 0.05),
    draw.accuracies(0.5),
    draw.accuracies(0.5),
  ), draw.classes


def above_a_guess(seed):
  draw = Draw(seed)
  loss = draw.decay(draw.random.uniform(2, 8), 1.0, draw.count / 8)
  return _rows(
    draw.noisy(loss * draw.guess, 0.01),
    draw.noisy(loss * draw.guess, 0.02),
    draw.accuracies(1 / draw.classes),
    draw.accuracies(1 / draw.classes),
  ), draw.classes


KINDS = {
  good: diagnosis.FINE,
  over_fitted: diagnosis.OVER_FITTING,
  learnt_by_heart: diagnosis.OVER_FITTING,
  at_chance: diagnosis.UNDER_FITTING,
  still_falling: diagnosis.UNDER_FITTING,
  flat: diagnosis.PLATEAU,
  exploding: diagnosis.RATE_TOO_HIGH,
  oscillating: diagnosis.RATE_TOO_HIGH,
  above_a_guess: diagnosis.RATE_TOO_HIGH,
}


def _found(rows, classes, patience=8):
  return diagnosis.diagnose(rows, patience, classes)


@pytest.mark.parametrize('draw', KINDS)
def test_twenty_curves_of_a_kind_get_its_name(draw):
  found = {seed: _found(*draw(seed)) for seed in SEEDS}
  wrong = {
    seed: [finding.text for finding in findings]
    for seed, findings in found.items()
    if [finding.kind for finding in findings] != [KINDS[draw]]
  }
  assert not wrong


@pytest.mark.parametrize('seed', SEEDS)
def test_two_good_stages_with_a_drop_between_them_are_fine(seed):
  draw = Draw(seed)
  draw.count, draw.epochs = 20, np.arange(20)
  step = np.where(draw.epochs < 5, 0.3, 0.0)
  clean = (draw.decay(0.6, 0.1, 3) + step) * draw.guess
  rows = _rows(
    draw.noisy(clean, 0.008), draw.noisy(clean, 0.015), draw.accuracies(0.97), draw.accuracies(0.95)
  )
  for row in rows:
    row['stage'] = 'frozen' if row['epoch'] <= 5 else 'unfrozen'
  assert [finding.kind for finding in _found(rows, draw.classes)] == [diagnosis.FINE]


def test_over_fitting_names_its_epoch_numbers_and_what_to_try():
  val_loss = [1.0, 0.7, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8]
  loss = [1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05]
  (found,) = _found(_rows(loss, val_loss, [0.9] * 8, [0.85] * 8), 3)
  assert found.kind == diagnosis.OVER_FITTING
  assert found.text.startswith(
    'Over-fitting from epoch 4: since then the val loss rose from 0.400 to'
  )
  # Of train, the median of epochs 3 to 5: 0.5, 0.4, 0.3.
  assert '0.800 while the loss of train fell from 0.400 to 0.050' in found.text
  assert 'model.dropout' in found.text and 'augment' in found.text


def test_a_val_loss_that_rises_while_train_stands_still_is_not_over_fitting():
  val_loss = [1.0, 0.7, 0.5, 0.4, 0.5, 0.6, 0.7, 0.8]
  loss = [1.0, 0.7, 0.5, 0.4, 0.4, 0.4, 0.4, 0.4]
  (found,) = _found(_rows(loss, val_loss, [0.9] * 8, [0.85] * 8), 3)
  assert found.kind == diagnosis.FINE


@pytest.mark.parametrize('seed', SEEDS)
def test_the_noise_of_small_splits_is_not_a_trend(seed):
  draw = Draw(seed)
  clean = draw.decay(0.9, 0.3, draw.count / 6) * draw.guess
  rows = _rows(
    draw.noisy(draw.decay(0.9, 0.2, draw.count / 5) * draw.guess, 0.03),
    draw.noisy(clean, 0.06),
    draw.accuracies(0.95),
    draw.accuracies(0.92),
  )
  assert [finding.kind for finding in _found(rows, draw.classes)] == [diagnosis.FINE]


@pytest.mark.parametrize('jump, too_high', [(0.2, False), (0.5, True)])
def test_how_far_a_loss_goes_up_and_down_is_measured_against_a_guess(jump, too_high):
  # Of 100 classes, ln K is 4.6, and 8 % of it 0.37.
  loss = [1.0 + jump * (index % 2) for index in range(12)]
  (found,) = _found(_rows(loss, loss, [0.95] * 12, [0.95] * 12), 100)
  assert (found.kind == diagnosis.RATE_TOO_HIGH) == too_high


@pytest.mark.parametrize('seed', SEEDS)
def test_losses_that_fall_on_where_accuracy_is_high_are_fine(seed):
  rows, classes = still_falling(seed)
  for row in rows:
    row['accuracy'] = row['val_accuracy'] = 0.95
  (found,) = _found(rows, classes)
  assert found.kind == diagnosis.FINE


def test_patience_decides_how_many_epochs_after_the_best_one_are_waited_for():
  loss = [1.0, 0.8, 0.6, 0.4, 0.3, 0.2]
  val_loss = [1.0, 0.8, 0.6, 0.4, 0.7, 1.0]
  rows = _rows(loss, val_loss, [0.9] * 6, [0.85] * 6)
  assert _found(rows, 3, patience=8)[0].kind == diagnosis.FINE
  assert _found(rows, 3, patience=2)[0].kind == diagnosis.OVER_FITTING


@pytest.mark.parametrize('column, name', [('loss', 'loss'), ('val_loss', 'val loss')])
@pytest.mark.parametrize('value', [math.nan, math.inf, None])
def test_a_loss_that_is_not_finite_is_a_rate_that_is_too_high(column, name, value):
  rows, classes = good(0)
  rows[3][column] = value
  (found,) = _found(rows, classes)
  assert found.kind == diagnosis.RATE_TOO_HIGH
  assert f'the {name} of epoch 4 is not finite' in found.text
  assert 'went up to 0.002' in found.text and 'train.learning_rate' in found.text


def test_a_plateau_at_a_high_rate_wants_a_rate_that_falls():
  drawn, classes = flat(0)
  assert 'train.schedule' in _found(drawn, classes)[0].text
  for row, rate in zip(drawn, np.linspace(2e-3, 0, len(drawn)), strict=True):
    row['learning_rate'] = rate
  (found,) = _found(drawn, classes)
  assert found.kind == diagnosis.PLATEAU
  assert 'train.schedule' not in found.text and 'a higher train.learning_rate' in found.text


def test_a_stage_that_undoes_the_one_before_is_named():
  frozen = _rows(*[[1.0, 0.5, 0.3, 0.3, 0.3]] * 2, *[[0.5, 0.8, 0.9, 0.9, 0.9]] * 2, stage='frozen')
  loss = [0.9, 0.8, 0.7, 0.65, 0.6]
  unfrozen = _rows(loss, loss, [0.7] * 5, [0.7] * 5, stage='unfrozen')
  for row in unfrozen:
    row['epoch'] += 5
  (found,) = _found([*frozen, *unfrozen], 5)
  assert found.kind == diagnosis.RATE_TOO_HIGH
  assert 'its lowest val loss is 0.600, and stage frozen had 0.300 in epoch 3' in found.text


@pytest.mark.parametrize('count', [1, 2, 3])
def test_a_few_epochs_are_too_short_to_judge(count):
  loss = [2.2, 1.5, 1.2][:count]
  (found,) = _found(_rows(loss, loss, [0.2] * count, [0.3] * count), 10)
  assert found.kind == diagnosis.TOO_SHORT
  assert found.text.startswith('1 epoch is too' if count == 1 else f'{count} epochs are too')


def test_few_epochs_far_above_a_guess_are_told_all_the_same():
  loss = [9.0, 8.0]
  (found,) = _found(_rows(loss, loss, [0.1] * 2, [0.1] * 2), 10)
  assert found.kind == diagnosis.RATE_TOO_HIGH
  assert 'the first 2 epochs is 8.500, and a guess has 2.303' in found.text


def test_no_epoch_is_too_short():
  assert [finding.kind for finding in _found([], 10)] == [diagnosis.TOO_SHORT]


def test_a_stage_too_short_to_judge_is_judged_with_the_one_before():
  rows, classes = over_fitted(1)
  rows[-1]['stage'] = rows[-2]['stage'] = 'second'
  assert _found(rows, classes)[0].kind == diagnosis.OVER_FITTING


def test_every_key_that_is_advised_is_a_field_of_the_config():
  texts = [finding.text for draw in KINDS for seed in SEEDS for finding in _found(*draw(seed))]
  named = {match for text in texts for match in re.findall(r'\b(train|model)\.([a-z_]+)', text)}
  assert len(named) > 5
  for section, field in named:
    assert field in config.Config.model_fields[section].annotation.model_fields
