"""The search over settings before a training: TFX's Tuner, with KerasTuner's oracle.

Each trial is a short training by the same code as the real one, judged by its best
accuracy on val. It is given train and val; where test lies it is not told.
"""

import itertools
import pathlib
from collections.abc import Mapping
from typing import Any

import keras_tuner
import tensorflow_transform as tft
from tfx.components.tuner.component import TunerFnResult

from models import records
from models.training import run
from models.training.data import TrainingData
from models.training.progress import Progress
from schemas import loader
from schemas.config import Config

OBJECTIVE = 'val_accuracy'


def combinations(space: Mapping[str, list]) -> int:
  """Returns how many different trials a space has."""
  count = 1
  for values in space.values():
    count *= len(values)
  return count


def tuner_fn(fn_args) -> TunerFnResult:
  """Prepares the search; called by TFX's Tuner.

  Reads from `fn_args`: train_files and eval_files, transform_graph_path, working_dir, and
  custom_config with `config` (a Config as JSON) and `weights`.
  """
  given = fn_args.custom_config
  config = Config.model_validate_json(given['config'])
  data = TrainingData(
    train=records.record_files(fn_args.train_files),
    val=records.record_files(fn_args.eval_files),
    transform=tft.TFTransformOutput(fn_args.transform_graph_path),
  )
  search = Search(config, data, given['weights'], pathlib.Path(fn_args.working_dir))
  return TunerFnResult(tuner=search, fit_kwargs={})


class Search(keras_tuner.RandomSearch):
  """Random search (Bergstra & Bengio, 2012) over lists of values; no trial is tried twice."""

  def __init__(self, config: Config, data: TrainingData, weights: str, folder: pathlib.Path):
    """Prepares a search below `folder`."""
    self._base = config
    self._data = data
    self._weights = weights
    self._folder = folder
    self._numbers = itertools.count(1)
    self._trials = min(config.tuner.trials, combinations(config.tuner.space))
    parameters = keras_tuner.HyperParameters()
    for key, values in config.tuner.space.items():
      parameters.Choice(key, [_as_read(config, key, value) for value in values])
    super().__init__(
      objective=keras_tuner.Objective(OBJECTIVE, 'max'),
      max_trials=self._trials,
      seed=config.train.seed,
      hyperparameters=parameters,
      tune_new_entries=False,
      # A trial that raises has a cause that its text names: the next would have it, too.
      max_consecutive_failed_trials=1,
      directory=str(folder),
      project_name='search',
      overwrite=True,
    )

  def run_trial(self, trial, *_, **__) -> dict[str, float]:
    """Trains with the trial's values; returns the accuracy on val of the best epoch."""
    values = dict(trial.hyperparameters.values)
    epochs = self._base.tuner.epochs
    shorter: dict = {'train.epochs': epochs, 'train.frozen_epochs': epochs}
    if self._base.train.stages is not None:
      shorter['train.stages'] = [
        {**stage.model_dump(), 'epochs': min(stage.epochs, epochs)}
        for stage in self._base.train.stages
      ]
    config = loader.with_values(
      self._base,
      # What was looked at once need not be looked at in each trial.
      {'train.checks': False, **shorter, **values},
      f'trial {trial.trial_id}',
    )
    trained = run.train(config, self._data, self._weights, self._folder / trial.trial_id)
    accuracy = trained.record['best_val_accuracy']
    Progress('search', 1, 1, 1).note(
      f'trial {next(self._numbers)} of {self._trials}: val accuracy {accuracy:.4f} with '
      + ', '.join(f'{key} {value}' for key, value in sorted(values.items()))
    )
    return {OBJECTIVE: accuracy}

  def save_model(self, *_, **__) -> None:
    """Keeps no model of a trial: the Trainer trains with the best values."""

  def load_model(self, *_, **__) -> None:
    """There is none."""
    return None


def _as_read(config: Config, key: str, value: Any) -> Any:
  """Returns a value as the config reads it: YAML takes 0 for an integer and 1e-3 for a text."""
  tree: Any = loader.with_values(config, {key: value}, 'tuner.space')
  for name in key.split('.'):
    tree = getattr(tree, name)
  return tree
