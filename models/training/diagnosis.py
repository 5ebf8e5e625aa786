"""What the curves of a training say, and what to try next.

Rules over the numbers of curves.csv alone. A change counts where it is larger than
the noise of its own curve, so that a wobble is not taken for a trend. Losses are
measured against ln K, the cross-entropy of a guess among K classes. Label smoothing
keeps the loss of a perfect network well above 0, and MixUp and augmentation keep that
of train above that of val: how good a network is is read from accuracy.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

OVER_FITTING = 'over-fitting'
UNDER_FITTING = 'under-fitting'
RATE_TOO_HIGH = 'rate-too-high'
PLATEAU = 'plateau'
FINE = 'fine'
TOO_SHORT = 'too-short'

# Fewer epochs than this show no trend.
_SHORTEST = 4
# Share of the way from chance to 1; an accuracy below it has hardly left chance.
_HARDLY_LEARNT = 0.15
# Accuracy above which there is too little to gain for advice.
_WELL_LEARNT = 0.9
# Accuracy of train above that of val that tells of images learnt by heart.
_WIDE_GAP = 0.15
# Shares of ln K: a change that is worth a word, a jump, and a leap.
_CHANGE, _JUMP, _LEAP = 0.03, 0.08, 0.25
# Standard deviations of a curve's noise that a change has to exceed. The lowest of
# many noisy values lies more than one below the curve itself, hence the large one.
_CLEARLY, _SURELY = 2.5, 4.0


@dataclasses.dataclass(frozen=True)
class Finding:
  """One thing that the curves show.

  Attributes:
    kind: one of the constants of this module.
    text: what was seen, with numbers and epochs, and what to try next.
  """

  kind: str
  text: str


def diagnose(rows: Sequence[Mapping[str, Any]], patience: int, classes: int) -> list[Finding]:
  """Reads the curves of a training.

  Args:
    rows: one an epoch, as curves.Curves.rows; stage, epoch, loss, accuracy, val_loss
      and val_accuracy are read, and learning_rate where it is there. A loss is
      cross-entropy, plain or smoothed, or less (focal).
    patience: train.early_stopping_patience.
    classes: K, at least 2.

  Returns:
    What is wrong, or `too-short` or `fine` alone; never empty.
  """
  if not rows:
    return [Finding(TOO_SHORT, 'No epoch has ended: there are no curves to judge.')]
  stages = _stages(rows, classes)
  whole = _Curve(rows, classes)
  # What came out is judged by the last stage, where that is long enough to be read.
  last = stages[-1] if len(stages[-1]) >= _SHORTEST else whole
  too_high = next((found for stage in stages if (found := _too_high(stage))), None)
  if too_high:
    return [too_high]
  if len(whole) < _SHORTEST:
    return [_too_short(whole)]
  found = (
    _worse_than_before(stages)
    or _hardly_learnt(last)
    or _over_fitting(last, patience)
    or _learnt_by_heart(last)
    or _still_falling(last, whole, patience)
    or _plateau(last)
    or _fine(whole, patience)
  )
  return [found]


class _Curve:
  """Some epochs in a row, as arrays; what was not measured or is not finite is nan."""

  def __init__(self, rows: Sequence[Mapping[str, Any]], classes: int):
    self.rows = rows
    self.chance = 1 / classes
    self.guess = math.log(classes)
    self.loss = _column(rows, 'loss')
    self.val_loss = _column(rows, 'val_loss')
    self.accuracy = _column(rows, 'accuracy')
    self.val_accuracy = _column(rows, 'val_accuracy')
    self.rate = _column(rows, 'learning_rate')

  def __len__(self) -> int:
    return len(self.rows)

  def epoch(self, index: int) -> str:
    return f'epoch {self.rows[index]["epoch"]}'

  @property
  def stage(self) -> str:
    return str(self.rows[-1]['stage'])

  def lowest(self) -> int:
    """Returns the index of the lowest val_loss."""
    return int(np.nanargmin(self.val_loss))

  def ends(self) -> tuple[float, float]:
    """Returns the accuracy of train and of val at the end, as the median of some epochs."""
    count = max(min(3, len(self) // 2), len(self) // 4)
    return float(np.median(self.accuracy[-count:])), float(np.median(self.val_accuracy[-count:]))


def _too_high(curve: _Curve) -> Finding | None:
  """A loss that is not finite, explodes, oscillates, or begins far above a guess."""
  seen = _not_finite(curve) or _above_a_guess(curve) or _leaps(curve) or _oscillates(curve)
  if not seen:
    return None
  rate = f' The rate went up to {np.nanmax(curve.rate):.2g}.' if _any(curve.rate) else ''
  return Finding(
    RATE_TOO_HIGH,
    f'The learning rate of stage {curve.stage} looks too high: {seen}.{rate} Next: a third of '
    'train.learning_rate (of the stage, where train.stages is written out) or a longer '
    'train.warmup_fraction; train.find_rate: show draws which rates the network bears.',
  )


def _not_finite(curve: _Curve) -> str | None:
  for index in range(len(curve)):
    for name, values in (('loss', curve.loss), ('val loss', curve.val_loss)):
      if not np.isfinite(values[index]):
        return f'the {name} of {curve.epoch(index)} is not finite'
  return None


def _above_a_guess(curve: _Curve) -> str | None:
  count = min(len(curve), max(2, len(curve) // 4))
  first = float(curve.loss[:count].mean())
  # A single epoch also holds the steps in which a good rate has yet done nothing.
  limit = 1.1 if len(curve) >= _SHORTEST else 1.5
  if first < limit * curve.guess or curve.loss[-1] < 0.7 * curve.guess:
    return None
  epochs = 'epoch is' if count == 1 else f'{count} epochs is'
  return (
    f'the loss of the first {epochs} {first:.3f}, and a guess has {curve.guess:.3f} '
    '(ln of the number of classes)'
  )


def _leaps(curve: _Curve) -> str | None:
  """Returns what is seen where the loss of train leaps up and stays there."""
  lowest_before = np.minimum.accumulate(curve.loss)[:-1]
  leaps: np.ndarray = np.flatnonzero(curve.loss[1:] - lowest_before > _LEAP * curve.guess) + 1
  if not len(leaps) or curve.loss[-1] - lowest_before[-1] < _LEAP / 2 * curve.guess:
    return None
  at = int(leaps[0])
  return (
    f'the loss had come down to {lowest_before[at - 1]:.3f}, rose to {curve.loss[at]:.3f} in '
    f'{curve.epoch(at)} and ended at {curve.loss[-1]:.3f}'
  )


def _oscillates(curve: _Curve) -> str | None:
  """Returns what is seen where the loss of train, a mean over an epoch, goes up and down."""
  rises = np.diff(curve.loss)
  jumps: np.ndarray = np.flatnonzero(rises > max(_JUMP * curve.guess, 0.1)) + 1
  if len(jumps) < max(2, len(rises) / 4):
    return None
  at = int(jumps[np.argmax(rises[jumps - 1])])
  return (
    f'the loss goes up and down, {len(jumps)} times up in {len(curve)} epochs, most in '
    f'{curve.epoch(at)} from {curve.loss[at - 1]:.3f} to {curve.loss[at]:.3f}'
  )


def _worse_than_before(stages: Sequence[_Curve]) -> Finding | None:
  """A last stage that never gets as good as one before it."""
  last = stages[-1]
  if len(stages) == 1 or len(last) < _SHORTEST:
    return None
  before = min(stages[:-1], key=lambda stage: stage.val_loss.min())
  lost = last.val_loss.min() - before.val_loss.min()
  if lost < max(_SURELY * _noise(last.val_loss), _CHANGE * last.guess):
    return None
  return Finding(
    RATE_TOO_HIGH,
    f'Stage {last.stage} undid what was there: its lowest val loss is '
    f'{last.val_loss.min():.3f}, and stage {before.stage} had {before.val_loss.min():.3f} in '
    f'{before.epoch(before.lowest())}, whose weights are kept. Next: a third of the learning_rate '
    f'of stage {last.stage}, layer_decay below 1, or fewer trainable blocks (train.stages).',
  )


def _hardly_learnt(curve: _Curve) -> Finding | None:
  accuracy, val_accuracy = curve.ends()
  limit = curve.chance + _HARDLY_LEARNT * (1 - curve.chance)
  if accuracy >= limit or val_accuracy >= limit:
    return None
  seen = (
    f'Under-fitting: after {len(curve)} epochs the accuracy is {accuracy:.3f} on train and '
    f'{val_accuracy:.3f} on val, where chance is {curve.chance:.3f}; the loss went from '
    f'{curve.loss[0]:.3f} to {curve.loss[-1]:.3f}, where a guess has {curve.guess:.3f}.'
  )
  if _falls(curve.loss, len(curve), curve.guess):
    return Finding(
      UNDER_FITTING, f'{seen} It falls, slowly. Next: a higher train.learning_rate or train.epochs.'
    )
  return Finding(
    UNDER_FITTING,
    f'{seen} Nothing was learnt. Next: look at the labels (sightline data audit), train more than '
    'the head (train.stages) or take other model.weights, less augment, a higher '
    'train.learning_rate, a larger model.backbone.',
  )


def _over_fitting(curve: _Curve, patience: int) -> Finding | None:
  """The val loss rises from its best while the loss of train falls on."""
  best = curve.lowest()
  after = len(curve) - 1 - best
  if after < min(3, patience):
    return None
  tail = min(3, after)
  # The lowest value is low by luck, too; its neighbours tell where the curve is.
  lowest = float(np.median(curve.val_loss[max(best - 1, 0) : best + 2]))
  rise = curve.val_loss[-tail:].mean() - lowest
  least = max(_SURELY * _noise(curve.val_loss), _CHANGE * curve.guess)
  around = float(np.median(curve.loss[max(best - 1, 0) : best + 2]))
  fall = around - curve.loss[-tail:].mean()
  if (
    rise < least
    or _share_of_rising_pairs(curve.val_loss[best:]) < 0.6
    or fall < max(_noise(curve.loss), 0.01 * curve.guess)
  ):
    return None
  return Finding(
    OVER_FITTING,
    f'Over-fitting from {curve.epoch(best)}: since then the val loss rose from '
    f'{curve.val_loss[best]:.3f} to {curve.val_loss[-1]:.3f} while the loss of train fell from '
    f'{around:.3f} to {curve.loss[-1]:.3f}. The weights of the best epoch are kept. '
    f'{_AGAINST_OVER_FITTING}',
  )


_AGAINST_OVER_FITTING = (
  'Next: more images, more augment (rotation, rand_augment, mixup), a higher model.dropout or '
  'train.weight_decay, fewer trainable blocks (train.stages) or a smaller model.backbone.'
)


def _learnt_by_heart(curve: _Curve) -> Finding | None:
  """Train is far better than val, and val no longer gains."""
  accuracy, val_accuracy = curve.ends()
  part = _last_part(curve, 3)
  gains = -_change(curve.val_loss[-part:]) > 2 * _CHANGE * curve.guess
  if accuracy - val_accuracy < _WIDE_GAP or gains:
    return None
  return Finding(
    OVER_FITTING,
    f'Over-fitting: at the end the accuracy is {accuracy:.3f} on train and {val_accuracy:.3f} on '
    f'val, whose loss no longer falls since {curve.epoch(len(curve) - part)}: images are learnt '
    f'by heart. {_AGAINST_OVER_FITTING}',
  )


def _still_falling(curve: _Curve, whole: _Curve, patience: int) -> Finding | None:
  """Both losses fall at the end: training stopped before it was done."""
  accuracy, val_accuracy = curve.ends()
  part = _last_part(curve, 3)
  waited = len(curve) - 1 - curve.lowest()
  way = float(np.nanmax(whole.val_loss) - np.nanmin(whole.val_loss))
  fall = -_change(curve.val_loss[-part:])
  if (
    val_accuracy >= _WELL_LEARNT
    or accuracy - val_accuracy >= _WIDE_GAP
    or waited >= min(patience, part)
    or fall < 0.12 * way
    or not _falls(curve.val_loss, part, curve.guess)
    or not _falls(curve.loss, part, curve.guess)
  ):
    return None
  return Finding(
    UNDER_FITTING,
    f'Under-fitting: training ended while it still learnt. In the last {part} epochs the val loss '
    f'fell by {fall:.3f} to {curve.val_loss[-1]:.3f} (accuracy {val_accuracy:.3f}), and that of '
    f'train by {-_change(curve.loss[-part:]):.3f} to {curve.loss[-1]:.3f}. Next: more '
    'train.epochs, a higher train.learning_rate, or a larger model.backbone.',
  )


def _plateau(curve: _Curve) -> Finding | None:
  """Nothing changes in the second half, and neither train nor val is good."""
  accuracy, val_accuracy = curve.ends()
  part = _last_part(curve, 2)
  if max(accuracy, val_accuracy) >= _WELL_LEARNT or any(
    abs(_change(values[-part:])) >= max(_CLEARLY * _noise(values), _CHANGE * curve.guess)
    for values in (curve.loss, curve.val_loss)
  ):
    return None
  high = _any(curve.rate) and np.nanmean(curve.rate[-part:]) > 0.5 * np.nanmax(curve.rate)
  advice = (
    'a rate that falls (train.schedule: cosine or plateau), then'
    if high
    else 'a higher train.learning_rate,'
  )
  return Finding(
    PLATEAU,
    f'Plateau: since {curve.epoch(len(curve) - part)} nothing changes; the loss of train stays at '
    f'{np.median(curve.loss[-part:]):.3f} (accuracy {accuracy:.3f}), that of val at '
    f'{np.median(curve.val_loss[-part:]):.3f} (accuracy {val_accuracy:.3f}). Next: {advice} '
    'more trainable blocks (train.stages), a larger model.backbone or image, less augment; '
    'and a look at the labels (sightline data audit).',
  )


def _fine(whole: _Curve, patience: int) -> Finding:
  best = whole.lowest()
  text = (
    f'The curves look fine: the lowest val loss is {whole.val_loss[best]:.3f} in '
    f'{whole.epoch(best)} (accuracy {whole.val_accuracy[best]:.3f} on val, '
    f'{whole.accuracy[best]:.3f} on train).'
  )
  if whole.loss[best] > whole.val_loss[best] + _CHANGE * whole.guess:
    text += ' Train has the higher loss, as augmentation and dropout act on train alone.'
  if len(whole) - 1 - best < min(2, patience):
    text += ' The best epoch is among the last: more train.epochs may gain a little.'
  return Finding(FINE, text)


def _too_short(whole: _Curve) -> Finding:
  epochs = '1 epoch is' if len(whole) == 1 else f'{len(whole)} epochs are'
  return Finding(
    TOO_SHORT,
    f'{epochs} too short to judge; it takes {_SHORTEST}. The val loss is '
    f'{whole.val_loss[-1]:.3f} after {whole.val_loss[0]:.3f} in the first epoch, the accuracy '
    f'{whole.val_accuracy[-1]:.3f} on val. Next: more train.epochs.',
  )


def _stages(rows: Sequence[Mapping[str, Any]], classes: int) -> list[_Curve]:
  begins = [i for i in range(len(rows)) if not i or rows[i]['stage'] != rows[i - 1]['stage']]
  return [
    _Curve(rows[begin:end], classes)
    for begin, end in zip(begins, [*begins[1:], len(rows)], strict=True)
  ]


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
  values = np.array([math.nan if row.get(name) is None else row[name] for row in rows], float)
  values[~np.isfinite(values)] = math.nan
  return values


def _any(values: np.ndarray) -> bool:
  return bool(np.isfinite(values).any())


def _noise(values: np.ndarray) -> float:
  """Returns the standard deviation of the noise on a smooth curve.

  Second differences take a trend away and have 6 times the variance of the noise
  (1 + 4 + 1); the median leaves single jumps out, and 1.4826 makes a standard
  deviation of it for normal noise.
  """
  if len(values) < 3:
    return 0.0
  return 1.4826 * float(np.median(np.abs(np.diff(values, 2)))) / math.sqrt(6)


def _change(values: np.ndarray) -> float:
  """Returns how much the least-squares line rises from the first value to the last."""
  places = np.arange(len(values))
  return float(np.polyfit(places, values, 1)[0] * (len(values) - 1))


def _falls(values: np.ndarray, part: int, guess: float) -> bool:
  """Tells whether the last `part` values fall by more than noise and more than little."""
  return -_change(values[-part:]) > max(_CLEARLY * _noise(values), _CHANGE * guess)


def _last_part(curve: _Curve, share: int) -> int:
  return max(_SHORTEST, len(curve) // share)


def _share_of_rising_pairs(values: np.ndarray) -> float:
  """Returns the share of pairs whose later value is the higher one (Kendall's view)."""
  earlier, later = np.triu_indices(len(values), 1)
  return float(np.mean(values[later] > values[earlier]))
