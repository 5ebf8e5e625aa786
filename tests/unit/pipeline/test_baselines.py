"""Which baselines an experiment has."""

from pipeline import baselines
from schemas.config import Config


def config(**model) -> Config:
  return Config.model_validate(
    {'name': 'x', 'model': model, 'train': {'frozen_epochs': 4, 'learning_rate': 3e-3, 'seed': 7}}
  )


def test_a_small_network_learns_from_random_weights_on_the_same_images():
  rows, missing = baselines.of(config(weights='auto', hidden_units=32))
  assert [row.name for row in rows] == ['as configured', 'small network', 'frozen backbone']
  assert missing == []
  whole, small, _ = (row.config for row in rows)
  assert (small.model.backbone, small.model.weights) == ('efficientnet_tiny', 'none')
  assert small.train.stages is None
  assert (small.image, small.data, small.train.seed) == (whole.image, whole.data, 7)


def test_the_frozen_backbone_is_the_one_of_the_config_and_only_its_head_learns():
  rows, _ = baselines.of(config(weights='auto'))
  frozen = rows[2].config
  assert frozen.model == config(weights='auto').model
  (stage,) = frozen.train.stages
  assert (stage.trainable, stage.epochs, stage.learning_rate) == ('head', 4, 3e-3)


def test_without_weights_there_is_nothing_to_freeze():
  rows, missing = baselines.of(config(weights='none'))
  assert [row.name for row in rows] == ['as configured', 'small network']
  (reason,) = missing
  assert 'model.weights is none' in reason
