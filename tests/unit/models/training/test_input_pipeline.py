"""Batches: train is shuffled and changed, validation is neither."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from models import decoder, records
from models.training import input_pipeline
from schemas.config import AugmentConfig, ImageConfig
from schemas.errors import TrainingError

IMAGE = ImageConfig(height=32, width=32)


def training_batches(data, seed=0):
  return input_pipeline.training_batches(
    data.train, data.parse_batch, IMAGE, AugmentConfig(), 3, 16, seed
  )


def test_validation_keeps_file_order_and_gives_equal_batches_twice(training_data, images):
  batches = input_pipeline.batches(training_data.val, training_data.parse_batch, IMAGE, 3, 5)
  one, two = ([tuple(part.numpy() for part in batch) for batch in batches] for _ in range(2))
  for (pixels, labels), (again, labels_again) in zip(one, two, strict=True):
    np.testing.assert_array_equal(pixels, again)
    np.testing.assert_array_equal(labels, labels_again)
  ids = np.concatenate([labels.argmax(axis=1) for _, labels in one])
  assert [training_data.labels[i] for i in ids] == [label for _, label in images['val']]
  np.testing.assert_array_equal(
    one[0][0][0], decoder.decode_and_resize(images['val'][0][0], 32, 32).numpy()
  )


def test_two_epochs_of_training_differ(training_data):
  batches = training_batches(training_data)
  one, two = (next(iter(batches))[0].numpy() for _ in range(2))
  assert one.shape == two.shape == (16, 32, 32, 3)
  assert not np.array_equal(one, two)


def test_the_same_seed_gives_the_same_two_epochs(training_data):
  def epochs():
    batches = training_batches(training_data, seed=7)
    return [batch[0].numpy() for _ in range(2) for batch in batches]

  for one, two in zip(epochs(), epochs(), strict=True):
    np.testing.assert_array_equal(one, two)


def test_an_epoch_holds_every_training_image_once(training_data, images):
  labels = np.concatenate([labels.numpy() for _, labels in training_batches(training_data)])
  assert len(labels) == len(images['train'])
  counts = dict(zip(training_data.labels, labels.sum(axis=0), strict=True))
  assert counts == {'blue': 16, 'green': 16, 'red': 16}


def test_the_files_are_counted_and_weighed(training_data):
  (file,) = training_data.train.files
  assert training_data.train == records.Records((file,), 48, pathlib.Path(file).stat().st_size)
  assert [training_data.val.steps(batch) for batch in (5, 6, 12, 13)] == [3, 2, 1, 1]


def test_batches_do_not_read_the_files_to_count_them_again(training_data):
  some = records.Records(('nowhere',), 10, 100)
  batches = input_pipeline.batches(some, training_data.parse_batch, IMAGE, 3, 4)
  assert batches.cardinality() == 3


@pytest.mark.parametrize(
  ('count', 'mean', 'batch_size', 'expected'),
  [
    # Small images: by number. 2**20 bytes each: 1 GiB holds 1024. 2**28: four, and a batch is more.
    (50_000, 20_000, 32, 10_000),
    (50_000, 2**20, 32, 1024),
    (50_000, 2**28, 2, 4),
    (50_000, 2**28, 32, 32),
    (0, 0, 32, 10_000),
  ],
)
def test_the_shuffle_buffer_holds_a_gibibyte_and_a_batch(count, mean, batch_size, expected):
  some = records.Records(('x',), count, count * mean)
  assert input_pipeline.shuffle_buffer(some, batch_size) == expected


def test_training_shuffles_within_that_buffer(training_data, monkeypatch):
  monkeypatch.setattr(input_pipeline, '_SHUFFLE_BYTES', 1)
  asked = []
  shuffle = tf.data.Dataset.shuffle

  def noting(self, buffer_size, *args, **kwargs):
    asked.append(buffer_size)
    return shuffle(self, buffer_size, *args, **kwargs)

  monkeypatch.setattr(tf.data.Dataset, 'shuffle', noting)
  training_batches(training_data)
  assert asked == [16]


def test_a_pattern_without_files_is_an_error(tmp_path):
  with pytest.raises(TrainingError, match='none match'):
    records.record_files([str(tmp_path / '*')])
