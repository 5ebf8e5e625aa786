"""The search: trials by the real training, the best values, and no way to test."""

import json
import types

import pytest

from models.training import run, tuning
from schemas.config import Config

SPACE = {'train.learning_rate': [1e-3, 4e-3], 'model.dropout': [0.1, 0.3]}


def config(trials) -> Config:
  return Config.model_validate(
    {
      'name': 'colours',
      'image': {'height': 32, 'width': 32},
      'model': {'backbone': 'efficientnet_tiny'},
      'train': {'batch_size': 16, 'epochs': 9},
      'tuner': {'trials': trials, 'epochs': 2, 'space': SPACE},
    }
  )


@pytest.fixture
def search(training_data, tmp_path, monkeypatch):
  """A search whose trainings are noted and answered by a formula."""
  seen = []

  def train(settings, data, weights, folder):
    seen.append((settings.train.learning_rate, settings.model.dropout, settings.train.epochs))
    accuracy = 0.5 + 100 * settings.train.learning_rate - settings.model.dropout
    return types.SimpleNamespace(record={'best_val_accuracy': accuracy})

  monkeypatch.setattr(run, 'train', train)

  def make(trials):
    return tuning.Search(config(trials), training_data, 'none', tmp_path), seen

  return make


def test_the_best_values_win_and_none_is_tried_twice(search):
  made, seen = search(20)
  made.search()
  # Four combinations are all there are.
  assert sorted(seen) == [(1e-3, 0.1, 2), (1e-3, 0.3, 2), (4e-3, 0.1, 2), (4e-3, 0.3, 2)]
  assert made.get_best_hyperparameters()[0].values == {
    'train.learning_rate': 4e-3,
    'model.dropout': 0.1,
  }


def test_no_more_trials_than_were_asked_for(search):
  made, seen = search(3)
  made.search()
  assert len(seen) == 3


def test_what_the_search_writes_changes_the_training(search):
  made, _ = search(4)
  made.search()
  written = json.loads(json.dumps(made.get_best_hyperparameters()[0].get_config()))
  tuned = run._tuned(config(4), written)
  assert (tuned.train.learning_rate, tuned.model.dropout) == (4e-3, 0.1)
  assert tuned.train.epochs == 9
  assert run._tuned(config(4), None) == config(4)


def test_a_trial_trains_for_real_and_cannot_open_test(training_data, tmp_path, monkeypatch):
  """With the arguments that TFX gives, recorded: no path in them leads to test."""
  opened = []

  def counting(files):
    opened.extend(files)
    return original(files)

  from models import records

  original = records.count
  monkeypatch.setattr(records, 'count', counting)
  fn_args = types.SimpleNamespace(
    train_files=list(training_data.train.files),
    eval_files=list(training_data.val.files),
    transform_graph_path=training_data.transform.transform_savedmodel_dir.rsplit('/', 1)[0],
    working_dir=str(tmp_path),
    custom_config={'config': config(1).model_dump_json(), 'weights': 'none'},
  )
  result = tuning.tuner_fn(fn_args)
  result.tuner.search(**result.fit_kwargs)
  (trial,) = result.tuner.oracle.get_best_trials(5)
  assert 0 <= trial.score <= 1
  assert {path.rsplit('/', 1)[1] for path in opened} == {'train.tfrecord', 'val.tfrecord'}
