"""A run's model in other formats: proved and written, or refused and nothing left."""

import dataclasses
import importlib.util
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from models.formats import openvino_file
from pipeline import other_formats
from pipeline.other_formats import Wanted
from schemas.config import FormatsConfig
from schemas.errors import ExportError
from serving import openvino_servable
from tests.unit.pipeline.diagnosis.conftest import (  # noqa: F401 - fixtures
  NETWORK,
  pixels,
  png,
  run,
  say,
)
from tests.unit.serving import exports

LIMITS = FormatsConfig()


@pytest.fixture(scope='module')
def subject(run, say, tmp_path_factory):  # noqa: F811
  """The run, with records of train and a manifest that knows the images of test."""
  import pyarrow as pa
  import pyarrow.parquet as pq

  root = tmp_path_factory.mktemp('subject')
  examples = root / 'examples'
  shutil.copytree(run.test_records[0].removesuffix('/*'), examples / 'Split-test')
  (examples / 'Split-train').mkdir()
  with tf.io.TFRecordWriter(str(examples / 'Split-train' / 'data-00000-of-00001')) as writer:
    for seed in range(2000, 2020):
      writer.write(exports.example(png(pixels(seed)), f'id-{seed}', say(seed)))
  ids = [f'id-{seed}' for seed in range(1000, 1060)]
  pq.write_table(pa.table({'image_id': ids, 'cluster': [''] * 60}), root / 'manifest.parquet')
  return dataclasses.replace(
    run,
    test_records=(str(examples / 'Split-test' / '*'),),
    manifest=root / 'manifest.parquet',
  )


def test_a_format_is_written_with_what_goes_in_and_comes_out(subject, tmp_path):
  folder = tmp_path / 'lite'
  found = other_formats.write(subject, Wanted('litert', False, folder), LIMITS)
  assert sorted(path.name for path in folder.iterdir()) == ['model.tflite', 'sightline.json']
  assert [path.name for path in tmp_path.iterdir()] == ['lite']
  assert found.size == (folder / 'model.tflite').stat().st_size
  assert (found.parity.images, found.parity.agreement, found.loss) == (60, 60, None)
  content = json.loads((folder / 'sightline.json').read_text())
  assert content['labels'] == list(exports.LABELS)
  assert content['input']['shape'] == ['N', exports.SIDE, exports.SIDE, 3]
  assert (content['version'], content['run_id']) == (subject.version, f'seed-{NETWORK}')
  assert content['packages']['tensorflow'] == tf.__version__
  assert content['parity']['images'] == 60
  # Without the export, and without Sightline: the labels and the file are enough.
  read = np.asarray(
    tf.clip_by_value(
      tf.image.resize(pixels(1), [exports.SIDE, exports.SIDE], antialias=True), 0, 255
    )
  )
  interpreter = tf.lite.Interpreter(str(folder / content['file'])).get_signature_runner()
  class_id = interpreter(pixels=read[None])['class_id'][0]
  network = exports.network(NETWORK)
  assert class_id == np.asarray(network(read[None], training=False)).argmax()
  with pytest.raises(ExportError, match='not there yet'):
    other_formats.write(subject, Wanted('litert', False, folder), LIMITS)


def test_over_the_limit_nothing_is_left(subject, tmp_path):
  limits = FormatsConfig(max_difference=1e-12)
  with pytest.raises(ExportError, match=r'format litert: .* within 1e-12 .*Nothing was written'):
    other_formats.write(subject, Wanted('litert', False, tmp_path / 'lite'), limits)
  assert list(tmp_path.iterdir()) == []


def test_eight_bits_go_into_the_version_with_their_paired_loss(subject, tmp_path):
  if importlib.util.find_spec('nncf') is None:
    pytest.skip("needs the extra 'fast'")
  published = tmp_path / 'serving' / 'colours' / '7'
  shutil.copytree(subject.published, published)
  folder = published / openvino_servable.FOLDER
  folder.mkdir()
  (folder / 'earlier').touch()
  of_copy = dataclasses.replace(subject, published=published)
  limits = FormatsConfig(calibration_images=12, max_int8_loss=0.5)
  found = other_formats.write(of_copy, Wanted('openvino', True, folder, replace=True), limits)
  assert not (folder / 'earlier').exists()
  assert len(list(folder.parent.glob('.*'))) == 0
  assert (found.loss.n, found.loss.groups) == (60, 60)
  content = json.loads((folder / 'sightline.json').read_text())
  assert content['precision'] == 'int8'
  assert content['paired_loss']['difference'] == pytest.approx(
    (found.loss.only_first - found.loss.only_second) / 60
  )
  servable = openvino_servable.OpenVinoServable(published)
  assert servable.precision == 'int8'
  servable.close()


def test_a_loss_beyond_the_limit_is_refused(subject):
  ids = [(f'id-{seed}', 'red') for seed in range(1000, 1060)]
  right = {'class_id': np.full(60, exports.LABELS.index('red'))}
  wrong = {'class_id': right['class_id'].copy()}
  wrong['class_id'][:7] = 0
  # Seven of sixty, all on one side: p is 2 / 2 ** 7.
  with pytest.raises(ExportError, match=r'at most 0.05 .*worse, -0.1167 .*p 0.016'):
    other_formats.paired_loss(subject, right, wrong, ids, 0.05)
  wrong['class_id'][3:] = right['class_id'][3:]
  found = other_formats.paired_loss(subject, right, wrong, ids, 0.05)
  assert (found.verdict, found.only_first, found.only_second) == ('same', 0, 3)


def test_calibration_images_are_spread_over_train(subject):
  asked = []

  def decoder(records):
    asked.extend(tf.train.Example.FromString(one) for one in records)
    return np.zeros((len(records), 8, 8, 3), np.float32)

  assert other_formats._pixels(decoder, subject.train_records, 3).shape == (3, 8, 8, 3)
  names = [one.features.feature['image/id'].bytes_list.value[0] for one in asked]
  assert names == [b'id-2000', b'id-2009', b'id-2019']
  assert len(other_formats._pixels(decoder, subject.train_records, 99)) == 20


def test_a_converter_that_fails_leaves_nothing(subject, tmp_path, monkeypatch):
  def fail(network):
    raise ExportError('format openvino: the network cannot be converted')

  monkeypatch.setattr(openvino_file, 'convert', fail)
  with pytest.raises(ExportError, match='cannot be converted'):
    other_formats.write(subject, Wanted('openvino', False, tmp_path / 'a'), LIMITS)
  assert list(tmp_path.iterdir()) == []
