"""Sections of the config: values that no single field can refuse."""

import pydantic
import pytest

from schemas.config import AugmentConfig, Config, TrainConfig


def test_reasons_are_given_for_fields_of_augment():
  reasons = {'shift': 'a crop of the same scene', 'fn': 'dust on the lens'}
  assert AugmentConfig(reasons=reasons).reasons == reasons


@pytest.mark.parametrize(
  ('key', 'hint'), [('rotaton', ' Did you mean rotation?'), ('reasons', ''), ('x', '')]
)
def test_a_reason_for_no_field_is_named(key, hint):
  with pytest.raises(pydantic.ValidationError) as caught:
    AugmentConfig(reasons={key: 'because'})
  text = str(caught.value)
  assert f'unknown key {key}.{hint} Known: brightness, contrast, crop_area' in text


def test_a_plateau_that_early_stopping_forestalls_is_an_error():
  with pytest.raises(
    pydantic.ValidationError, match='below early_stopping_patience, 3.*Received: 3'
  ):
    TrainConfig(schedule='plateau', decay_epochs=3, early_stopping_patience=3)
  TrainConfig(schedule='plateau', decay_epochs=3, early_stopping_patience=4)


@pytest.mark.parametrize('flip', ['horizontal_flip', 'vertical_flip'])
def test_classes_that_have_a_direction_refuse_flips(flip):
  tree = {'name': 'digits', 'augment': {flip: True}, 'data': {'directional': True}}
  with pytest.raises(pydantic.ValidationError, match=f'augment.{flip} is true, and data.direct'):
    Config.model_validate(tree)
  Config.model_validate(tree | {'data': {'directional': False}})
