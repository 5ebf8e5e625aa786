"""Records of small coloured images, and Transform's output over them."""

import pathlib

import numpy as np
import pytest

LABELS = ('blue', 'green', 'red')


def png(rng: np.random.Generator, label: str, height: int, width: int) -> bytes:
  """A noisy image in which the label's channel is the brightest."""
  import tensorflow as tf

  channel = ('red', 'green', 'blue').index(label)
  pixels = rng.integers(0, 90, (height, width, 3))
  pixels[..., channel] += 120
  return tf.io.encode_png(pixels.astype(np.uint8)).numpy()


def write_records(path: pathlib.Path, images: list[tuple[bytes, str]]) -> None:
  import tensorflow as tf

  from schemas import features

  def strings(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

  with tf.io.TFRecordWriter(str(path)) as writer:
    for image, label in images:
      writer.write(
        tf.train.Example(
          features=tf.train.Features(
            feature={
              features.IMAGE: strings(image),
              features.LABEL: strings(label.encode()),
            }
          )
        ).SerializeToString()
      )


def analyze(train: list[tuple[bytes, str]], folder: pathlib.Path, size: int):
  """Runs Transform's analysis over `train` and returns a TFTransformOutput."""
  import apache_beam as beam
  import tensorflow as tf
  import tensorflow_transform as tft
  import tensorflow_transform.beam as tft_beam
  from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

  from models import preprocessing
  from schemas import features
  from schemas.config import ImageConfig

  metadata = dataset_metadata.DatasetMetadata(
    schema_utils.schema_from_feature_spec(
      {
        features.IMAGE: tf.io.FixedLenFeature([], tf.string),
        features.LABEL: tf.io.FixedLenFeature([], tf.string),
      }
    )
  )
  rows = [{features.IMAGE: image, features.LABEL: label} for image, label in train]
  settings = {'image': ImageConfig(height=size, width=size).model_dump_json()}
  with beam.Pipeline('apache_beam.runners.portability.fn_api_runner.FnApiRunner') as pipeline:
    with tft_beam.Context(temp_dir=str(folder / 'tmp')):
      transform_fn = (pipeline | beam.Create(rows), metadata) | tft_beam.AnalyzeDataset(
        lambda inputs: preprocessing.preprocessing_fn(inputs, settings)
      )
      transform_fn | tft_beam.WriteTransformFn(str(folder / 'transform'))
  # TFX's Transform writes it; without it there is no raw feature spec.
  metadata_io.write_metadata(metadata, str(folder / 'transform/metadata'))
  return tft.TFTransformOutput(str(folder / 'transform'))


@pytest.fixture(scope='session')
def images() -> dict[str, list[tuple[bytes, str]]]:
  rng = np.random.default_rng(0)
  counts = {'train': 48, 'val': 12, 'test': 12}
  return {
    split: [(png(rng, LABELS[i % 3], 30 + i % 5, 40 - i % 7), LABELS[i % 3]) for i in range(count)]
    for split, count in counts.items()
  }


@pytest.fixture(scope='session')
def transform_output(images, tmp_path_factory):
  return analyze(images['train'], tmp_path_factory.mktemp('transform'), 32)


@pytest.fixture(scope='session')
def training_data(images, transform_output, tmp_path_factory):
  from models.training.data import TrainingData

  folder = tmp_path_factory.mktemp('records')
  for split in ('train', 'val'):
    write_records(folder / f'{split}.tfrecord', images[split])
  return TrainingData(
    train=[str(folder / 'train.tfrecord')],
    val=[str(folder / 'val.tfrecord')],
    transform=transform_output,
  )
