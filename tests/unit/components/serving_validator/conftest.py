import pytest
import tensorflow as tf

from tests.unit.serving import exports

# The seed of the exported network, and of each test image.
NETWORK = 1
IMAGES = {f'id-{seed}': seed for seed in range(11)}


@pytest.fixture(scope='session')
def model_artifact(tmp_path_factory):
  """A model artifact's folder."""
  folder = tmp_path_factory.mktemp('model')
  exports.write_image_model(folder / 'Format-Serving', seed=NETWORK)
  return folder


@pytest.fixture(scope='session')
def examples_artifact(tmp_path_factory):
  """An examples artifact's folder; of its splits, test holds one gzip file and one plain."""
  folder = tmp_path_factory.mktemp('examples')
  records = [
    exports.example(exports.encoded(seed, ('PNG', 'JPEG', 'BMP')[seed % 3], 20 + seed), name)
    for name, seed in IMAGES.items()
  ]
  files = [
    ('Split-test/data_tfrecord-00000-of-00002.gz', 'GZIP', records[:6]),
    ('Split-test/data_tfrecord-00001-of-00002', '', records[6:]),
    ('Split-train/data_tfrecord-00000-of-00001.gz', 'GZIP', [b'no test record']),
  ]
  for name, compression, rows in files:
    (folder / name).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / name), compression) as writer:
      for row in rows:
        writer.write(row)
  return folder
