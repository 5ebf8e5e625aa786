"""`sightline model plan`: the images that it counts, and what it prints and returns."""

import numpy as np
import pytest
from PIL import Image

from models.training import planner, precision
from pipeline import plan_command
from schemas.errors import DataError
from schemas.loader import build_config


def write(folder, rows, header='filename,label'):
  folder.mkdir(parents=True, exist_ok=True)
  (folder / 'labels.csv').write_text('\n'.join([header, *rows]) + '\n')


def config(root, **train):
  return build_config({'name': 'x', 'data': {'root': str(root)}, 'train': train}, 'test')


def test_rows_without_a_split_are_counted_by_the_shares(tmp_path):
  write(tmp_path, [f'{n}.png,{"a" if n < 30 else "b"}' for n in range(40)])
  counts = plan_command.count_rows(config(tmp_path))
  assert counts == {
    'train': {'a': pytest.approx(24), 'b': pytest.approx(8)},
    'val': {'a': pytest.approx(3), 'b': pytest.approx(1)},
  }


def test_given_splits_are_counted_as_they_stand(tmp_path):
  rows = ['1.png,a,train', '2.png,b,train', '3.png,a,train', '4.png,a,val', '5.png,b,test']
  write(tmp_path, rows, 'filename,label,split')
  assert plan_command.count_rows(config(tmp_path)) == {
    'train': {'a': 2.0, 'b': 1.0},
    'val': {'a': 1.0},
  }


def test_one_class_cannot_be_planned_for(tmp_path):
  write(tmp_path, ['1.png,a', '2.png,a'])
  with pytest.raises(DataError, match='two classes or more in train'):
    plan_command.count_rows(config(tmp_path))


def test_a_sample_is_spread_over_the_manifest_and_passes_over_what_is_not_there(tmp_path):
  write(tmp_path, [f'{n}.png,{"ab"[n % 2]}' for n in range(40)])
  for n in range(40):
    if n != 20:
      (tmp_path / f'{n}.png').write_text(str(n))
  assert plan_command.sample(config(tmp_path, batch_size=4)) == [b'0', b'10', b'30']


@pytest.mark.parametrize(
  'sampling, expected', [('none', 33), ('oversample', 48), ('undersample', 18)]
)
def test_sampling_changes_the_images_of_an_epoch(tmp_path, sampling, expected):
  given = config(tmp_path, sampling=sampling)
  assert plan_command.images_an_epoch(given, {'a': 24.0, 'b': 9.0}) == expected


@pytest.mark.parametrize('minutes, code', [(1000, 0), (0.01, plan_command.DOES_NOT_FIT)])
def test_it_prints_the_plan_and_says_by_its_code_whether_it_fits(
  tmp_path, capfd, monkeypatch, minutes, code
):
  pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
  for n in range(20):
    path = tmp_path / 'data' / ('ab'[n % 2]) / f'{n}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
  path = tmp_path / 'x.yaml'
  path.write_text(
    'name: x\ndata: {root: data}\nimage: {height: 32, width: 32}\n'
    'model: {backbone: efficientnet_tiny, weights: none}\n'
    'train: {batch_size: 4, epochs: 3}\n'
  )
  # A planner with a step of known cost in place of the real one.
  real = planner.plan
  monkeypatch.setattr(
    planner,
    'plan',
    lambda *args, input_seconds: real(
      *args, lambda *_: 2.0, 0.5 if input_seconds > 0 else 0.0, lambda: 0.0
    ),
  )
  assert plan_command.run(path, [f'train.budget_minutes={minutes}']) == code
  out = capfd.readouterr().out
  assert '16 images an epoch, 2 of val, 2 classes' in out
  assert 'training from scratch' in out
  # 3 epochs of 4 steps of 2.5 s and one of validation, a third of 2 s and 0.5 s.
  assert 'stage scratch: 3 epochs, 12 steps, 34 s' in out
  assert 'the training takes about 82 s at most' in out
  assert precision.FLOAT32 in out
