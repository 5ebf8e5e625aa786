"""The first experiment on a data folder: what is seen, what is chosen, what is written."""

import csv
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import yaml
from google.protobuf import text_format
from PIL import Image
from tensorflow_metadata.proto.v0 import schema_pb2

from pipeline import draft, runner, sizing, survey
from schemas import loader
from schemas.errors import ConfigError, DataError


def write_image(path, width, height, seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
  Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
  """24 images, 100 x 70 pixels: 12 plum, 8 lime, 4 pear; shop has 3 values, note 24."""
  root = tmp_path / 'My Photos'
  labels = ['plum'] * 12 + ['lime'] * 8 + ['pear'] * 4
  rows = []
  for number, label in enumerate(labels):
    write_image(root / 'images' / f'{number}.png', 100, 70, number)
    rows.append([f'{number}.png', label, f'shop {number % 3}', f'note {number}', 'same'])
  with open(root / 'labels.csv', 'w', newline='', encoding='utf-8') as stream:
    csv.writer(stream).writerows([['filename', 'label', 'shop', 'note', 'constant'], *rows])
  return root


def test_survey_counts_what_the_files_hold(photos):
  seen = survey.survey(photos)
  assert seen.images == 24
  assert list(seen.classes.items()) == [('plum', 12), ('lime', 8), ('pear', 4)]
  assert seen.largest_share == 0.5
  assert seen.shorter_side == 70
  assert seen.manifest == 'labels.csv'
  assert seen.splits == {}


def test_slice_columns_have_2_to_50_values_that_repeat(photos):
  assert survey.survey(photos).slice_columns == ('shop',)


def test_a_folder_for_each_class_needs_no_csv(tmp_path):
  for number in range(6):
    write_image(tmp_path / ('cat' if number % 2 else 'dog') / f'{number}.jpg', 40, 50, number)
  seen = survey.survey(tmp_path)
  assert seen.manifest is None
  assert seen.classes == {'cat': 3, 'dog': 3}
  assert seen.shorter_side == 40


def test_a_given_split_is_counted_and_said(photos):
  path = photos / 'labels.csv'
  rows = list(csv.reader(path.open()))
  for number, row in enumerate(rows):
    row.append('split' if number == 0 else 'test' if number < 5 else 'train')
  with open(path, 'w', newline='', encoding='utf-8') as stream:
    csv.writer(stream).writerows(rows)
  seen = survey.survey(photos)
  assert seen.splits == {'train': 20, 'test': 4}
  assert 'train 20, test 4' in draft.draft('x', seen, photos).reasons['data.split.train']


def test_unreadable_files_do_not_stop_the_survey(photos):
  (photos / 'images/0.png').write_bytes(b'')
  (photos / 'images/1.png').write_text('text')
  (photos / 'images/2.png').unlink()
  assert survey.survey(photos).sampled == 21


def test_one_class_only_is_refused(tmp_path):
  write_image(tmp_path / 'cat' / '1.png', 20, 20)
  with pytest.raises(DataError, match='two classes'):
    survey.survey(tmp_path)


def test_names_that_fit_no_file_are_refused(photos):
  for path in (photos / 'images').iterdir():
    path.unlink()
  with pytest.raises(DataError, match='can be read'):
    survey.survey(photos)


@pytest.mark.parametrize(
  ('images', 'shorter_side', 'side', 'backbone', 'batch_size'),
  [
    (1437, 8, 32, 'efficientnet_small', 32),
    (200, 70, 64, 'efficientnet_small', 16),
    (400, 4000, 128, 'efficientnet_b0', 32),
    (40, 300, 224, 'efficientnet_b0', 8),
  ],
)
def test_sizes_follow_the_images(images, shorter_side, side, backbone, batch_size):
  chosen = sizing.choose(images, shorter_side)
  assert (chosen.side, chosen.backbone, chosen.batch_size) == (side, backbone, batch_size)


def test_the_budget_binds_wherever_something_fits_it():
  for images in (50, 500, 2_000, 8_000):
    assert sizing.choose(images, 500, budget=10).minutes <= 12.5
  assert sizing.choose(1_000_000, 500).side == 32


def test_minutes_are_steps_times_the_measured_step():
  # 1,437 images in batches of 32 are 45 steps; at 32 pixels a B0 takes 0.19 s,
  # the smaller one 0.3 of it; 16 epochs reach 700 steps.
  chosen = sizing.choose(1437, 32)
  assert chosen.epochs == 16
  assert chosen.minutes == pytest.approx(45 * 16 * 0.3 * 0.1935 / 60 + 2.5, abs=0.01)


def test_the_written_experiment_loads_and_says_what_was_seen(photos, tmp_path):
  made = draft.write_experiment('fruit', photos, tmp_path / 'work')
  config = loader.load_config(made.config_path)
  assert config.name == 'fruit'
  assert config.data.root == photos
  assert config.data.slice_columns == ('shop',)
  assert (config.image.height, config.image.width) == (64, 64)
  assert config.run.root == tmp_path / 'work/runs/fruit'
  assert not config.augment.horizontal_flip
  assert not config.run.draft
  # Half way between the largest class, 12 of 24, and no error.
  assert config.evaluate.min_accuracy == 0.75
  text = made.config_path.read_text()
  assert '24 images of 3 classes' in text
  assert 'sightline run fruit/fruit.yaml' in text
  assert max(map(len, text.splitlines())) <= 100


def test_every_field_is_in_the_file_with_its_description(photos, tmp_path):
  text = draft.write_experiment('fruit', photos, tmp_path).config_path.read_text()
  words = ' '.join(line.strip().removeprefix('# ') for line in text.splitlines())

  def fields(node):
    for name, field in node.model_fields.items():
      yield field.alias or name, field.description
      if isinstance(field.annotation, type) and hasattr(field.annotation, 'model_fields'):
        yield from fields(field.annotation)

  for key, description in fields(loader.Config):
    assert f'{key}:' in text
    assert not description or description in words


def test_commented_fields_are_yaml_when_the_sign_is_taken_away(photos, tmp_path):
  text = draft.write_experiment('fruit', photos, tmp_path).config_path.read_text()
  text = text.replace('# publish:', 'publish:').replace('  # model_name:', '  model_name: plums')
  assert yaml.safe_load(text)['publish'] == {'model_name': 'plums'}


def test_the_runner_files_name_their_yaml_and_are_python(photos, tmp_path):
  made = draft.write_experiment('fruit', photos, tmp_path)
  for name in draft.RUNNERS:
    text = (made.folder / name).read_text()
    compile(text, name, 'exec')
    assert "'fruit.yaml'" in text
    assert '$' not in text.replace('$PATH', '')


def test_an_existing_folder_is_never_overwritten(photos, tmp_path):
  folder = tmp_path / 'fruit'
  folder.mkdir()
  (folder / 'fruit.yaml').write_text('mine')
  with pytest.raises(ConfigError, match='still free'):
    draft.write_experiment('fruit', photos, tmp_path)
  assert [path.name for path in folder.iterdir()] == ['fruit.yaml']
  assert (folder / 'fruit.yaml').read_text() == 'mine'


@pytest.mark.parametrize('name', ['../up', 'a b', '', '.hidden', 'a/b'])
def test_a_name_is_one_word(photos, tmp_path, name):
  with pytest.raises(ConfigError, match='name'):
    draft.write_experiment(name, photos, tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_bad_data_leaves_nothing_behind(tmp_path):
  with pytest.raises(DataError):
    draft.write_experiment('fruit', tmp_path / 'nowhere', tmp_path / 'work')
  assert not (tmp_path / 'work').exists()


def test_a_data_folder_that_cannot_be_written_gets_its_lock_in_the_run(photos, monkeypatch):
  monkeypatch.setattr(survey.os, 'access', lambda path, mode: False)
  made = draft.draft('fruit', survey.survey(photos), photos.parent / 'runs/fruit')
  assert made.tree['data']['lock'] == str(photos.parent / 'runs/fruit/splits.lock.csv')


def test_a_run_without_a_config_is_a_draft_below_the_working_directory(
  photos, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  config = draft.draft_config(photos)
  assert config.run.draft
  assert config.name == 'my-photos'
  assert config.run.root == tmp_path / 'runs/my-photos'
  assert config.publish.directory.is_relative_to(config.run.root)


@pytest.mark.parametrize(
  ('folder', 'name'),
  [
    ('Fruit_2024 (new)', 'fruit-2024-new'),
    ('2024', 'images-2024'),
    ('ÄÖ', 'images'),
  ],
)
def test_names_made_from_folders_fit_every_engine(tmp_path, folder, name):
  assert draft.name_of(tmp_path / folder) == name


def test_bundled_runner_files_are_those_that_init_writes():
  root = pathlib.Path(__file__).parents[3]
  for name in draft.RUNNERS:
    text = draft.runner_text(name, 'digits', '../../pipeline/configs/digits.yaml', 'deploy/tfx')
    assert (root / 'deploy/tfx' / name).read_text() == text


def test_the_schema_has_the_labels_the_columns_and_the_keys_of_the_curated_one(photos, tmp_path):
  made = draft.write_experiment('fruit', photos, tmp_path)
  config = loader.load_config(made.config_path)
  assert config.data.schema_path == made.folder / 'schema.pbtxt'
  schema, digits = (
    text_format.Parse(path.read_text(), schema_pb2.Schema())
    for path in (
      config.data.schema_path,
      pathlib.Path(__file__).parents[3] / 'schemas/digits/schema.pbtxt',
    )
  )
  found = {feature.name: feature for feature in schema.feature}
  assert list(found['label'].string_domain.value) == ['lime', 'pear', 'plum']
  columns = {'column/shop', 'column/note', 'column/constant'}
  known = {feature.name: feature.type for feature in digits.feature}
  assert {name: feature.type for name, feature in found.items() if name not in columns} == known
  assert columns <= set(found)


def test_overrides_apply_to_a_draft(photos, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  config = draft.draft_config(photos, ['train.epochs=2', 'run.root=elsewhere'])
  assert config.train.epochs == 2
  assert config.run.root == tmp_path / 'elsewhere'
  with pytest.raises(ConfigError, match='train.epohcs'):
    draft.draft_config(photos, ['train.epohcs=2'])


def test_init_says_what_it_chose_and_the_next_command(photos, tmp_path):
  made = draft.write_experiment('fruit', photos, tmp_path)
  text = '\n'.join(draft.describe(made))
  for words in (
    '24 images of 3 classes',
    'image.height = 64',
    'data.slice_columns = shop',
    'evaluate.min_accuracy = 0.75',
    str(made.folder / 'kubeflow_runner.py'),
    f'sightline run {made.config_path}',
  ):
    assert words in text


def test_a_draft_keeps_off_the_runs_of_another_folder_of_its_name(photos, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  other = tmp_path / 'new' / photos.name
  shutil.copytree(photos, other)
  with runner.open_run(draft.draft_config(photos)):
    pass
  draft.draft_config(photos)
  with pytest.raises(ConfigError) as error:
    draft.draft_config(other)
  for words in (str(photos), str(other), 'runs/my-photos', '--set run.root=FOLDER'):
    assert words in str(error.value)
  config = draft.draft_config(other, ['run.root=runs/new'])
  assert config.run.root == tmp_path / 'runs/new'


def test_the_runs_of_an_experiment_keep_a_draft_off_too(photos, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  experiment = {'name': 'my-photos', 'data': {'root': str(tmp_path / 'elsewhere')}}
  with runner.open_run(loader.build_config(experiment, 'test')):
    pass
  with pytest.raises(ConfigError, match='which holds runs on .*elsewhere'):
    draft.draft_config(photos)


def test_the_command_writes_an_experiment_where_it_is_told_to(photos, tmp_path):
  arguments = ['init', 'fruit', '--data-root', str(photos), '--directory', str(tmp_path / 'work')]
  done = subprocess.run(
    [sys.executable, '-m', 'pipeline', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  assert (tmp_path / 'work/fruit/fruit.yaml').is_file()
