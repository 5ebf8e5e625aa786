"""Training: stages, best weights, precision, curves and the checks before it."""

import csv
import json
import pathlib
import types

import keras
import numpy as np
import pytest

from models import classifier, pretrained
from models.training import checkpoints, rate_finder, stages, step
from models.training import run as training
from schemas.config import Config, ModelConfig, StageConfig
from schemas.errors import ConfigError, TrainingError, WeightsError

ROOT = pathlib.Path(__file__).parents[4]
NETWORK = 'own_code.network.build'
MEAN = np.full(3, 0.5, np.float32)
VARIANCE = np.full(3, 0.1, np.float32)


def config(**train) -> Config:
  return Config.model_validate(
    {
      'name': 'colours',
      'image': {'height': 32, 'width': 32},
      # Traced in a third of the time that the smallest EfficientNet takes.
      'model': {'build_fn': NETWORK},
      'train': {'batch_size': 16, 'epochs': 2, 'frozen_epochs': 1, 'checks': False, **train},
    }
  )


def batch_norm_statistics(model: keras.Model) -> list[np.ndarray]:
  from models import backbones

  return [
    value
    for layer in backbones.batch_norms(model.get_layer('backbone'))
    for value in layer.get_weights()
  ]


@pytest.fixture(scope='module', autouse=True)
def example():
  with pytest.MonkeyPatch.context() as patched:
    patched.syspath_prepend(str(ROOT / 'examples'))
    yield


@pytest.fixture(scope='module')
def scratch(training_data, tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  return training.train(config(epochs=6, checks=True), training_data, 'none', folder), folder


def test_training_from_scratch_learns_and_records_why(scratch):
  trained, folder = scratch
  assert [stage['name'] for stage in trained.record['stages']] == ['scratch']
  rows = list(csv.DictReader(open(folder / 'curves.csv')))
  # Chance is 0.33; 18 steps are too few for BatchNorm's statistics, which val is scored by.
  assert float(rows[-1]['accuracy']) > 0.6
  record = json.loads((folder / training.RECORD_FILE).read_text())
  assert record['weights']['source'] == 'none'
  assert record['labels'] == trained.record['labels']
  assert sorted(record['labels']) == ['blue', 'green', 'red']


def test_what_is_foreign_is_fitted_on_train_as_it_is_without_augmentation(
  scratch, training_data, images
):
  import tensorflow as tf

  from models import decoder, known_images

  trained, _ = scratch

  def features(split: str) -> tf.Tensor:
    encoded = tf.constant([image for image, _ in images[split]])
    pixels = decoder.decode_batch(encoded, config().image)
    return tf.reduce_mean(trained.model.get_layer('backbone')(pixels, training=False), axis=(1, 2))

  labels = np.array([label for _, label in images['train']])
  of_train = features('train').numpy()
  means = [of_train[labels == label].mean(axis=0) for label in training_data.labels]
  np.testing.assert_allclose(trained.known.means, means, rtol=1e-4, atol=1e-5)
  # 12 images of val are too few for one in fifty: the limit is just above the highest.
  scores = known_images.Distance(trained.known)(features('val')).numpy()
  assert trained.decision.ood_limit == pytest.approx(scores.max(), rel=1e-3)
  assert trained.decision.ood_limit > scores.max()


def test_the_curves_hold_a_row_an_epoch_and_the_scheduled_rate(scratch):
  trained, folder = scratch
  rows = list(csv.DictReader(open(folder / 'curves.csv')))
  assert len(rows) == 6
  # 48 images in batches of 16: 3 steps an epoch, 18 in all, 1 of them warm-up.
  for epoch, row in enumerate(rows):
    step = 3 * (epoch + 1) - 1
    expected = 2e-3 * 0.5 * (1 + np.cos(np.pi * (step - 1) / 17))
    assert float(row['learning_rate']) == pytest.approx(expected, rel=1e-4)


def test_the_exported_weights_are_those_of_the_best_epoch(scratch):
  trained, folder = scratch
  rows = list(csv.DictReader(open(folder / 'curves.csv')))
  losses = [float(row['val_loss']) for row in rows]
  assert trained.record['best_epoch'] == 1 + int(np.argmin(losses))
  assert trained.record['best_val_loss'] == pytest.approx(min(losses))


def test_frozen_then_unfrozen_changes_what_it_says_and_nothing_else(
  scratch, training_data, tmp_path, monkeypatch
):
  from models.training import loop

  _, folder = scratch
  weights = folder / pretrained.WEIGHTS_FILE
  before, after = {}, {}
  original = loop._Stage.run

  def recording(self):
    backbone = self._loop._model.get_layer('backbone')
    name = self._config.name
    before[name] = (
      [w.copy() for w in backbone.get_weights()],
      batch_norm_statistics(self._loop._model),
    )
    original(self)
    after[name] = (
      [w.copy() for w in backbone.get_weights()],
      batch_norm_statistics(self._loop._model),
    )

  monkeypatch.setattr(loop._Stage, 'run', recording)
  trained = training.train(config(), training_data, str(weights), tmp_path)
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
  network = ModelConfig(backbone='efficientnet_tiny')
  model = classifier.build(network, config().image, 3, MEAN, VARIANCE)
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


def test_the_checks_run_first_and_are_recorded(scratch):
  trained, _ = scratch
  checks = {check['name']: check for check in trained.record['checks']}
  assert len(checks) > 4
  assert all(check['text'] for check in checks.values())
  assert 'all 48 training images' in checks['pixel statistics']['text']


def test_a_network_that_cannot_learn_stops_before_the_first_epoch(
  training_data, tmp_path, monkeypatch
):
  """The labels of a batch are drawn anew each time it is read: as if pixels were shuffled."""
  from models.training.loop import Loop

  draw = np.random.default_rng(0)
  original = Loop.first_plain_batch

  def shuffled(self):
    pixels, labels = original(self)
    return pixels, labels[draw.permutation(len(labels))]

  monkeypatch.setattr(Loop, 'first_plain_batch', shuffled)
  with pytest.raises(TrainingError, match='batch'):
    training.train(config(checks=True), training_data, 'none', tmp_path)
  assert not (tmp_path / training.RECORD_FILE).exists()
  # Switched off, nothing is looked at.
  trained = training.train(config(epochs=1), training_data, 'none', tmp_path)
  assert [check['name'] for check in trained.record['checks']] == []


def test_an_image_too_small_for_the_backbone_is_an_error():
  small = config().image.model_copy(update={'height': 16})
  with pytest.raises(ConfigError, match='at least 32 pixels. Received: 16 x 32'):
    classifier.build(ModelConfig(backbone='efficientnet_tiny'), small, 3, MEAN, VARIANCE)


def test_a_missing_weights_file_names_the_alternatives(training_data, tmp_path):
  with pytest.raises(WeightsError, match='Alternatives'):
    training.train(config(), training_data, str(tmp_path / 'none.weights.h5'), tmp_path / 'run')


def test_weights_of_another_backbone_are_refused(scratch):
  _, folder = scratch
  other = classifier.build(
    ModelConfig(backbone='efficientnet_small'), config().image, 3, MEAN, VARIANCE
  )
  with pytest.raises(WeightsError, match='holds own_code.network.build'):
    pretrained.load(
      other.get_layer('backbone'), 'efficientnet_small', str(folder / pretrained.WEIGHTS_FILE)
    )


def test_loaded_weights_keep_the_normalisation_of_the_new_data(scratch):
  _, folder = scratch
  model = classifier.build(config().model, config().image, 3, MEAN, VARIANCE)
  backbone = model.get_layer('backbone')
  pretrained.load(backbone, NETWORK, str(folder / pretrained.WEIGHTS_FILE))
  layer = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.Normalization))
  np.testing.assert_allclose(np.ravel(layer.mean), MEAN)
  np.testing.assert_allclose(np.ravel(layer.variance), VARIANCE)


def test_the_same_seed_gives_the_same_export_and_another_another(training_data, tmp_path):
  """Through shuffling, augmentation, dropout and stochastic depth."""

  def weights(seed, folder):
    settings = config(epochs=2, seed=seed)
    settings = settings.model_copy(
      update={'model': settings.model.model_copy(update={'drop_connect': 0.2})}
    )
    trained = training.train(settings, training_data, 'none', tmp_path / folder)
    parts = [*trained.model.get_weights(), *trained.known]
    return [value.tobytes() for value in parts], trained.decision

  one, two, other = weights(1, 'one'), weights(1, 'two'), weights(2, 'other')
  assert one == two
  assert one != other


def test_checks_and_the_search_for_a_rate_leave_the_training_as_it_was(training_data, tmp_path):
  def weights(folder, **train):
    trained = training.train(config(epochs=1, **train), training_data, 'none', tmp_path / folder)
    return [value.tobytes() for value in trained.model.get_weights()], trained.record

  plain, _ = weights('plain')
  looked, record = weights('looked', checks=True, find_rate='show')
  assert plain == looked
  assert record['rate_finder']['used'] is False
  assert (tmp_path / 'looked/rates.png').stat().st_size > 1000
  assert (tmp_path / 'looked/augmentation.png').stat().st_size > 1000


def test_a_rate_that_was_found_scales_every_stage():
  plan = stages.plan(config().train, True)
  found = {'rate_finder': {'suggestion': 6e-3, 'used': True, 'reason': ''}}
  first, second = training._at_found_rate(plan, found)
  assert first.learning_rate == pytest.approx(6e-3)
  assert second.learning_rate == pytest.approx(6e-4)
  assert training._at_found_rate(plan, {}) == plan


def test_a_checkpoint_fits_only_the_very_same_training(training_data):
  settings = config()
  given = {'weights': 'none', 'code_fingerprint': 'a', 'run_id': '1', 'state_dir': 'x'}
  one = training.fingerprint(settings, given, training_data)
  assert one == training.fingerprint(settings, given | {'run_id': '2'}, training_data)
  assert one != training.fingerprint(settings, given | {'code_fingerprint': 'b'}, training_data)
  assert one != training.fingerprint(config(seed=5), given, training_data)


def test_a_resumed_training_keeps_what_its_weights_came_from_and_counts_what_was_used(
  training_data, tmp_path, monkeypatch
):
  class Killed(BaseException):
    pass

  settings = config(epochs=2, checkpoint_seconds=0)
  kept = checkpoints.Checkpoints(tmp_path / 'kept')
  with monkeypatch.context() as patched:
    original, taken = step.TrainStep.__call__, []

    def call(self, *given):
      taken.append(1)
      if len(taken) > 4:
        raise Killed
      return original(self, *given)

    patched.setattr(step.TrainStep, '__call__', call)
    with pytest.raises(Killed):
      training.train(settings, training_data, 'none', tmp_path / 'one', kept)
  before = training._used_before(kept.latest())
  assert before['seconds'] > 0 and before['cpu_seconds'] > 0

  def not_again(*_):
    raise AssertionError('the weights were looked for anew')

  monkeypatch.setattr(pretrained, 'load', not_again)
  record = training.train(settings, training_data, 'none', tmp_path / 'two', kept).record
  assert record['resumed_from'] == 'step-000000004.npz'
  assert record['weights']['source'] == 'none'
  assert record['seconds'] >= before['seconds']
  # It goes on in the folder of another run, which has a sheet of its own.
  assert (tmp_path / 'two' / training.PREVIEW_FILE).stat().st_size > 1000


def test_what_earlier_processes_used_is_the_sum_of_stages_and_of_the_one_at_work():
  part = {'seconds': 2.0, 'cpu_seconds': 3.0, 'energy_wh': 0.5}
  meta = {'position': {'records': [part, part], 'used': {'seconds': 1.0}}}
  found = training._used_before(types.SimpleNamespace(meta=meta))
  assert found == {'seconds': 5.0, 'cpu_seconds': 6.0, 'energy_wh': 1.0}
  assert training._used_before(None) == {}


@pytest.mark.parametrize(('policy', 'scaled'), [('mixed_float16', True), ('float32', False)])
def test_the_search_for_a_rate_scales_the_loss_as_the_training_does(
  tmp_path, monkeypatch, policy, scaled
):
  made = []
  found = types.SimpleNamespace(suggestion=None, reason='')

  def find(_, __, optimizer, ___):
    made.append(optimizer())
    return found

  monkeypatch.setattr(rate_finder, 'find', find)
  monkeypatch.setattr(rate_finder, 'write_csv', lambda *_: None)
  monkeypatch.setattr(rate_finder, 'write_png', lambda *_: None)
  monkeypatch.setattr(stages, 'apply', lambda *_: None)
  loop = types.SimpleNamespace(loss=None, first_batches=lambda: None)
  stage = StageConfig(name='all', epochs=1, learning_rate=1e-3)
  model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
  previous = keras.config.dtype_policy()
  keras.config.set_dtype_policy(policy)
  try:
    training._find_rate(model, loop, config(), stage, tmp_path)
  finally:
    keras.config.set_dtype_policy(previous)
  assert isinstance(made[0], keras.optimizers.LossScaleOptimizer) is scaled
