"""Trains a classifier from records: the run_fn of TFX's Trainer, and what it calls."""

import contextlib
import dataclasses
import hashlib
import json
import logging
import pathlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow.python.framework import config as tf_config

from models import backbones, classifier, export, known_images, pretrained, records
from models.decision import Decision
from models.training import (
  calibration,
  checkpoints,
  diagnosis,
  energy,
  export_proof,
  familiarity,
  optimizers,
  pixel_statistics,
  precision,
  preflight,
  preview,
  process,
  rate_finder,
  replicas,
  schedules,
  stages,
)
from models.training.call import TrainingCall
from models.training.data import TrainingData
from models.training.loop import Loop, Position
from models.training.progress import Progress
from schemas import loader
from schemas.config import Config, StageConfig

RECORD_FILE = 'training.json'
PREVIEW_FILE = 'augmentation.png'
RATES_FILE = 'rates'
CHECKPOINTS = 'checkpoints'
# A trace of the network takes as long as so many batches without one, or longer.
_WORTH_A_TRACE = 100
# Named in the notes about what precedes the stages.
_BEFORE = 'checks'

_log = logging.getLogger(__name__)


def run_fn(fn_args) -> None:
  """Trains and exports; called by TFX's Trainer.

  Reads from `fn_args`: train_files and eval_files (patterns of records),
  transform_output, hyperparameters (of a Tuner, or None), serving_model_dir,
  model_run_dir, and custom_config with `config` (a Config as JSON), `run_id`, `weights`
  (what model.weights was resolved to), `state_dir` (outlives the run: checkpoints lie
  there) and whatever else must be the same for a checkpoint to fit.
  """
  call = TrainingCall.of(fn_args)
  if configured(call).train.strategy == 'multi_worker':
    # A process can join a cluster only before it does anything else with TensorFlow.
    process.train(call, pathlib.Path(call.custom_config['state_dir']))
    return
  train_and_export(call)


def configured(call: TrainingCall) -> Config:
  """Returns the config of a training, with what a Tuner found."""
  return _tuned(Config.model_validate_json(call.custom_config['config']), call.hyperparameters)


def train_and_export(call: TrainingCall) -> None:
  """Does what run_fn was called for, together with the other replicas where there are some.

  Of several workers the chief alone writes into the folders of the call; each of the others
  has a folder that is thrown away.
  """
  given, config = call.custom_config, configured(call)
  team = replicas.join(config.train)
  transform = tft.TFTransformOutput(call.transform_output)
  data = TrainingData(
    train=records.record_files(call.train_files),
    val=records.record_files(call.eval_files),
    transform=transform,
  )
  run_folder = pathlib.Path(call.model_run_dir)
  state = pathlib.Path(given.get('state_dir') or run_folder)
  key = fingerprint(config, given, data)
  kept = checkpoints.Checkpoints(state / CHECKPOINTS / key)
  with team.noticing_loss(kept.folder):
    team.expect_same('config, code, data and weights of the training', key)
    if team.is_chief:
      trained = train(config, data, given['weights'], run_folder, kept, team)
      _export(config, data, trained, call)
    else:
      with tempfile.TemporaryDirectory() as thrown_away:
        follow(config, data, given['weights'], pathlib.Path(thrown_away), kept, team)
    # Who leaves early looks like one that was lost.
    team.sum([1.0])
  if team.is_chief:
    kept.remove()


def _export(config: Config, data: TrainingData, trained: 'Trained', call: TrainingCall) -> None:
  exported = pathlib.Path(call.serving_model_dir)
  export.export(
    trained.model,
    data.transform,
    data.transform_layer,
    config,
    data.labels,
    trained.known,
    exported,
    call.custom_config.get('run_id', ''),
    trained.decision,
  )
  if config.train.checks:
    _prove(config, data, trained, exported, pathlib.Path(call.model_run_dir))


def _prove(
  config: Config,
  data: TrainingData,
  trained: 'Trained',
  exported: pathlib.Path,
  run_folder: pathlib.Path,
) -> None:
  """Compares the export with the network, and adds what was found to the record."""
  proof = export_proof.prove(
    exported, trained.model, trained.decision, data.labels, config.image, data.val
  )
  found = proof.check()
  _log.info('%s: %s', found.name, found.text)
  checks = [*trained.record.get('checks', []), dataclasses.asdict(found)]
  _write_record(
    trained.record | {'checks': checks, 'export_proof': dataclasses.asdict(proof)}, run_folder
  )


def _write_record(record: dict[str, Any], run_folder: pathlib.Path) -> None:
  (run_folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')


def _tuned(config: Config, hyperparameters: Mapping[str, Any] | None) -> Config:
  """Puts in the values that the Tuner found best, where there is one."""
  if not hyperparameters:
    return config
  return loader.with_values(config, hyperparameters['values'], 'the best hyperparameters')


def fingerprint(config: Config, given: Mapping[str, Any], data: TrainingData) -> str:
  """Returns what a checkpoint must have in common with a training that goes on from it."""
  same = {name: value for name, value in given.items() if name not in ('run_id', 'state_dir')}
  same |= {'config': config.model_dump_json(), 'data': data.sha256}
  text = json.dumps(same, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Trained:
  """A trained model under float32, the record of its training, and what its export says more.

  Attributes:
    model: from pixels to logits.
    record: what training.json holds.
    decision: tuned on val.
    known: its features on train.
  """

  model: keras.Model
  record: dict
  decision: Decision
  known: known_images.KnownImages


def train(
  config: Config,
  data: TrainingData,
  weights: str,
  run_folder: pathlib.Path,
  kept: checkpoints.Checkpoints | None = None,
  team: replicas.Replicas | None = None,
) -> Trained:
  """Runs every stage and restores the best weights.

  Args:
    config: image, augment, model and train are read.
    data: records and the transform graph.
    weights: `auto`, `imagenet`, `bundled`, `none` or a file.
    run_folder: receives the curves, training.json and the backbone's weights.
    kept: checkpoints of this very training; where there are some, it goes on from the
      last. By default they are kept in run_folder.
    team: those that train together, this process being their chief; by default one device.

  Returns:
    The model under float32, and what belongs to it.

  Raises:
    TrainingError: the data cannot train this network, the loss is not finite, or a
      checkpoint cannot be written.
    WeightsError: the weights that were asked for are not to be had.
  """
  team = team or replicas.Replicas()
  run_folder.mkdir(parents=True, exist_ok=True)
  kept = kept or checkpoints.Checkpoints(run_folder / CHECKPOINTS)
  keras.utils.set_random_seed(config.train.seed)
  with energy.Meter() as meter, _reproducible(config.train.deterministic):
    resumed = kept.latest()
    fitted = _fit(config, data, weights, run_folder, kept, resumed, team)
    trained = _finish(config, data, fitted, run_folder)
  if team.strategy:
    trained.record['strategy'] = {
      'name': config.train.strategy,
      'replicas': team.count,
      'workers': team.share.workers,
    }
  earlier = _used_before(resumed)
  record = trained.record | {
    'seconds': round(meter.seconds + earlier.get('seconds', 0.0), 1),
    'cpu_seconds': round(meter.cpu_seconds + earlier.get('cpu_seconds', 0.0), 1),
    'energy': {'wh': meter.energy_wh + earlier.get('energy_wh', 0.0), 'source': meter.source},
    'resumed_from': None if resumed is None else resumed.path.name,
  }
  _write_record(record, run_folder)
  return dataclasses.replace(trained, record=record)


def follow(
  config: Config,
  data: TrainingData,
  weights: str,
  run_folder: pathlib.Path,
  kept: checkpoints.Checkpoints,
  team: replicas.Replicas,
) -> None:
  """Takes every step together with the chief, and writes nothing that is kept.

  Args are those of `train`; kept is read from, where the chief goes on from a checkpoint.
  """
  keras.utils.set_random_seed(config.train.seed)
  with _reproducible(config.train.deterministic):
    _fit(config, data, weights, run_folder, kept, kept.latest(), team)


def _used_before(resumed: checkpoints.Checkpoint | None) -> dict[str, float]:
  """Returns what the stages had used when a checkpoint was written."""
  if resumed is None:
    return {}
  position = resumed.meta['position']
  parts = [*position['records'], position['used']]
  return {
    name: sum(part.get(name, 0.0) for part in parts)
    for name in ('seconds', 'cpu_seconds', 'energy_wh')
  }


@dataclasses.dataclass(frozen=True)
class _Fitted:
  """A network after its last stage."""

  model: keras.Model
  loop: Loop
  facts: dict[str, Any]
  chosen: precision.Precision
  position: Position


def _fit(
  config: Config,
  data: TrainingData,
  weights: str,
  run_folder: pathlib.Path,
  kept: checkpoints.Checkpoints,
  resumed: checkpoints.Checkpoint | None,
  team: replicas.Replicas,
) -> _Fitted:
  mean, variance = data.pixel_statistics()
  classes = len(data.labels)
  facts: dict[str, Any] = dict(resumed.meta['facts']) if resumed else {}
  steps = data.train.steps(config.train.batch_size) * config.train.epochs
  chosen = (
    precision.Precision(**facts['precision'])
    if resumed
    else _choose_precision(config, classes, steps, team)
  )
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy(chosen.policy)
  try:
    model = classifier.build(config.model, config.image, classes, mean, variance)
    name = backbones.name_of(config.model)
    # Whoever goes on has the weights in the checkpoint, and what they began from made the plan:
    # `auto` may come to something else today.
    loaded = (
      pretrained.Loaded(**facts['weights'])
      if resumed
      else pretrained.load(model.get_layer('backbone'), name, weights)
    )
    facts['weights'] = dataclasses.asdict(loaded)
    plan = stages.plan(config.train, loaded.knows_something, loaded.source)
    _log.info('%s; precision %s (%s)', loaded.reason, chosen.policy, chosen.reason)
    facts['precision'] = dataclasses.asdict(chosen)

    def rebuild() -> keras.Model:
      return classifier.build(config.model, config.image, classes, mean, variance)

    loop = Loop(model, config, data, kept, run_folder, team, rebuild)
    if team.is_chief:
      _draw(loop, config, data, run_folder)
    if not resumed:
      facts |= team.from_chief(lambda: _look(model, loop, config, data, plan, run_folder))
    position = loop.run(_at_found_rate(plan, facts), facts, resumed)
  finally:
    keras.config.set_dtype_policy(previous)
  return _Fitted(model, loop, facts, chosen, position)


def _choose_precision(
  config: Config, classes: int, steps: int, team: replicas.Replicas
) -> precision.Precision:
  """Chooses once for all of them: what is measured differs from one machine to the next."""
  found = team.from_chief(lambda: dataclasses.asdict(precision.choose(config, classes, steps)))
  chosen = precision.Precision(**found)
  if team.strategy and chosen.policy == precision.FLOAT16:
    reason = f'strategy {config.train.strategy} keeps no scale of the loss, which float16 needs'
    return precision.Precision(precision.FLOAT32, reason)
  return chosen


def _finish(
  config: Config, data: TrainingData, fitted: _Fitted, run_folder: pathlib.Path
) -> Trained:
  model, facts, position = fitted.model, fitted.facts, fitted.position
  mean, variance = data.pixel_statistics()
  classes = len(data.labels)
  pretrained.save(model.get_layer('backbone'), backbones.name_of(config.model), run_folder)
  findings = diagnosis.diagnose(position.rows, config.train.early_stopping_patience, classes)
  record = {
    'labels': data.labels,
    'train_images': data.train.count,
    'parameters': model.count_params(),
    'regularisation': {
      'dropout': config.model.dropout,
      'drop_connect': config.model.drop_connect,
      'hidden_units': config.model.hidden_units,
      'weight_decay': config.train.weight_decay,
      'label_smoothing': config.train.label_smoothing,
    },
    'compute_dtype': model.get_layer('backbone').compute_dtype,
    'pixel_mean': [float(value) for value in mean],
    'pixel_variance': [float(value) for value in variance],
    'seed': config.train.seed,
    'deterministic': config.train.deterministic,
    **facts,
    'stages': position.records,
    'best_epoch': None if position.best_epoch is None else position.best_epoch + 1,
    'best_val_loss': position.best_loss,
    'best_val_accuracy': (
      None if position.best_epoch is None else position.rows[position.best_epoch]['val_accuracy']
    ),
    'diagnosis': [dataclasses.asdict(finding) for finding in findings],
  }
  if fitted.chosen.policy != 'float32':
    model = classifier.rebuild_in_float32(
      model, config.model, config.image, classes, mean, variance
    )
  known, tuned = _tune(model, fitted.loop, config, data)
  return Trained(model, record | {'decision': dataclasses.asdict(tuned)}, tuned.decision, known)


def _tune(
  model: keras.Model, loop: Loop, config: Config, data: TrainingData
) -> tuple[known_images.KnownImages, calibration.Tuned]:
  """Goes through train and val once more, with the weights that are exported."""
  network = classifier.to_features_and_logits(model)

  def both(pixels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return network(pixels, training=False)

  if data.train.steps(config.train.batch_size) > _WORTH_A_TRACE:
    pixels = tf.TensorSpec([None, *model.input_shape[1:]], tf.float32)
    both = tf.function(both, input_signature=[pixels], autograph=False)
  known = familiarity.fit(
    lambda pixels: both(pixels)[0],
    loop.plain_batches(),
    len(data.labels),
    network.output_shape[0][-1],
  )
  features, logits, label_ids = loop.answer_validation(both)
  scores = known_images.Distance(known)(tf.constant(features)).numpy()
  return known, calibration.tune(config.decision, logits, label_ids, scores, data.labels)


def _draw(loop: Loop, config: Config, data: TrainingData, run_folder: pathlib.Path) -> None:
  """Draws the sheet; also where a training goes on, since that is in another run's folder."""
  pixels, labels = (part.numpy() for part in next(iter(loop.plain_batches())))
  preview.write(config, pixels, labels, data.labels, run_folder / PREVIEW_FILE, config.train.seed)


def _look(
  model: keras.Model,
  loop: Loop,
  config: Config,
  data: TrainingData,
  plan: tuple[StageConfig, ...],
  run_folder: pathlib.Path,
) -> dict[str, Any]:
  """Looks at network and data before the first epoch; returns what is to be recorded."""
  progress = Progress(_BEFORE, 1, 1, config.train.batch_size)
  facts: dict[str, Any] = {'augmentation': preview.changes(config.augment)}
  checks = [found for found in [preflight.directions(config)] if found]
  if config.train.checks:
    began = time.monotonic()
    checks += preflight.check(
      model,
      loop.loss,
      loop.first_plain_batch,
      config,
      data.labels,
      data.train.count,
      data.label_ids,
    )
    checks.append(
      pixel_statistics.check(data.train, data.parse_batch, config.image, *data.pixel_statistics())
    )
    progress.note(
      f'{len(checks)} checks before the first epoch in {time.monotonic() - began:.1f} s'
    )
  for found in checks:
    if not found.ok:
      progress.note(f'{found.name}: {found.text}')
  facts['checks'] = [dataclasses.asdict(found) for found in checks]
  if config.train.find_rate != 'off':
    facts['rate_finder'] = _find_rate(model, loop, config, plan[0], run_folder)
    progress.note(f'learning rate: {facts["rate_finder"]["reason"]}')
  return facts


def _find_rate(
  model: keras.Model, loop: Loop, config: Config, stage: StageConfig, run_folder: pathlib.Path
) -> dict[str, Any]:
  stages.apply(model, stage)

  def optimizer() -> keras.optimizers.Optimizer:
    constant = config.train.model_copy(
      update={'schedule': 'constant', 'warmup_fraction': 0.0, 'accumulate': 1, 'ema': 0.0}
    )
    made = optimizers.build(constant, stage, schedules.build(constant, stage, 1), model)
    scaled = keras.config.dtype_policy().compute_dtype == 'float16'
    return keras.optimizers.LossScaleOptimizer(made) if scaled else made

  curve = rate_finder.find(model, loop.loss, optimizer, loop.first_batches())
  rate_finder.write_csv(curve, run_folder / f'{RATES_FILE}.csv')
  rate_finder.write_png(curve, run_folder / f'{RATES_FILE}.png')
  used = config.train.find_rate == 'use' and curve.suggestion is not None
  return {'suggestion': curve.suggestion, 'reason': curve.reason, 'used': used}


def _at_found_rate(
  plan: tuple[StageConfig, ...], facts: Mapping[str, Any]
) -> tuple[StageConfig, ...]:
  """Scales every stage's rate as the suggestion scales that of the first."""
  found = facts.get('rate_finder')
  if not found or not found['used']:
    return plan
  factor = found['suggestion'] / plan[0].learning_rate
  return tuple(
    stage.model_copy(update={'learning_rate': stage.learning_rate * factor}) for stage in plan
  )


@contextlib.contextmanager
def _reproducible(wanted: bool) -> Iterator[None]:
  """Lets TensorFlow choose operations that give the same bits each time."""
  if not wanted or tf_config.is_op_determinism_enabled():
    yield
    return
  tf.config.experimental.enable_op_determinism()
  try:
    yield
  finally:
    # Other components of the run draw without a seed, which it forbids.
    tf_config.disable_op_determinism()
