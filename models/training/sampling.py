"""How often an image counts, and how often it appears, where classes differ in size."""

from typing import Literal

import numpy as np

from schemas.errors import TrainingError


def class_counts(label_ids: np.ndarray, classes: int) -> np.ndarray:
  """Returns the images of each class.

  Args:
    label_ids: int64 [n], each in [0, classes).
    classes: K.

  Returns:
    int64 [K].

  Raises:
    TrainingError: for an id outside that range.
  """
  ids = np.asarray(label_ids, np.int64)
  if ids.size and (ids.min() < 0 or ids.max() >= classes):
    raise TrainingError(
      f'label ids of train: expected 0 to {classes - 1}, for {classes} labels. '
      f'Received: {ids.min()} to {ids.max()}. Run Transform again on this data.'
    )
  return np.bincount(ids, minlength=classes).astype(np.int64)


def class_weights(counts: np.ndarray) -> np.ndarray:
  """Returns N / (K n_k) for each class k, so that the mean over the images is 1.

  Args:
    counts: int64 [K], the images of each class in train, each at least 1.

  Returns:
    float32 [K].

  Raises:
    TrainingError: for a class without an image.
  """
  counts = np.asarray(counts, np.int64)
  _expect_images(counts, 'train.class_weights')
  return (counts.sum() / (len(counts) * counts)).astype(np.float32)


def repeats(
  label_ids: np.ndarray,
  classes: int,
  mode: Literal['none', 'oversample', 'undersample'],
  seed: int,
  epoch: int,
) -> np.ndarray:
  """Returns how often each record appears in an epoch.

  `oversample` repeats every class up to the size m of the largest: of its n images
  each appears floor(m / n) times, and m mod n of them, drawn at random, once more.
  `undersample` takes as many images of every class as the smallest has. The draws
  depend on the seed and the epoch alone, so a resumed training repeats them.

  Args:
    label_ids: int64 [n], of the records in their order.
    classes: K.
    mode: train.sampling.
    seed: of the training.
    epoch: from 0 on; another epoch draws other images.

  Returns:
    int64 [n]; with a mode other than none, its sums by class are all equal.

  Raises:
    TrainingError: for a label id out of range, or a class without an image.
  """
  ids = np.asarray(label_ids, np.int64)
  counts = class_counts(ids, classes)
  if mode == 'none':
    return np.ones(len(ids), np.int64)
  _expect_images(counts, f'train.sampling: {mode}')
  target = int(counts.max() if mode == 'oversample' else counts.min())
  times: np.ndarray = np.zeros(len(ids), np.int64)
  for label in range(classes):
    positions = np.flatnonzero(ids == label)
    whole, rest = divmod(target, len(positions))
    times[positions] = whole
    # Seed sequences take no negative number.
    draw = np.random.default_rng([seed % 2**64, epoch, label])
    times[draw.choice(positions, rest, replace=False)] += 1
  return times


def _expect_images(counts: np.ndarray, field: str) -> None:
  empty = np.flatnonzero(counts == 0)
  if empty.size:
    raise TrainingError(
      f'{field}: expected at least one image of every class in train. Received: none of class '
      f'index {", ".join(str(index) for index in empty)}. Next: add images, or take the label out.'
    )
