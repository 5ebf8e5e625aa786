"""Batches: train is shuffled and changed, validation is neither."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from models import decoder, records
from models.training import input_pipeline
from models.training.data import TrainingData
from schemas.config import AugmentConfig, ImageConfig
from schemas.errors import TrainingError

IMAGE = ImageConfig(height=32, width=32)


@pytest.fixture(scope='module')
def decoding(training_data):
  return input_pipeline.Decoding(training_data.parse_batch, IMAGE, 3)


def order(data, seed=0, sampling='none', batch_size=16):
  return input_pipeline.Order(data.train, data.label_ids, 3, batch_size, seed, sampling)


def training_batches(data, decoding, seed=0, **options):
  return input_pipeline.TrainingBatches(
    order(data, seed, **options), decoding, IMAGE, AugmentConfig()
  )


def pixels_of(batches):
  return [pixels.numpy() for pixels, _ in batches]


def test_validation_keeps_file_order_and_gives_equal_batches_twice(training_data, decoding, images):
  batches = input_pipeline.batches(training_data.val, decoding, 5)
  one, two = ([tuple(part.numpy() for part in batch) for batch in batches] for _ in range(2))
  for (pixels, labels), (again, labels_again) in zip(one, two, strict=True):
    np.testing.assert_array_equal(pixels, again)
    np.testing.assert_array_equal(labels, labels_again)
  ids = np.concatenate([labels.argmax(axis=1) for _, labels in one])
  assert [training_data.labels[i] for i in ids] == [label for _, label in images['val']]
  np.testing.assert_array_equal(
    one[0][0][0], decoder.decode_and_resize(images['val'][0][0], IMAGE).numpy()
  )


def test_kept_images_change_no_batch(training_data, decoding, tmp_path):
  """Of epochs, entered in their middle, and of copies; to the bit."""

  def read(batches):
    found = [*batches.epochs(3, 2, skip=1), *batches.in_file_order(1)]
    return [(pixels.numpy().tobytes(), labels.numpy().tobytes()) for pixels, labels in found]

  batches = training_batches(training_data, decoding)
  expected = read(batches)
  needed = 48 * 32 * 32 * 3 * 4
  assert not batches.keep_decoded(needed - 1)
  assert batches.keep_decoded(needed)
  # The records are not read again.
  file = pathlib.Path(batches.order.records.files[0])
  gone = file.rename(tmp_path / 'gone')
  try:
    assert read(batches) == expected
  finally:
    gone.rename(file)


def test_one_iterator_serves_every_pass():
  numbers = tf.data.Dataset.range(5)
  batches = numbers.batch(2).apply(tf.data.experimental.assert_cardinality(3))
  repeated = input_pipeline.Repeatedly(batches)
  for _ in range(3):
    assert [batch.numpy().tolist() for batch in repeated] == [[0, 1], [2, 3], [4]]
  # A pass that was left unfinished does not shift those after it.
  next(iter(repeated))
  repeated.close()
  assert [batch.numpy().tolist() for batch in repeated] == [[0, 1], [2, 3], [4]]


def test_two_epochs_of_training_differ(training_data, decoding):
  batches = training_batches(training_data, decoding)
  one, two = (next(iter(batches.epochs(number, 1)))[0].numpy() for number in range(2))
  assert one.shape == two.shape == (16, 32, 32, 3)
  assert not np.array_equal(one, two)


def test_the_same_seed_and_epoch_give_the_same_batches_and_another_seed_others(
  training_data, decoding
):
  one, two, other = (
    pixels_of(training_batches(training_data, decoding, seed=seed).epochs(4, 1))
    for seed in (7, 7, 8)
  )
  for first, second in zip(one, two, strict=True):
    np.testing.assert_array_equal(first, second)
  assert not np.array_equal(one[0], other[0])


def test_an_epoch_that_is_entered_in_its_middle_goes_on_with_the_same_batches(
  training_data, decoding
):
  batches = training_batches(training_data, decoding)
  whole, rest = pixels_of(batches.epochs(2, 1)), pixels_of(batches.epochs(2, 1, skip=1))
  assert (len(whole), len(rest)) == (3, 2)
  for first, second in zip(whole[1:], rest, strict=True):
    np.testing.assert_array_equal(first, second)


def test_epochs_in_a_row_are_those_that_are_asked_for_one_by_one(training_data, decoding):
  batches = training_batches(training_data, decoding)
  row = pixels_of(batches.epochs(1, 3, skip=2))
  single = [batch for epoch in (1, 2, 3) for batch in pixels_of(batches.epochs(epoch, 1))]
  assert len(row) == 7
  for first, second in zip(row, single[2:], strict=True):
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize('seed', [0, 5])
def test_the_order_does_not_hang_on_the_global_seed(training_data, decoding, seed):
  expected = pixels_of(training_batches(training_data, decoding).epochs(0, 1))
  tf.random.set_seed(seed)
  shown = pixels_of(training_batches(training_data, decoding).epochs(0, 1))
  for first, second in zip(expected, shown, strict=True):
    np.testing.assert_array_equal(first, second)


def test_an_epoch_holds_every_training_image_once(training_data, decoding, images):
  epoch = training_batches(training_data, decoding).epochs(0, 1)
  labels = np.concatenate([labels.numpy() for _, labels in epoch])
  assert len(labels) == len(images['train'])
  counts = dict(zip(training_data.labels, labels.sum(axis=0), strict=True))
  assert counts == {'blue': 16, 'green': 16, 'red': 16}


def test_label_ids_are_those_of_the_files(training_data, images):
  named = [training_data.labels[i] for i in training_data.label_ids]
  assert named == [label for _, label in images['train']]


def test_the_data_hash_changes_with_a_record(training_data, tmp_path):
  (file,) = training_data.train.files
  other = tmp_path / 'train.tfrecord'
  content = list(records.read_records([file]).as_numpy_iterator())
  with tf.io.TFRecordWriter(str(other)) as writer:
    for record in reversed(content):
      writer.write(record)

  def sha256(train):
    return TrainingData(train, training_data.val.files, training_data.transform).sha256

  assert sha256([file]) == training_data.sha256
  assert sha256([str(other)]) != training_data.sha256


@pytest.mark.parametrize(('sampling', 'count'), [('oversample', 10), ('undersample', 2)])
def test_resampled_epochs_show_each_class_as_often(tmp_path, sampling, count):
  # 10, 5 and 2 records; each class appears as often as the largest, or the smallest.
  ids = np.repeat([0, 1, 2], [10, 5, 2])
  resampled = input_pipeline.Order(
    records.Records(('x',), len(ids), 100), ids, 3, 4, seed=3, sampling=sampling
  )
  values = tf.data.Dataset.from_tensor_slices(np.arange(len(ids)))
  shown = [
    np.concatenate([batch.numpy() for batch, _ in resampled.arrange(values, epoch, 1)])
    for epoch in (0, 1)
  ]
  for epoch in shown:
    np.testing.assert_array_equal(np.bincount(ids[epoch], minlength=3), [count] * 3)
  assert not np.array_equal(*shown)
  assert resampled.steps() == -(-3 * count // 4)


def test_kept_copies_are_in_file_order_and_differ(training_data, decoding, images):
  batches = training_batches(training_data, decoding)
  for copy in (0, 1):
    labels = np.concatenate([labels.numpy() for _, labels in batches.in_file_order(copy)])
    named = [training_data.labels[i] for i in labels.argmax(axis=1)]
    assert named == [label for _, label in images['train']]
  first, second = (next(iter(batches.in_file_order(copy)))[0].numpy() for copy in (0, 1))
  assert not np.array_equal(first, second)


def test_the_files_are_counted_and_weighed(training_data):
  (file,) = training_data.train.files
  assert training_data.train == records.Records((file,), 48, pathlib.Path(file).stat().st_size)
  assert [training_data.val.steps(batch) for batch in (5, 6, 12, 13)] == [3, 2, 1, 1]


def test_batches_do_not_read_the_files_to_count_them_again(decoding):
  some = records.Records(('nowhere',), 10, 100)
  batches = input_pipeline.batches(some, decoding, 4)
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


def test_training_shuffles_within_that_buffer(training_data, decoding, monkeypatch):
  monkeypatch.setattr(input_pipeline, '_SHUFFLE_BYTES', 1)
  asked = []
  shuffle = tf.data.Dataset.shuffle

  def noting(self, buffer_size, *args, **kwargs):
    asked.append(buffer_size)
    return shuffle(self, buffer_size, *args, **kwargs)

  monkeypatch.setattr(tf.data.Dataset, 'shuffle', noting)
  training_batches(training_data, decoding).epochs(0, 1)
  assert asked == [16]


def test_a_pattern_without_files_is_an_error(tmp_path):
  with pytest.raises(TrainingError, match='none match'):
    records.record_files([str(tmp_path / '*')])
