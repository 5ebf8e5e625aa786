"""Trains a classifier from records: the run_fn of TFX's Trainer, and what it calls."""

import dataclasses
import json
import logging
import pathlib
import time

import keras
import numpy as np
import tensorflow_transform as tft

from models import classifier, export, pretrained, records
from models.training import callbacks, input_pipeline, precision, stages
from models.training.data import TrainingData
from schemas.config import Config
from schemas.errors import TrainingError

CURVES_FILE = 'curves.csv'
RECORD_FILE = 'training.json'

_log = logging.getLogger(__name__)


def run_fn(fn_args) -> None:
  """Trains and exports; called by TFX's Trainer.

  Reads from `fn_args`: train_files and eval_files (patterns of records),
  transform_output, serving_model_dir, model_run_dir, and custom_config with
  `config` (a Config as JSON), `run_id` and `weights` (what model.weights was
  resolved to).
  """
  config = Config.model_validate_json(fn_args.custom_config['config'])
  transform = tft.TFTransformOutput(fn_args.transform_output)
  data = TrainingData(
    train=records.record_files(fn_args.train_files),
    val=records.record_files(fn_args.eval_files),
    transform=transform,
  )
  run_folder = pathlib.Path(fn_args.model_run_dir)
  trained = train(config, data, fn_args.custom_config['weights'], run_folder)
  export.export(
    trained.model,
    data.transform,
    data.transform_layer,
    config,
    data.labels,
    pathlib.Path(fn_args.serving_model_dir),
    fn_args.custom_config.get('run_id', ''),
  )


@dataclasses.dataclass(frozen=True)
class Trained:
  """A trained model under float32, and the record of its training."""

  model: keras.Model
  record: dict


def train(config: Config, data: TrainingData, weights: str, run_folder: pathlib.Path) -> Trained:
  """Runs every stage and restores the best weights.

  Args:
    config: image, augment, model and train are read.
    data: records and the transform graph.
    weights: `auto`, `imagenet`, `none` or a file.
    run_folder: receives curves.csv, training.json and the backbone's weights.

  Returns:
    The model under float32, and the record that training.json holds.

  Raises:
    TrainingError: the data cannot train this network, or the loss is not finite.
    WeightsError: the weights that were asked for are not to be had.
  """
  began = time.monotonic()
  run_folder.mkdir(parents=True, exist_ok=True)
  keras.utils.set_random_seed(config.train.seed)
  chosen = precision.choose(config.train.precision)
  mean, variance = data.pixel_statistics()
  classes = len(data.labels)
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy(chosen.policy)
  try:
    model = classifier.build(config.model, config.image, classes, mean, variance)
    loaded = pretrained.load(model.get_layer('backbone'), config.model.backbone, weights)
    planned = stages.plan(config.train, loaded.knows_something)
    _log.info('%s; precision %s (%s)', loaded.reason, chosen.policy, chosen.reason)
    check_before_training(model, config, data)
    best = callbacks.BestWeights(config.train.early_stopping_patience)
    stage_records = []
    for stage in planned:
      stage_records.append(_run_stage(model, stage, config, data, best, run_folder))
    best.restore(model)
  finally:
    keras.config.set_dtype_policy(previous)
  pretrained.save(model.get_layer('backbone'), config.model.backbone, run_folder)
  record = {
    'labels': data.labels,
    'train_images': data.train.count,
    'parameters': model.count_params(),
    'precision': dataclasses.asdict(chosen),
    'compute_dtype': model.get_layer('backbone').compute_dtype,
    'weights': dataclasses.asdict(loaded),
    'pixel_mean': [float(value) for value in mean],
    'pixel_variance': [float(value) for value in variance],
    'stages': stage_records,
    'best_epoch': best.best_epoch,
    'best_val_loss': best.best_loss,
    'seconds': round(time.monotonic() - began, 1),
  }
  (run_folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
  rebuilt = classifier.rebuild_in_float32(
    model, config.model, config.image, classes, mean, variance
  )
  return Trained(rebuilt, record)


def check_before_training(model: keras.Model, config: Config, data: TrainingData) -> None:
  """Raises TrainingError, within seconds, for what would waste a training."""
  classes = len(data.labels)
  batch = next(iter(records.read_records(data.train.files).batch(config.train.batch_size)))
  _, label_ids = data.parse_batch(batch)
  ids = label_ids.numpy()
  if ids.min() < 0 or ids.max() >= classes:
    raise TrainingError(
      f'label ids of train: expected 0 to {classes - 1}, for {classes} labels. '
      f'Received: {ids.min()} to {ids.max()}. Run Transform again on this data.'
    )
  if model.output_shape[-1] != classes:
    raise TrainingError(
      f'the network has {model.output_shape[-1]} outputs. Expected: {classes}, one a label.'
    )
  pixels = next(
    iter(input_pipeline.batches(data.train, data.parse_batch, config.image, classes, 2))
  )[0]
  logits = np.asarray(model(pixels, training=False))
  if not np.isfinite(logits).all():
    raise TrainingError(
      'the untrained network answers with values that are not finite. '
      'Look at the pixel statistics and, with weights of your own, at the weights.'
    )


def _run_stage(
  model: keras.Model,
  stage,
  config: Config,
  data: TrainingData,
  best: callbacks.BestWeights,
  run_folder: pathlib.Path,
) -> dict:
  classes = len(data.labels)
  steps_per_epoch = data.train.steps(config.train.batch_size)
  stages.apply(model, stage)
  model.compile(
    optimizer=stages.optimizer(config.train, stage, steps_per_epoch * stage.epochs),
    loss=keras.losses.CategoricalCrossentropy(
      from_logits=True, label_smoothing=config.train.label_smoothing
    ),
    metrics=[keras.metrics.CategoricalAccuracy(name='accuracy')],
  )
  began = time.monotonic()
  history = model.fit(
    input_pipeline.training_batches(
      data.train,
      data.parse_batch,
      config.image,
      config.augment,
      classes,
      config.train.batch_size,
      config.train.seed,
    ),
    validation_data=input_pipeline.batches(
      data.val, data.parse_batch, config.image, classes, config.train.batch_size
    ),
    epochs=stage.epochs,
    verbose=0,
    callbacks=[
      callbacks.Curves(run_folder / CURVES_FILE, stage, _epochs_so_far(run_folder)),
      callbacks.Progress(stage, steps_per_epoch),
      keras.callbacks.TerminateOnNaN(),
      best,
    ],
  ).history
  if not np.isfinite(history['loss'][-1]):
    raise TrainingError(
      f'stage {stage.name}: the loss is not finite in epoch {len(history["loss"])}. '
      'Next: a lower train.learning_rate, or train.precision: float32.'
    )
  return {
    **stage.model_dump(),
    'epochs_run': len(history['loss']),
    'accuracy': history['accuracy'][-1],
    'val_accuracy': history['val_accuracy'][-1],
    'seconds': round(time.monotonic() - began, 1),
  }


def _epochs_so_far(run_folder: pathlib.Path) -> int:
  path = run_folder / CURVES_FILE
  return max(len(path.read_text(encoding='utf-8').splitlines()) - 1, 0) if path.exists() else 0
