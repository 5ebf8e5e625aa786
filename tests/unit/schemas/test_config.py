"""Sections of the config: values that no single field can refuse."""

import pydantic
import pytest

from schemas import loader
from schemas.config import AugmentConfig, Config, RunConfig, TrainConfig
from schemas.errors import ConfigError


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


@pytest.mark.parametrize('strategy', ['mirrored', 'multi_worker'])
@pytest.mark.parametrize(
  ('other', 'said'),
  [({'feature_copies': 2}, 'feature_copies: 0'), ({'precision': 'mixed_float16'}, 'bfloat16')],
)
def test_what_several_replicas_cannot_do_is_an_error(strategy, other, said):
  with pytest.raises(pydantic.ValidationError, match=f'strategy {strategy} expects .*{said}'):
    TrainConfig(strategy=strategy, **other)
  TrainConfig(**other)


@pytest.mark.parametrize('url', ['postgresql://me:secret@host/db', 'postgresql://me:@host/db'])
def test_a_password_in_the_address_of_the_metadata_is_refused(url):
  with pytest.raises(ConfigError) as caught:
    loader.build_config({'name': 'x', 'run': {'metadata': url}}, 'x.yaml')
  text = str(caught.value)
  assert 'run.metadata' in text and 'PGPASSWORD' in text
  assert 'secret' not in text


@pytest.mark.parametrize(
  ('url', 'said'),
  [
    ('mysql://me@host/db', 'expected postgresql://USER@HOST:PORT/DATABASE'),
    ('postgresql://host/db', 'user, host and database'),
    ('postgresql://me@host', 'user, host and database'),
    ('postgresql://me@host:many/db', 'Port'),
    ('postgresql://me@host/db?sslmode=never', 'sslmode to be one of disable'),
    ('postgresql://me@host/db?password=x', 'no options but sslmode and sslrootcert'),
  ],
)
def test_an_address_that_is_none_is_refused(url, said):
  with pytest.raises(ConfigError, match=said):
    loader.build_config({'name': 'x', 'run': {'metadata': url}}, 'x.yaml')


def test_kubeflow_keeps_the_metadata_itself():
  with pytest.raises(pydantic.ValidationError, match='Kubeflow keeps the metadata itself'):
    RunConfig(engine='vertex', metadata='postgresql://me@host/db')


@pytest.mark.parametrize('flip', ['horizontal_flip', 'vertical_flip'])
def test_classes_that_have_a_direction_refuse_flips(flip):
  tree = {'name': 'digits', 'augment': {flip: True}, 'data': {'directional': True}}
  with pytest.raises(pydantic.ValidationError, match=f'augment.{flip} is true, and data.direct'):
    Config.model_validate(tree)
  Config.model_validate(tree | {'data': {'directional': False}})
