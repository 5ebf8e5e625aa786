"""`sightline model plan`: how long a training will take here, before it begins."""

import collections
import contextlib
import math
import pathlib
from collections.abc import Sequence

from rich.console import Console

from pipeline import datasets, display, library_output, own_code, weights
from schemas import features
from schemas.config import Config
from schemas.errors import DataError
from schemas.loader import load_config

# As for a run whose gate refused: the command did its work, and the answer is no.
DOES_NOT_FIT = 3


def run(config_path: pathlib.Path, overrides: Sequence[str] = ()) -> int:
  """Times a few steps and prints how long the training takes, and what fits its budget.

  Nothing is trained or written but a bundled data set.

  Returns:
    The exit code: 0, or DOES_NOT_FIT where train.budget_minutes is exceeded.

  Raises:
    ConfigError: the config cannot be used.
    DataError: the data cannot be read, or hold too few images or classes.
    WeightsError: the weights that the config names are not to be had.
  """
  config = load_config(config_path, overrides)
  own_code.make_importable(config, config_path)
  assert config.data.root is not None  # the loader fills it in
  if config.data.bundled:
    datasets.write(config.data.bundled, config.data.root)
  # Before TensorFlow is loaded, and the terminal is redirected.
  terminal = library_output.terminal()
  console = Console(file=terminal, highlight=False, soft_wrap=True, markup=False, emoji=False)
  with display.waiting(console, 'timing a few steps of the training ...'):
    with library_output.held_back():
      lines, fits = _plan(config)
  for line in lines:
    console.print(line)
  return 0 if fits else DOES_NOT_FIT


def _plan(config: Config) -> tuple[list[str], bool]:
  from models.training import planner

  counts = count_rows(config)
  classes = len(counts[features.TRAIN])
  loaded = _weights(config)
  train_images = images_an_epoch(config, counts[features.TRAIN])
  val_images = round(sum(counts[features.VAL].values()))
  made = planner.plan(
    config,
    train_images,
    val_images,
    classes,
    loaded.knows_something,
    input_seconds=planner.measure_input(config, sample(config), classes),
  )
  lines = [
    f'{train_images} images an epoch, {val_images} of val, {classes} classes',
    f'weights: {loaded.reason}',
    *planner.in_words(made),
  ]
  return lines, made.fits


def count_rows(config: Config) -> dict[str, dict[str, float]]:
  """Returns split to label to number of rows, as far as the manifest says so.

  Rows without a given split are counted by the shares of data.split. Images that
  cannot be read or are moved to another split with their copies are not known yet.

  Raises:
    DataError: there are fewer than two classes, or no row for train.
  """
  from components.image_example_gen import manifest, spans

  source = manifest.open_manifest(spans.at(config.data))
  shares = config.data.split
  rows: collections.Counter[tuple[str, str]] = collections.Counter(
    (row.split, row.label) for row in source.rows() if not row.reason
  )
  counts: dict[str, dict[str, float]] = {features.TRAIN: {}, features.VAL: {}}
  for (split, label), number in rows.items():
    parts = {split: 1.0} if split else {features.TRAIN: shares.train, features.VAL: shares.val}
    for name, share in parts.items():
      if name in counts:
        counts[name][label] = counts[name].get(label, 0.0) + share * number
  if len(counts[features.TRAIN]) < 2:
    raise DataError(
      f'{source.name}: expected two classes or more in train, to tell apart. Received: '
      f'{len(counts[features.TRAIN])} ({", ".join(counts[features.TRAIN]) or "no usable row"}).'
    )
  return counts


def sample(config: Config) -> list[bytes]:
  """Returns the bytes of a batch of images, spread over the manifest; unreadable ones missing."""
  from components.image_example_gen import manifest, spans

  source = manifest.open_manifest(spans.at(config.data))
  names = [row.filename for row in source.rows() if not row.reason]
  found = []
  for name in names[:: max(1, len(names) // config.train.batch_size)]:
    with contextlib.suppress(DataError, OSError):
      found.append(source.locate(name).read_bytes())
  return found[: config.train.batch_size]


def images_an_epoch(config: Config, per_class: dict[str, float]) -> int:
  """Returns how many images an epoch shows under train.sampling."""
  if config.train.sampling == 'oversample':
    return math.ceil(len(per_class) * max(per_class.values()))
  if config.train.sampling == 'undersample':
    return math.ceil(len(per_class) * min(per_class.values()))
  return math.ceil(sum(per_class.values()))


def _weights(config: Config):
  """Returns what the training would start from; a throw-away network takes it."""
  import numpy as np

  from models import backbones, classifier, pretrained

  found = weights.resolve(config)
  half: np.ndarray = np.full(3, 0.5, np.float32)
  network = classifier.build(config.model, config.image, 2, half, half / 6)
  return pretrained.load(network.get_layer('backbone'), backbones.name_of(config.model), found)
