"""What the summary says of a training, and where its pictures are."""

import datetime
import json
import pathlib
import types

import pytest

from pipeline import runner, summary, training_summary
from schemas.loader import build_config

FROZEN = {
  'name': 'frozen',
  'epochs_run': 5,
  'accuracy': 0.84,
  'val_accuracy': 0.81,
  'seconds': 12.4,
  'cached_features': {'copies': 4, 'seconds_to_compute': 3.21, 'speed_up': 5.26},
}
UNFROZEN = {
  'name': 'unfrozen',
  'epochs_run': 1,
  'accuracy': 0.95,
  'val_accuracy': 0.9312,
  'seconds': 61.0,
  'cached_features': None,
}


def test_each_stage_tells_how_far_it_came_and_what_kept_features_gained():
  assert training_summary.in_words({'stages': [FROZEN, UNFROZEN]}, {}) == [
    'stage      frozen: val accuracy 0.8100 after 5 epochs, 12 s',
    '           features of 4 copies of each image were computed once, in 3.2 s: 5.3 times as fast',
    'stage      unfrozen: val accuracy 0.9312 after 1 epoch, 61 s',
  ]


def test_features_of_the_images_themselves_have_no_copies():
  cached = {**FROZEN, 'cached_features': {'copies': 1, 'seconds_to_compute': 3, 'speed_up': 2}}
  assert 'features of each image were' in training_summary.in_words({'stages': [cached]}, {})[1]


def test_findings_and_pictures_have_a_line_each():
  model = {'diagnosis': [{'kind': 'plateau', 'text': 'Nothing changes.'}]}
  paths = {'curves_png': '/c.png', 'augmentation': '/a.png', 'tensorboard': '/t'}
  assert training_summary.in_words(model, paths) == [
    'diagnosis  Nothing changes.',
    'curves     /c.png',
    'augmented  /a.png',
    '           tensorboard --logdir /t',
  ]


@pytest.mark.parametrize('model', [None, {}, {'stages': None, 'diagnosis': None}])
def test_nothing_trained_is_nothing_said(model):
  assert training_summary.in_words(model, {'curves_png': None}) == []


def test_a_run_finds_the_diagnosis_and_the_pictures_of_its_trainer(tmp_path, monkeypatch):
  config = build_config({'name': 'x', 'run': {'root': str(tmp_path)}}, 'test')
  folder = tmp_path / 'model_run'
  (folder / 'tensorboard').mkdir(parents=True)
  found = [{'kind': 'fine', 'text': 'The curves look fine.'}]
  weights = {'reason': 'none'}
  precision = {'policy': 'float32', 'reason': 'a CPU'}
  record = {'stages': [UNFROZEN], 'diagnosis': found, 'parameters': 10}
  record |= {'weights': weights, 'precision': precision}
  (folder / 'training.json').write_text(json.dumps(record))
  for name in ('curves.csv', 'curves.png', 'augmentation.png'):
    (folder / name).write_bytes(b'x')
  artifacts = {
    ('Trainer', 'model_run'): types.SimpleNamespace(uri=str(folder)),
    ('Trainer', 'model'): types.SimpleNamespace(uri=str(tmp_path / 'model'), id=1),
  }
  monkeypatch.setattr(summary, '_artifacts', lambda config, run: artifacts)
  run = runner.Run('1', tmp_path, tmp_path / 'log', datetime.datetime(2026, 1, 1))
  collected = json.loads(json.dumps(summary.collect(config, run)))
  assert collected['model']['diagnosis'] == found
  for key, name in [
    ('curves_png', 'curves.png'),
    ('augmentation', 'augmentation.png'),
    ('tensorboard', 'tensorboard'),
  ]:
    assert pathlib.Path(collected['paths'][key]) == folder / name
  lines = summary.in_words(collected)
  (at,) = [number for number, line in enumerate(lines) if line.startswith('model ')]
  assert lines[at + 1 : at + 4] == [
    'stage      unfrozen: val accuracy 0.9312 after 1 epoch, 61 s',
    'diagnosis  The curves look fine.',
    f'curves     {folder / "curves.png"}',
  ]
