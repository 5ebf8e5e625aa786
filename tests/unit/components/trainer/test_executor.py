"""Run parameters in the experiment that run_fn reads."""

import json

import pytest

from components.trainer import executor
from schemas.config import Config, TrainConfig
from schemas.errors import ConfigError

GIVEN = {
  'config': json.dumps({'name': 'x', 'train': {'epochs': 9, 'batch_size': 64}}),
  'weights': 'none',
}


def train(given):
  return Config.model_validate_json(given['config']).train


def test_what_was_given_replaces_the_field_and_nothing_else():
  changed = executor.with_run_parameters(GIVEN, {'epochs': 2, 'learning_rate': 0.5, 'run_fn': 'f'})
  assert train(changed) == TrainConfig(epochs=2, batch_size=64, learning_rate=0.5)
  assert changed['weights'] == 'none'
  assert train(GIVEN).epochs == 9


def test_without_any_the_config_stays_as_it_is():
  assert executor.with_run_parameters(GIVEN, {'run_fn': 'f', 'epochs': None}) == GIVEN


@pytest.mark.parametrize(
  ('name', 'value'), [('epochs', 0), ('batch_size', -1), ('learning_rate', 0.0)]
)
def test_an_impossible_value_is_refused_by_name(name, value):
  with pytest.raises(ConfigError, match=f'run parameters: train.{name} .* Received: {value}'):
    executor.with_run_parameters(GIVEN, {name: value})


def test_each_is_a_field_of_the_config():
  assert set(executor.RUN_PARAMETERS) <= set(TrainConfig.model_fields)
