"""The space of a search: wrong before anything is run."""

import pytest

from pipeline import search_space
from schemas.config import Config
from schemas.errors import ConfigError


def config(space) -> Config:
  return Config.model_validate({'name': 'colours', 'tuner': {'trials': 2, 'space': space}})


def test_the_default_space_can_be_searched():
  search_space.check(Config.model_validate({'name': 'colours', 'tuner': {'trials': 2}}))


@pytest.mark.parametrize(
  ('space', 'text'),
  [
    ({'train.learning_rate': [0.1, -1]}, 'train.learning_rate.*greater than 0.*-1'),
    ({'train.learning_rat': [0.1]}, 'unknown key train.learning_rat.*Did you mean learning_rate'),
    ({'evaluate.min_accuracy': [0.1]}, 'fields of augment, model, train'),
    ({'model.dropout': []}, 'at least one value'),
    ({'model.weights': ['none']}, 'model.weights; the weights are looked for once'),
    ({'train.stages': [[{}]]}, 'train.stages: expected numbers, words'),
  ],
)
def test_a_field_or_value_that_no_trial_could_use_is_an_error(space, text):
  with pytest.raises(ConfigError, match=text):
    search_space.check(config(space))


@pytest.mark.parametrize(
  ('train', 'key', 'why'),
  [
    ({'find_rate': 'use'}, 'train.learning_rate', 'train.find_rate is use'),
    (
      {'stages': [{'name': 'all', 'epochs': 2, 'learning_rate': 1e-3}]},
      'train.epochs',
      'train.stages is written out',
    ),
  ],
)
def test_a_field_that_another_one_replaces_is_not_searched(train, key, why):
  def tree(**given):
    space = {key: [1, 2], 'model.dropout': [0.1]}
    return Config.model_validate({'name': 'x', 'tuner': {'trials': 2, 'space': space}, **given})

  search_space.check(tree())
  with pytest.raises(ConfigError, match=f'{key}; {why}'):
    search_space.check(tree(train=train))
