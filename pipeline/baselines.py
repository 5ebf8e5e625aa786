"""What a network has to beat: a small one, and frozen features under a new last layer."""

import dataclasses

from schemas import loader
from schemas.config import Config

CONFIGURED = 'as configured'
SMALL = 'small network'
FROZEN = 'frozen backbone'

_SMALLEST = 'efficientnet_tiny'


@dataclasses.dataclass(frozen=True)
class Baseline:
  """One way to train on the same data.

  Attributes:
    name: of the row.
    config: of its run.
    goal: what the run is for, in a sentence.
  """

  name: str
  config: Config
  goal: str


def of(config: Config) -> tuple[list[Baseline], list[str]]:
  """Returns the rows to train, and sentences about those that there cannot be.

  The small network is the smallest EfficientNet, from random weights, in one stage. The
  frozen backbone has the weights that the config names, and only its last layer learns,
  for train.frozen_epochs.

  Args:
    config: of the experiment; comes first as it is.
  """
  rows = [Baseline(CONFIGURED, config, 'the network that its baselines are compared with')]
  missing = []
  small = {
    'model.backbone': _SMALLEST,
    'model.build_fn': None,
    'model.weights': 'none',
    'model.hidden_units': 0,
    'train.stages': None,
  }
  rows.append(
    Baseline(SMALL, loader.with_values(config, small, SMALL), 'baseline: a small network')
  )
  if config.model.weights == 'none':
    missing.append(f'{FROZEN}: model.weights is none, and random features are no baseline.')
  else:
    head = {
      'name': 'head',
      'epochs': config.train.frozen_epochs,
      'learning_rate': config.train.learning_rate,
      'trainable': 'head',
      'batch_norm': 'inference',
    }
    frozen = loader.with_values(config, {'train.stages': [head]}, FROZEN)
    rows.append(Baseline(FROZEN, frozen, 'baseline: pretrained and frozen'))
  return rows, missing
