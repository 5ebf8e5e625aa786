"""The faults: a literal table. Each plants one, and asks the gates of the pipeline."""

import random
from collections.abc import Callable
from typing import NamedTuple
from unittest import mock

import numpy as np
import tensorflow as tf
from PIL import Image

from models import augmentation, decoder, records
from models.training import run as training
from models.training.data import TrainingData
from pipeline.selftest import bench, pictures
from pipeline.selftest.bench import Bench
from pipeline.selftest.caught import Caught
from schemas import features, signatures


class Fault(NamedTuple):
  """One row of the table.

  Attributes:
    name: of the fault.
    planted: what is done, in words.
    gate: that is to catch it.
    plant: does it on a bench; returns the gate that caught it, or None.
  """

  name: str
  planted: str
  gate: str
  plant: Callable[[Bench], Caught | None]


def _statistics_of_all_splits(on: Bench) -> Caught | None:
  files = [path for split in features.SPLITS for path in on.records(split)]
  images = [_feature(record, features.IMAGE) for record in _read(files)]
  pixels = decoder.decode_batch(tf.constant(images), on.config.image).numpy() / 255
  return on.check_statistics(pixels.mean((0, 1, 2)), pixels.var((0, 1, 2)))


def _double_normalisation(on: Bench) -> Caught | None:
  mean, variance = on.data.pixel_statistics()
  deviation = np.sqrt(variance)
  return _exported(on, lambda model, x: model((x / 255 - mean) / deviation, training=False))


def _bgr(on: Bench) -> Caught | None:
  return _exported(on, lambda model, x: model(x[..., ::-1], training=False))


def _bgr_decoder(on: Bench) -> Caught | None:
  decode = decoder.decode
  with mock.patch.object(decoder, 'decode', lambda image: decode(image)[..., ::-1]):
    return _exported(on, lambda model, x: model(x, training=False))


def _augmented(on: Bench) -> Caught | None:
  def network(model, pixels):
    nobody = tf.zeros([tf.shape(pixels)[0], len(on.data.labels)])
    seed = tf.random.uniform([2], maxval=2**31, dtype=tf.int64)
    changed, _ = augmentation.augment(on.config.augment, pixels, nobody, seed)
    return model(changed, training=False)

  return _exported(on, network)


def _batch_norm(on: Bench) -> Caught | None:
  return _exported(on, lambda model, x: model(x, training=True))


def _exported(on: Bench, network: bench.Network) -> Caught | None:
  return on.prove(on.export(on.folder(), network))


def _shuffled_labels(on: Bench) -> Caught | None:
  folder = on.folder()
  path = folder / 'train.tfrecord'
  serialised = _read(on.records(features.TRAIN))
  labels = [_feature(record, features.LABEL) for record in serialised]
  random.Random(0).shuffle(labels)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for record, label in zip(serialised, labels, strict=True):
      example = tf.train.Example.FromString(record)
      example.features.feature[features.LABEL].bytes_list.value[:] = [label]
      writer.write(example.SerializeToString())
  data = TrainingData([str(path)], on.records(features.VAL), on.data.transform)
  # What the checks before the first epoch look at is the same as on the clean data.
  config = on.config.model_copy(
    update={'train': on.config.train.model_copy(update={'checks': False})}
  )
  honest = on.trained
  on.trained = training.train(config, data, 'none', folder / 'model_run')
  try:
    on.export(folder / 'model')
  finally:
    on.trained = honest
  return on.evaluate(folder / 'model', folder / 'evaluated')


def _leaked_split(on: Bench) -> Caught | None:
  root = on.root / 'leaked'
  rows = pictures.write(root, 60, seed=3, given=True)
  name, label, _ = next(row for row in rows if row[2] == features.TRAIN)
  with Image.open(root / 'images' / name) as picture:
    picture.save(root / 'images' / 'copy.jpg', quality=90)
  pictures.write_labels(root, [*rows, ['copy.jpg', label, features.TEST]], given=True)
  return bench.run_pipeline(on.planted_data('leaked'), 'ImageExampleGen')


def _drifted_data(on: Bench) -> Caught | None:
  pictures.write(on.root / 'data' / 'span-2', bench.IMAGES, seed=2, light=0.4)
  # Transform waits for DataGate, and does not run where that refuses.
  return bench.run_pipeline(on.config, 'Transform')


def _not_servable(on: Bench) -> Caught | None:
  folder = on.folder()
  model, image = on.trained.model, on.config.image

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)])
  def answer(image_bytes):
    logits = model(decoder.decode_batch(image_bytes, image), training=False)
    return {signatures.PROBABILITIES: tf.nn.softmax(logits)}

  written = folder / 'model' / 'Format-Serving'
  tf.saved_model.save(model, str(written), signatures={signatures.SERVING_DEFAULT: answer})
  on.write_identity(written)
  return on.validate(folder / 'model', on.root / 'evaluated' / 'predictions')


def _other_order(on: Bench) -> Caught | None:
  folder = on.folder()
  first, *others = on.data.labels
  written = on.export(folder / 'model', labels=[*others, first])
  on.write_identity(written)
  return on.validate(folder / 'model', on.root / 'evaluated' / 'predictions')


FAULTS = (
  Fault(
    'statistics from all splits',
    'mean and variance of the pixels of train, val and test normalise',
    bench.PIXEL_STATISTICS,
    _statistics_of_all_splits,
  ),
  Fault(
    'leaked split',
    'a picture of train stands in test as well, saved again as a JPEG',
    'ImageExampleGen',
    _leaked_split,
  ),
  Fault(
    'drifted data',
    'the pictures of the next span have 40 % of the light',
    'DataGate',
    _drifted_data,
  ),
  Fault(
    'shuffled labels',
    'the labels of train change places among its pictures',
    bench.EVALUATOR,
    _shuffled_labels,
  ),
  Fault(
    'double normalisation',
    'the export normalises pixels that the network normalises again',
    bench.EXPORT_PROOF,
    _double_normalisation,
  ),
  Fault('BGR channels', 'the export swaps red and blue', bench.EXPORT_PROOF, _bgr),
  Fault(
    'BGR in the decoder',
    'the one decoder, which training and export share, swaps red and blue',
    bench.EXPORT_PROOF,
    _bgr_decoder,
  ),
  Fault(
    'BatchNorm in training mode',
    'the export runs the network with training=True',
    bench.EXPORT_PROOF,
    _batch_norm,
  ),
  Fault(
    'augmented evaluation',
    'the export augments what it is asked about, and what it is evaluated on',
    bench.EXPORT_PROOF,
    _augmented,
  ),
  Fault(
    'export that cannot be served',
    'written by tf.saved_model.save in place of keras.export',
    f'{bench.SERVING_VALIDATOR}: loads',
    _not_servable,
  ),
  Fault(
    'wrong vocabulary order at serving',
    'the served names of the classes stand one place further than the evaluated ones',
    f'{bench.SERVING_VALIDATOR}: labels',
    _other_order,
  ),
)


def _read(files: list[str]) -> list[bytes]:
  return list(records.read_records(files).as_numpy_iterator())


def _feature(record: bytes, key: str) -> bytes:
  return tf.train.Example.FromString(record).features.feature[key].bytes_list.value[0]
