"""Features that are kept: the same head as without, in less time."""

import keras
import numpy as np
import pytest

from models.training import feeds, input_pipeline, memory, stages
from models.training.checkpoints import Checkpoints
from models.training.loop import Loop
from schemas.config import AugmentConfig, Config, StageConfig, TrainConfig
from tests.unit.models.training.conftest import small_network

STILL = {'shift': 0.0, 'rotation': 0.0, 'zoom': 0.0}
HEAD = StageConfig(name='head', epochs=3, learning_rate=1e-2, trainable='head')


def config(augment, **train) -> Config:
  return Config.model_validate(
    {
      'name': 'colours',
      'image': {'height': 32, 'width': 32},
      'augment': augment,
      'model': {'backbone': 'efficientnet_tiny', 'dropout': 0.3, 'drop_connect': 0.2},
      'train': {'batch_size': 16, 'seed': 3, **train},
    }
  )


@pytest.mark.parametrize(
  ('augment', 'train', 'stage', 'copies'),
  [
    (STILL, {}, HEAD, 1),
    ({}, {}, HEAD, 0),
    ({}, {'feature_copies': 2}, HEAD, 2),
    # As many copies as epochs would cost as much as no copies.
    ({}, {'feature_copies': 3}, HEAD, 0),
    (STILL, {}, HEAD.model_copy(update={'trainable': 'all'}), 0),
  ],
)
def test_features_are_kept_where_they_may_be_and_pay(augment, train, stage, copies):
  assert feeds.copies_to_keep(TrainConfig(**train), AugmentConfig(**augment), stage) == copies


def train(settings, data, folder):
  """Trains the head on a backbone that is the same each time."""
  keras.utils.set_random_seed(5)
  model = small_network()
  loop = Loop(model, settings, data, Checkpoints(folder / 'kept'), folder)
  position = loop.run([HEAD], {})
  return model, position


@pytest.fixture(scope='module')
def cached(training_data, tmp_path_factory):
  return train(config(STILL), training_data, tmp_path_factory.mktemp('cached'))


def test_the_head_on_kept_features_is_that_on_pixels(cached, training_data, tmp_path, monkeypatch):
  model, position = cached
  assert position.records[0]['cached_features']['copies'] == 1
  monkeypatch.setattr(feeds, 'copies_to_keep', lambda *_: 0)
  other, uncached = train(config(STILL), training_data, tmp_path)
  assert uncached.records[0]['cached_features'] is None
  for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
    np.testing.assert_allclose(one, two, atol=1e-4)
  for one, two in zip(position.rows, uncached.rows, strict=True):
    assert one['val_loss'] == pytest.approx(two['val_loss'], abs=1e-4)
    assert one['loss'] == pytest.approx(two['loss'], abs=1e-4)


def test_the_gain_is_recorded(cached):
  _, position = cached
  recorded = position.records[0]['cached_features']
  assert recorded['seconds_to_compute'] > 0
  assert recorded['speed_up'] > 0


def test_augmented_copies_differ_and_take_turns(training_data):
  settings = config({}, feature_copies=2)
  model = small_network()
  stages.apply(model, HEAD)
  decoding = input_pipeline.Decoding(training_data.parse_batch, settings.image, 3)
  order = input_pipeline.Order(training_data.train, training_data.label_ids, 3, 16, 3)
  batches = input_pipeline.TrainingBatches(order, decoding, settings.image, settings.augment)
  validation = input_pipeline.batches(training_data.val, decoding, 16)
  feed = feeds.cache(model, batches, validation, 2).feed

  def shown(epoch):
    rows = np.concatenate([features.numpy() for features, _ in feed.epochs(epoch, 1)])
    return rows[np.lexsort(rows.T)]

  np.testing.assert_array_equal(shown(0), shown(2))
  assert not np.array_equal(shown(0), shown(1))


def test_features_that_would_not_fit_in_memory_are_not_kept(training_data, monkeypatch):
  settings = config(STILL)
  model = small_network()
  decoding = input_pipeline.Decoding(training_data.parse_batch, settings.image, 3)
  order = input_pipeline.Order(training_data.train, training_data.label_ids, 3, 16, 3)
  batches = input_pipeline.TrainingBatches(order, decoding, settings.image, settings.augment)
  monkeypatch.setattr(memory, 'available', lambda: 1000)
  assert (
    feeds.cache(model, batches, input_pipeline.batches(training_data.val, decoding, 16), 1) is None
  )
