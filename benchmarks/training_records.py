"""Records and Transform's output for benchmarks of training, without a pipeline.

What ImageExampleGen and Transform leave, made by the same functions: TFRecords of
encoded images with labels, and the label vocabulary and pixel statistics of train.
"""

import pathlib
import shutil
import sys
from collections.abc import Iterable, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from schemas import features  # noqa: E402
from schemas.config import ImageConfig  # noqa: E402


def write(path: pathlib.Path, images: Iterable[tuple[bytes, str]]) -> pathlib.Path:
  """Writes (encoded image, label) as a record file."""
  import tensorflow as tf

  path.parent.mkdir(parents=True, exist_ok=True)
  with tf.io.TFRecordWriter(str(path)) as writer:
    for image, label in images:
      example = tf.train.Example()
      feature = example.features.feature
      feature[features.IMAGE].bytes_list.value.append(image)
      feature[features.LABEL].bytes_list.value.append(label.encode())
      writer.write(example.SerializeToString(deterministic=True))
  return path


def read(files: Sequence[str]) -> list[tuple[str, bytes, str]]:
  """Returns (image id, encoded image, label) of record files that ImageExampleGen wrote."""
  import tensorflow as tf

  from models import records

  found = []
  for record in records.read_records(files).as_numpy_iterator():
    feature = tf.train.Example.FromString(record).features.feature
    image_id, image, label = (
      feature[name].bytes_list.value[0]
      for name in (features.IMAGE_ID, features.IMAGE, features.LABEL)
    )
    found.append((image_id.decode(), image, label.decode()))
  return found


def transform(train: Sequence[tuple[bytes, str]], folder: pathlib.Path, image: ImageConfig):
  """Has the preprocessing_fn analyse `train`; returns a TFTransformOutput.

  What an earlier call completed in `folder` stays.
  """
  import apache_beam as beam
  import tensorflow as tf
  import tensorflow_transform as tft
  import tensorflow_transform.beam as tft_beam
  from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

  from models import preprocessing
  from pipeline.create_pipeline import BEAM_ARGS

  output = folder / 'transform'
  # Written last: without it there is no raw feature spec.
  described = output / 'metadata'
  if described.exists():
    return tft.TFTransformOutput(str(output))
  shutil.rmtree(output, ignore_errors=True)
  strings = tf.io.FixedLenFeature([], tf.string)
  metadata = dataset_metadata.DatasetMetadata(
    schema_utils.schema_from_feature_spec({features.IMAGE: strings, features.LABEL: strings})
  )
  rows = [{features.IMAGE: one, features.LABEL: label} for one, label in train]
  settings = {'image': image.model_dump_json()}
  with beam.Pipeline(argv=list(BEAM_ARGS)) as pipeline:
    with tft_beam.Context(temp_dir=str(folder / 'tmp')):
      found = (pipeline | beam.Create(rows), metadata) | tft_beam.AnalyzeDataset(
        lambda inputs: preprocessing.preprocessing_fn(inputs, settings)
      )
      found | tft_beam.WriteTransformFn(str(output))
  shutil.rmtree(folder / 'tmp', ignore_errors=True)
  metadata_io.write_metadata(metadata, str(described))
  return tft.TFTransformOutput(str(output))
