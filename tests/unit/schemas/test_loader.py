"""Reading a config: every mistake is named with its place, and paths go where they should."""

import os
import pathlib

import pytest

from schemas.errors import ConfigError
from schemas.loader import build_config, known_keys, load_config


def write(folder: pathlib.Path, text: str) -> pathlib.Path:
  path = folder / 'x.yaml'
  path.write_text(text, encoding='utf-8')
  return path


def test_paths_in_the_file_are_relative_to_it_and_defaults_to_the_working_directory(tmp_path):
  folder = tmp_path / 'deep'
  folder.mkdir()
  config = load_config(
    write(folder, 'name: x\ndata: {root: photos, schema: s.pbtxt}\n'), (), tmp_path
  )
  assert config.data.root == folder / 'photos'
  assert config.data.schema_path == folder / 's.pbtxt'
  assert config.run.root == tmp_path / 'runs/x'
  assert config.publish.directory == tmp_path / 'runs/x/serving'
  assert config.serve.request_log.directory == tmp_path / 'runs/x/requests'


def test_a_path_of_a_deeper_section_is_relative_to_the_file_as_well(tmp_path):
  path = write(tmp_path, 'name: x\nserve: {request_log: {directory: log}}\n')
  assert load_config(path).serve.request_log.directory == tmp_path / 'log'
  path = write(tmp_path, 'name: x\nserve: {request_log: {directory: "gs://log"}}\n')
  with pytest.raises(ConfigError, match=r'serve\.request_log\.directory: expected a local'):
    load_config(path)


def test_overrides_win_and_their_paths_are_relative_to_the_working_directory(tmp_path):
  path = write(tmp_path, 'name: x\ntrain: {epochs: 3}\n')
  config = load_config(path, ['train.epochs=7', 'data.root=here'], tmp_path / 'work')
  assert config.train.epochs == 7
  assert config.data.root == tmp_path / 'work/here'


@pytest.mark.parametrize(
  'text, expected',
  [
    ('name: x\nmodel: {bakbone: b}', 'unknown key model.bakbone. Known: backbone'),
    (
      'name: x\nserve: {request_log: {file_mb: 9, total_mb: 17}}',
      'room for two files of file_mb, 18',
    ),
    ('name: x\nserve: {request_log: {rat: 1}}', 'Did you mean rate?'),
    ('name: x\nmodel: {bakbone: b}', 'Did you mean backbone?'),
    ('name: x\ntrain: {batch_size: 0}', 'train.batch_size should be greater than or equal to 1'),
    ('name: x\ntrain: {batch_size: many}', "Received: 'many'"),
    ('name: x\ndata: {split: {train: 0.9}}', 'train + val + test must be 1, and is 1.1'),
    ('name: "../x"', 'name'),
    ('image: {height: 32}', 'name is missing'),
    ('- a\n- b', 'expected keys and values at the top'),
    ('name: [', 'expected YAML'),
    ('name: x\nrun: {root: "s3://bucket/x"}', 'TensorFlow has no file system'),
    (
      'name: x\nrun: {root: "runs [old]/x"}',
      'run.root: expected a path without any of * ? [. Received',
    ),
    ('name: x\ndata: 3', 'data'),
  ],
)
def test_a_mistake_is_named_with_file_and_key(tmp_path, text, expected):
  path = write(tmp_path, text)
  with pytest.raises(ConfigError) as caught:
    load_config(path)
  assert expected in str(caught.value)


def test_a_missing_file_says_how_to_write_one(tmp_path):
  with pytest.raises(ConfigError, match='sightline init'):
    load_config(tmp_path / 'none.yaml')


@pytest.mark.parametrize('override', ['train.epochs', '=3', 'name.x=3'])
def test_an_override_that_is_none_is_an_error(tmp_path, override):
  with pytest.raises(ConfigError, match='--set'):
    load_config(write(tmp_path, 'name: x\n'), [override])


def test_the_config_is_frozen_and_survives_json():
  config = build_config(
    {'name': 'x', 'evaluate': {'slice_floors': [{'slice': 'label', 'min_accuracy': 0.5}]}}, 'test'
  )
  with pytest.raises(Exception, match='frozen'):
    config.name = 'y'
  assert type(config).model_validate_json(config.model_dump_json(by_alias=True)) == config


def test_known_keys_are_found_inside_lists():
  assert known_keys(['evaluate', 'slice_floors', 0]) == ['slice', 'min_accuracy']


@pytest.mark.parametrize(
  'weights', ['old.weights.h5', './old.weights.h5', 'models/old.h5', '../x/old.h5']
)
def test_a_weights_file_is_relative_to_what_names_it(tmp_path, weights):
  folder = tmp_path / 'deep'
  folder.mkdir()
  path = write(folder, f'name: x\nmodel: {{weights: {weights}}}\n')
  (tmp_path / 'work').mkdir()
  named = load_config(path, (), tmp_path / 'work').model.weights
  assert named == os.path.normpath(folder / weights)
  overridden = load_config(path, [f'model.weights={weights}'], tmp_path / 'work').model.weights
  assert overridden == os.path.normpath(tmp_path / 'work' / weights)


@pytest.mark.parametrize('weights', ['auto', 'imagenet', 'none', '20260102-030405'])
def test_weights_that_are_no_path_stay_as_they_are(tmp_path, weights):
  (tmp_path / weights).write_text('a file of that name')
  path = write(tmp_path, f'name: x\nmodel: {{weights: {weights}}}\n')
  assert load_config(path, (), tmp_path).model.weights == weights


def test_an_absolute_weights_path_and_one_from_home(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  for given, expected in (
    ('/a/b.weights.h5', '/a/b.weights.h5'),
    ('~/b.weights.h5', f'{tmp_path}/home/b.weights.h5'),
  ):
    config = load_config(write(tmp_path, f'name: x\nmodel: {{weights: {given}}}\n'))
    assert config.model.weights == expected
