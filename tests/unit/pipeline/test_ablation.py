"""Ablation: what is left out, and how sure the difference is."""

import csv
import json
import math

import pytest
from rich.console import Console
from scipy import stats

from pipeline import ablate_command, ablation
from schemas.config import Config
from schemas.errors import ConfigError


def config(**sections) -> Config:
  return Config.model_validate({'name': 'colours', **sections})


def test_each_component_is_off_in_its_variant_and_nothing_else_changes():
  full = config(augment={'mixup': 0.2})
  made = ablation.variants(full, ['augmentation', 'label_smoothing'])
  assert [one.name for one in made] == [ablation.FULL, 'augmentation', 'label_smoothing']
  _, still, hard = (one.config for one in made)
  assert (still.augment.shift, still.augment.rotation, still.augment.mixup) == (0, 0, 0)
  assert still.train == full.train
  assert hard.train.label_smoothing == 0
  assert hard.train.model_copy(update={'label_smoothing': 0.1}) == full.train
  assert hard.augment == full.augment


@pytest.mark.parametrize('name', ablation.COMPONENTS)
def test_every_component_of_the_table_is_made_of_fields_that_can_be_set(name):
  # Whatever is on by default is off afterwards, and everything else is still valid.
  on = config(
    augment={
      'horizontal_flip': True,
      'brightness': 0.1,
      'crop_area': 0.5,
      'rand_augment': 2,
      'mixup': 0.2,
      'cutmix': 1.0,
    },
    model={'drop_connect': 0.1, 'hidden_units': 8},
    train={
      'ema': 0.9,
      'class_weights': True,
      'sampling': 'oversample',
      'loss': 'focal',
    },
  )
  _, without = ablation.variants(on, [name])
  for key, value in ablation.COMPONENTS[name].items():
    section, field = key.split('.')
    assert getattr(getattr(without.config, section), field) == value


@pytest.mark.parametrize(
  ('off', 'text'),
  [
    (['mixup'], 'mixup, which is off already'),
    (['warmup', 'warmup'], 'warmup, which is named twice'),
    (['labelsmoothing'], 'Did you mean label_smoothing'),
  ],
)
def test_a_component_that_says_nothing_is_an_error(off, text):
  with pytest.raises(ConfigError, match=text):
    ablation.variants(config(), off)


def test_every_variant_is_trained_with_every_seed():
  made = ablation.variants(config(), ['warmup'])
  seen = []

  def train(settings, name):
    seen.append((settings.train.warmup_fraction, settings.train.seed, name))
    return settings.train.seed / 10

  found = ablation.measure(made, [4, 5], train)
  assert seen == [
    (0.1, 4, 'as configured, seed 4'),
    (0.0, 4, 'without warmup, seed 4'),
    (0.1, 5, 'as configured, seed 5'),
    (0.0, 5, 'without warmup, seed 5'),
  ]
  assert found == {'as configured': [0.4, 0.5], 'warmup': [0.4, 0.5]}


def test_the_difference_is_paired_by_seed_and_its_interval_is_students():
  # Seeds differ by much, the component by little: only pairs show it.
  full = [0.70, 0.80, 0.90]
  rows = ablation.rows(
    {
      ablation.FULL: full,
      'warmup': [0.70, 0.80, 0.90],
      'dropout': [0.68, 0.79, 0.87],
    }
  )
  assert [row.name for row in rows] == [ablation.FULL, 'dropout', 'warmup']
  dropout = rows[1]
  assert dropout.difference == pytest.approx(-0.02)
  # Of -0.02, -0.01, -0.03: deviation 0.01, t with 2 degrees of freedom.
  reach = stats.t.ppf(0.975, 2) * 0.01 / math.sqrt(3)
  assert dropout.difference_interval == pytest.approx((-0.02 - reach, -0.02 + reach))
  assert rows[0].interval[1] - rows[0].interval[0] == pytest.approx(
    2 * stats.t.ppf(0.975, 2) * 0.1 / math.sqrt(3)
  )
  assert rows[2].difference == 0


def test_one_seed_has_no_interval():
  (row,) = ablation.rows({ablation.FULL: [0.5]})
  assert math.isnan(row.interval[0])


def test_the_table_fits_a_terminal_and_the_files_hold_the_figures(tmp_path):
  rows = ablation.rows({ablation.FULL: [0.7, 0.8], 'pretrained_weights': [0.6, 0.75]})
  console = Console(width=79, record=True, file=open('/dev/null', 'w'))
  console.print(ablate_command.render(rows, 2))
  text = console.export_text()
  assert '0.7500' in text and '-0.0750' in text and 'pretrained_weights' in text
  assert '…' not in text
  ablate_command._write(rows, tmp_path)
  (full, without) = json.loads((tmp_path / ablate_command.FILE).read_text())
  assert without['accuracies'] == [0.6, 0.75]
  table = list(csv.reader(open(tmp_path / ablate_command.TABLE_FILE)))
  assert table[1][0] == 'as configured' and float(table[2][4]) == pytest.approx(-0.075)
