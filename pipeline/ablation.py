"""What a training loses without one of its components: variants, and figures over seeds."""

import dataclasses
import difflib
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scipy import stats

from schemas import loader
from schemas.config import Config
from schemas.errors import ConfigError

# Nothing is left out.
FULL = 'as configured'
_CONFIDENCE = 0.95

# Values with which a component of the training does nothing.
COMPONENTS: dict[str, dict[str, Any]] = {
  'augmentation': {
    'augment.shift': 0.0,
    'augment.rotation': 0.0,
    'augment.zoom': 0.0,
    'augment.horizontal_flip': False,
    'augment.vertical_flip': False,
    'augment.brightness': 0.0,
    'augment.contrast': 0.0,
    'augment.saturation': 0.0,
    'augment.crop_area': 1.0,
    'augment.rand_augment': 0,
    'augment.mixup': 0.0,
    'augment.cutmix': 0.0,
    'augment.fn': None,
  },
  'shift': {'augment.shift': 0.0},
  'rotation': {'augment.rotation': 0.0},
  'zoom': {'augment.zoom': 0.0},
  'horizontal_flip': {'augment.horizontal_flip': False},
  'colour': {'augment.brightness': 0.0, 'augment.contrast': 0.0, 'augment.saturation': 0.0},
  'random_crop': {'augment.crop_area': 1.0},
  'rand_augment': {'augment.rand_augment': 0},
  'mixup': {'augment.mixup': 0.0},
  'cutmix': {'augment.cutmix': 0.0},
  'label_smoothing': {'train.label_smoothing': 0.0},
  'weight_decay': {'train.weight_decay': 0.0},
  'dropout': {'model.dropout': 0.0},
  'drop_connect': {'model.drop_connect': 0.0},
  'hidden_layer': {'model.hidden_units': 0},
  'warmup': {'train.warmup_fraction': 0.0},
  'schedule': {'train.schedule': 'constant'},
  'ema': {'train.ema': 0.0},
  'class_weights': {'train.class_weights': False},
  'sampling': {'train.sampling': 'none'},
  'focal_loss': {'train.loss': 'cross_entropy'},
  'pretrained_weights': {'model.weights': 'none'},
}


@dataclasses.dataclass(frozen=True)
class Variant:
  """One way to train."""

  name: str
  config: Config


@dataclasses.dataclass(frozen=True)
class Row:
  """The figures of one variant.

  Attributes:
    name: of the component that was left out, or FULL.
    accuracies: on val, by seed, 0..1.
    mean: of them.
    interval: of the mean, 95 %.
    difference: mean of the differences to FULL, seed by seed; None for FULL.
    difference_interval: of it, 95 %.
  """

  name: str
  accuracies: tuple[float, ...]
  mean: float
  interval: tuple[float, float]
  difference: float | None
  difference_interval: tuple[float, float] | None


def variants(config: Config, off: Sequence[str]) -> list[Variant]:
  """Returns the full training and one without each component of `off`.

  Raises:
    ConfigError: a component is unknown, named twice, or does nothing as it is.
  """
  made = [Variant(FULL, config)]
  for name in off:
    if name not in COMPONENTS:
      near = difflib.get_close_matches(name, COMPONENTS, n=1)
      hint = f' Did you mean {near[0]}?' if near else ''
      raise ConfigError(f'--off: expected some of {", ".join(COMPONENTS)}. Received: {name}.{hint}')
    without = loader.with_values(config, COMPONENTS[name], f'without {name}')
    if without == config or name in [variant.name for variant in made]:
      why = 'which is off already' if without == config else 'which is named twice'
      raise ConfigError(
        f'--off: expected components that are on, once each. Received: {name}, {why}.'
      )
    made.append(Variant(name, without))
  return made


def with_seed(config: Config, seed: int) -> Config:
  """Returns a config whose training draws otherwise; the split stays."""
  return loader.with_values(config, {'train.seed': seed}, 'the seed')


def measure(
  made: Sequence[Variant], seeds: Sequence[int], train: Callable[[Config, str], float]
) -> dict[str, list[float]]:
  """Trains every variant with every seed; a seed at a time, so that an early end has pairs.

  Args:
    made: of `variants`.
    seeds: at least one.
    train: returns the accuracy on val of a config; the text says which training it is.
  """
  found: dict[str, list[float]] = {variant.name: [] for variant in made}
  for seed in seeds:
    for variant in made:
      name = variant.name if variant.name == FULL else f'without {variant.name}'
      found[variant.name].append(train(with_seed(variant.config, seed), f'{name}, seed {seed}'))
  return found


def rows(accuracies: Mapping[str, Sequence[float]]) -> list[Row]:
  """Returns the figures, FULL first, then by what leaving out costs most.

  Args:
    accuracies: of `measure`.
  """
  full = accuracies[FULL]
  made = []
  for name, values in accuracies.items():
    mean, interval = _interval(values)
    difference = difference_interval = None
    if name != FULL:
      differences = [one - other for one, other in zip(values, full, strict=True)]
      difference, difference_interval = _interval(differences)
    made.append(Row(name, tuple(values), mean, interval, difference, difference_interval))
  return sorted(made, key=lambda row: -math.inf if row.difference is None else row.difference)


def _interval(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
  """Returns the mean and its interval by Student's t; of one value nothing is known."""
  mean = statistics.fmean(values)
  if len(values) < 2:
    return mean, (math.nan, math.nan)
  error = statistics.stdev(values) / math.sqrt(len(values))
  reach = float(stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1)) * error
  return mean, (mean - reach, mean + reach)
