"""Training: stages, best weights, precision, curves and the checks before it."""

import csv
import json

import keras
import numpy as np
import pytest

from models import classifier, pretrained
from models.training import run as training
from models.training import stages
from schemas.config import Config, StageConfig
from schemas.errors import ConfigError, TrainingError, WeightsError

MEAN = np.full(3, 0.5, np.float32)
VARIANCE = np.full(3, 0.1, np.float32)


def config(**train) -> Config:
  return Config.model_validate(
    {
      'name': 'colours',
      'image': {'height': 32, 'width': 32},
      'model': {'backbone': 'efficientnet_tiny'},
      'train': {'batch_size': 16, 'epochs': 2, 'frozen_epochs': 1, **train},
    }
  )


def batch_norm_statistics(model: keras.Model) -> list[np.ndarray]:
  from models import backbones

  return [
    value
    for layer in backbones.batch_norms(model.get_layer('backbone'))
    for value in layer.get_weights()
  ]


@pytest.fixture(scope='module')
def scratch(training_data, tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  return training.train(config(epochs=6), training_data, 'none', folder), folder


def test_training_from_scratch_learns_and_records_why(scratch):
  trained, folder = scratch
  assert [stage['name'] for stage in trained.record['stages']] == ['scratch']
  assert trained.record['stages'][0]['accuracy'] > 0.6
  record = json.loads((folder / training.RECORD_FILE).read_text())
  assert record['weights']['source'] == 'none'
  assert record['labels'] == trained.record['labels']
  assert sorted(record['labels']) == ['blue', 'green', 'red']


def test_the_curves_hold_a_row_an_epoch_and_the_scheduled_rate(scratch):
  trained, folder = scratch
  rows = list(csv.DictReader(open(folder / training.CURVES_FILE)))
  assert len(rows) == 6
  # 48 images in batches of 16: 3 steps an epoch, 18 in all, 1 of them warm-up.
  for epoch, row in enumerate(rows):
    step = 3 * (epoch + 1) - 1
    expected = 2e-3 * 0.5 * (1 + np.cos(np.pi * (step - 1) / 17))
    assert float(row['learning_rate']) == pytest.approx(expected, rel=1e-4)


def test_the_exported_weights_are_those_of_the_best_epoch(scratch):
  trained, folder = scratch
  rows = list(csv.DictReader(open(folder / training.CURVES_FILE)))
  losses = [float(row['val_loss']) for row in rows]
  assert trained.record['best_epoch'] == int(np.argmin(losses))
  assert trained.record['best_val_loss'] == pytest.approx(min(losses))


def test_best_weights_restores_the_best_and_not_the_last_epoch():
  from models.training import callbacks

  model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
  best = callbacks.BestWeights(patience=2)
  best.set_model(model)
  best.on_train_begin()
  for epoch, (weight, loss) in enumerate([(1.0, 3.0), (2.0, 1.0), (3.0, 2.0), (4.0, 2.5)]):
    model.set_weights([np.array([[weight]])])
    model.stop_training = False
    best.on_epoch_end(epoch, {'val_loss': loss})
  assert model.stop_training  # two epochs without a better one
  best.restore(model)
  assert model.get_weights()[0] == 2.0
  assert best.best_epoch == 1


def test_frozen_then_unfrozen_changes_what_it_says_and_nothing_else(
  scratch, training_data, tmp_path
):
  _, folder = scratch
  weights = folder / pretrained.WEIGHTS_FILE
  before, after = {}, {}

  original = training._run_stage

  def recording(model, stage, *args):
    backbone = model.get_layer('backbone')
    before[stage.name] = ([w.copy() for w in backbone.get_weights()], batch_norm_statistics(model))
    result = original(model, stage, *args)
    after[stage.name] = ([w.copy() for w in backbone.get_weights()], batch_norm_statistics(model))
    return result

  training._run_stage = recording
  try:
    trained = training.train(config(), training_data, str(weights), tmp_path)
  finally:
    training._run_stage = original
  first, second = trained.record['stages']
  assert (first['name'], second['name']) == ('frozen', 'unfrozen')
  assert second['learning_rate'] == pytest.approx(first['learning_rate'] / 10)
  for one, other in zip(before['frozen'][0], after['frozen'][0], strict=True):
    np.testing.assert_array_equal(one, other)
  changed = [
    not np.array_equal(one, other)
    for one, other in zip(before['unfrozen'][0], after['unfrozen'][0], strict=True)
  ]
  assert any(changed)
  for stage in ('frozen', 'unfrozen'):
    for one, other in zip(before[stage][1], after[stage][1], strict=True):
      np.testing.assert_array_equal(one, other)
  assert trained.record['weights']['sha256']


def test_training_everything_trains_batch_norm_where_the_stage_says_so():
  model = classifier.build(config().model, config().image, 3, MEAN, VARIANCE)
  stages.apply(
    model,
    StageConfig(name='all', epochs=1, learning_rate=1e-3, trainable='all', batch_norm='train'),
  )
  model.compile(optimizer='sgd', loss='mse')
  before = batch_norm_statistics(model)
  rng = np.random.default_rng(0)
  model.fit(rng.uniform(0, 255, (8, 32, 32, 3)), np.zeros((8, 3)), verbose=0)
  after = batch_norm_statistics(model)
  assert any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_mixed_precision_computes_in_bfloat16_and_answers_in_float32(training_data, tmp_path):
  trained = training.train(
    config(epochs=1, precision='mixed_bfloat16'), training_data, 'none', tmp_path
  )
  assert trained.record['compute_dtype'] == 'bfloat16'
  assert keras.config.dtype_policy().name == 'float32'
  assert trained.model.get_layer('backbone').compute_dtype == 'float32'
  assert {str(variable.dtype) for variable in trained.model.trainable_variables} == {'float32'}


@pytest.mark.parametrize('name', ['adamw', 'sgd'])
def test_weight_decay_skips_biases_and_batch_norm(name):
  model = classifier.build(config().model, config().image, 3, MEAN, VARIANCE)
  optimizer = stages.optimizer(
    config(optimizer=name).train, StageConfig(name='all', epochs=1, learning_rate=1e-3), steps=10
  )
  assert type(optimizer).__name__.lower() == name
  optimizer.build(model.trainable_variables)
  kinds = {
    variable.path.split('/')[-1]: optimizer._use_weight_decay(variable)
    for variable in model.trainable_variables
  }
  assert kinds == {'kernel': True, 'bias': False, 'gamma': False, 'beta': False}


def test_a_wrong_class_count_fails_before_the_first_epoch(training_data, tmp_path):
  model = classifier.build(config().model, config().image, 4, MEAN, VARIANCE)
  with pytest.raises(TrainingError, match='has 4 outputs. Expected: 3'):
    training.check_before_training(model, config(), training_data)


def test_an_image_too_small_for_the_backbone_is_an_error():
  small = config().image.model_copy(update={'height': 16})
  with pytest.raises(ConfigError, match='at least 32 pixels. Received: 16 x 32'):
    classifier.build(config().model, small, 3, MEAN, VARIANCE)


def test_a_missing_weights_file_names_the_alternatives(training_data, tmp_path):
  with pytest.raises(WeightsError, match='Alternatives'):
    training.train(config(), training_data, str(tmp_path / 'none.weights.h5'), tmp_path / 'run')


def test_weights_of_another_backbone_are_refused(scratch):
  _, folder = scratch
  other = classifier.build(
    config().model.model_copy(update={'backbone': 'efficientnet_small'}),
    config().image,
    3,
    MEAN,
    VARIANCE,
  )
  with pytest.raises(WeightsError, match='holds efficientnet_tiny'):
    pretrained.load(
      other.get_layer('backbone'), 'efficientnet_small', str(folder / pretrained.WEIGHTS_FILE)
    )


def test_loaded_weights_keep_the_normalisation_of_the_new_data(scratch):
  _, folder = scratch
  model = classifier.build(config().model, config().image, 3, MEAN, VARIANCE)
  backbone = model.get_layer('backbone')
  pretrained.load(backbone, 'efficientnet_tiny', str(folder / pretrained.WEIGHTS_FILE))
  layer = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization))
  np.testing.assert_allclose(np.ravel(layer.mean), MEAN)
  np.testing.assert_allclose(np.ravel(layer.variance), VARIANCE)
