"""What fits this data and a CPU: image size, backbone, batch size, epochs, minutes."""

import dataclasses
import math

SIDES = (32, 64, 96, 128, 224)
BUDGET_MINUTES = 15.0

# Seconds of one training step on two CPU cores at batch 32, float32, linear in
# the number of pixels: EfficientNet B0 takes 0.2 s at 32, 0.5 s at 96 and 2.28 s
# at 224 pixels.
_STEP_SECONDS = 0.15
_PIXEL_SECONDS = 42.5e-6
# (backbone, from this side on, its time over B0's), the preferred one first: B0
# has ImageNet weights. Small images hold too little for it: there it is no
# better and three times slower.
_BACKBONES = (('efficientnet_b0', 96, 1.0), ('efficientnet_small', 32, 0.3))
# Below about this many steps from random weights accuracy is left on the table
# (digits at 32 pixels: 450 steps for 98 %).
_STEPS = 700
_EPOCHS = (15, 60)
# Everything but the training: imports, ingest, export, evaluation, validation.
_OTHER_MINUTES = 2.5


@dataclasses.dataclass(frozen=True)
class Sizing:
  """A choice that trains in minutes.

  Attributes:
    side: of the square input, pixels.
    backbone: a row of models/backbone_table.py.
    batch_size: images a step.
    epochs: at most.
    minutes: of the whole run on two cores, if no epoch is saved by early stopping.
  """

  side: int
  backbone: str
  batch_size: int
  epochs: int
  minutes: float


def choose(train_images: int, shorter_side: int, budget: float = BUDGET_MINUTES) -> Sizing:
  """Chooses the best backbone, then its largest input, that fit the images and the budget.

  Args:
    train_images: number of images in train, at least 1.
    shorter_side: median shorter side of the images, pixels.
    budget: minutes for the training; where nothing fits, the cheapest is taken.
  """
  candidates = [
    _sizing(train_images, side, backbone, factor)
    for backbone, smallest, factor in _BACKBONES
    for side in sorted(SIDES, reverse=True)
    if smallest <= side <= max(shorter_side, SIDES[0])
  ]
  return next((one for one in candidates if one.minutes <= budget + _OTHER_MINUTES), candidates[-1])


def _sizing(train_images: int, side: int, backbone: str, factor: float) -> Sizing:
  batch_size = next((size for size, images in ((32, 256), (16, 64)) if train_images >= images), 8)
  steps = math.ceil(train_images / batch_size)
  epochs = min(max(math.ceil(_STEPS / steps), _EPOCHS[0]), _EPOCHS[1])
  step = factor * (_STEP_SECONDS + _PIXEL_SECONDS * side * side * batch_size / 32)
  return Sizing(side, backbone, batch_size, epochs, steps * epochs * step / 60 + _OTHER_MINUTES)
