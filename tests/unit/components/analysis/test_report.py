"""The component on real artifacts: a network whose answer is the brightest channel."""

import io
import json

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image
from tfx.types import standard_artifacts

import components
from components.analysis import component, executor, outputs
from models import classifier, decision, decoder, export, pretrained
from schemas import signatures
from schemas.config import AnalysisConfig, Config
from tests.unit.components.analysis.test_activation import BUILD_FN
from tests.unit.serving import exports

LABELS = ['blue', 'green', 'red']
CHANNEL = {'blue': 2, 'green': 1, 'red': 0}
CONFIG = Config.model_validate(
  {
    'name': 'x',
    'data': {'directional': False},
    'image': {'height': 8, 'width': 8},
    'model': {'build_fn': BUILD_FN, 'dropout': 0.0},
  }
)
# What is wrong with the labels of test: the sure one, and the one that is less sure.
WRONG = {'test-0': 'green', 'test-3': 'green'}


def picture(number, strength=120):
  """12 x 15 pixels, the channel of number's class the brightest; and its class."""
  label = LABELS[number % 3]
  pixels = np.random.default_rng(number).integers(0, 90, (12, 15, 3))
  pixels[..., CHANNEL[label]] += strength
  return pixels.astype(np.uint8), label


def png(pixels):
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, 'PNG')
  return stream.getvalue()


SPLITS = {
  'train': {f'train-{number}': picture(number) for number in range(30)},
  'test': {f'test-{number}': picture(number, 90 if number else 160) for number in range(9)},
}


def truth(image_id, label):
  return WRONG.get(image_id, label)


def network():
  model = classifier.build(CONFIG.model, CONFIG.image, 3, np.zeros(3), np.ones(3))
  model.get_layer('backbone').get_layer('channels').set_weights([np.eye(3)[None, None]])
  # blue, green, red of red, green, blue.
  model.get_layer('logits').set_weights([20 * np.eye(3)[::-1], np.zeros(3)])
  return model


def write_model(folder):
  model = network()
  plain = decision.Decision(1.0, (0.5,) * 3)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, signatures.IMAGE_BYTES)])
  def answer(image_bytes):
    pixels = decoder.decode_batch(image_bytes, CONFIG.image)
    logits = model(pixels, training=False)
    return decision.answer(plain, logits, tf.zeros(tf.shape(logits)[0]), LABELS)

  archive = keras.export.ExportArchive()
  archive.track(model)
  archive.add_endpoint(signatures.SERVING_DEFAULT, answer)
  archive.write_out(str(folder / 'model/Format-Serving'), verbose=False)
  export.write_identity(folder / 'model/Format-Serving', CONFIG, LABELS, 'run', plain)
  pretrained.save(model.get_layer('backbone'), BUILD_FN, folder / 'run')


def write_data(folder):
  rows = []
  for split, images in SPLITS.items():
    (folder / f'examples/Split-{split}').mkdir(parents=True)
    with tf.io.TFRecordWriter(
      str(folder / f'examples/Split-{split}/data_tfrecord-00000-of-00001.gz'), 'GZIP'
    ) as writer:
      for image_id, (pixels, label) in images.items():
        label = truth(image_id, label)
        writer.write(exports.example(png(pixels), image_id, label))
        rows.append((image_id, f'{image_id}.png', label, split))
  columns = dict(zip(('image_id', 'path', 'label', 'split'), zip(*rows, strict=True), strict=True))
  for name in ('dataset', 'audit', 'predictions'):
    (folder / name).mkdir()
  pq.write_table(pa.table(columns), folder / 'dataset/manifest.parquet')
  (folder / 'audit/findings.csv').write_text(
    'code,filename\nsuspect_label,test-3.png\nblurred,test-0.png\n'
  )


def write_predictions(folder):
  model, rows = network(), []
  for image_id, (pixels, label) in SPLITS['test'].items():
    seen = tf.clip_by_value(
      tf.image.resize(pixels.astype(np.float32), [8, 8], antialias=True), 0.0, 255.0
    )
    probabilities = tf.nn.softmax(model(seen[None]))[0].numpy()
    label = truth(image_id, label)
    rows.append((image_id, label, LABELS.index(label), probabilities))
  names = ('image_id', 'label', 'label_id', 'candidate')
  columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
  pq.write_table(pa.table(columns), folder / 'predictions/predictions.parquet')


def run(folder, output, **settings):
  def artifact(kind, name):
    one = kind()
    one.uri = str(folder / name)
    return one

  examples = artifact(standard_artifacts.Examples, 'examples')
  examples.split_names = json.dumps(list(SPLITS))
  made = components.Analysis()
  made.uri = str(output)
  executor.Executor().Do(
    {
      executor.DATASET: [artifact(components.Dataset, 'dataset')],
      executor.AUDIT: [artifact(components.Audit, 'audit')],
      executor.EXAMPLES: [examples],
      executor.MODEL: [artifact(standard_artifacts.Model, 'model')],
      executor.MODEL_RUN: [artifact(standard_artifacts.ModelRun, 'run')],
      executor.PREDICTIONS: [artifact(components.Predictions, 'predictions')],
    },
    {executor.ANALYSIS: [made]},
    {executor.SETTINGS: AnalysisConfig(**settings).model_dump_json()},
  )
  return json.loads((output / outputs.FILE).read_text())


@pytest.fixture(scope='module')
def artifacts(tmp_path_factory):
  folder = tmp_path_factory.mktemp('artifacts')
  write_model(folder)
  write_data(folder)
  write_predictions(folder)
  return folder


@pytest.fixture(scope='module')
def analysed(artifacts, tmp_path_factory):
  output = tmp_path_factory.mktemp('out') / 'analysis'
  return run(artifacts, output), output


def test_every_part_of_the_contract_is_there(analysed):
  found, _ = analysed
  assert found['images'] == 9 and found['seconds'] > 0
  assert len(found['robustness']) == 7 * 6
  unchanged = [row for row in found['robustness'] if row['severity'] == 0]
  # Two of nine labels are wrong.
  assert all(row['accuracy']['value'] == pytest.approx(7 / 9) for row in unchanged)
  assert {row['change'] for row in found['harmless']} == {
    're-encoded as PNG', 'JPEG quality 95', 'brightness +2 %', 'shifted by one pixel', 'mirrored'
  }  # fmt: skip
  assert len(found['directional']) == 4


def test_the_brightest_channel_survives_what_leaves_it_the_brightest(analysed):
  found, _ = analysed
  assert all(row['flipped']['value'] == 0 for row in found['harmless'])
  flips = {(row['change'], row['severity']): row['flipped']['value'] for row in found['robustness']}
  assert all(flips[name, 5] == 0 for name in ('blur', 'rotation', 'scale', 'contrast'))
  checks = {check['check'].split(' ')[0]: check for check in found['directional']}
  # It answers by the mean colour, and is as sure of that alone.
  assert checks['the']['holds'] is False
  # Of grey all three are as probable: a third, below the threshold of a half.
  assert checks['a']['holds'] is True and '0.333, flagged' in checks['a']['found']


def test_the_surest_error_comes_first_with_what_is_known_of_it(analysed):
  found, output = analysed
  first, second = found['errors']
  assert [first['image_id'], second['image_id']] == ['test-0', 'test-3']
  assert (first['path'], first['label'], first['predicted']) == ('test-0.png', 'green', 'blue')
  assert first['probability'] > second['probability'] > 0.9
  assert [first['suspect'], second['suspect']] == [False, True]
  for name in (first['picture'], first['overlay'], second['picture'], second['overlay']):
    assert Image.open(output / name).size > (100, 100)
  assert found['confused'] == [
    {
      'label': 'green',
      'predicted': 'blue',
      'count': 2,
      'of': 5,
      'image_ids': ['test-0', 'test-3'],
    }
  ]


def test_the_nearest_training_images_are_those_of_the_nearest_mean_colour(analysed):
  found, output = analysed

  def mean(pixels):
    seen = tf.image.resize(pixels.astype(np.float32), [8, 8], antialias=True)
    value = np.asarray(seen, np.float64).mean((0, 1))
    return value / np.linalg.norm(value)

  asked = mean(SPLITS['test']['test-0'][0])
  far = {name: 1 - asked @ mean(pixels) for name, (pixels, _) in SPLITS['train'].items()}
  nearest = found['errors'][0]['nearest']
  assert [one['image_id'] for one in nearest] == sorted(far, key=far.get)[:3]
  for one in nearest:
    assert one['distance'] == pytest.approx(far[one['image_id']], abs=1e-5)
    assert (one['path'], one['label']) == (f'{one["image_id"]}.png', 'blue')
    assert (output / one['picture']).is_file()


def test_the_overlay_is_warm_where_the_answered_channel_is(analysed):
  found, output = analysed
  blue = np.asarray(Image.open(output / found['errors'][0]['overlay']), np.float64)
  # Blue speaks for blue in every cell: the overlay takes from it what it gives to red.
  assert blue[..., 0].mean() > SPLITS['test']['test-0'][0][..., 0].mean() + 50


def test_the_same_seed_gives_the_same_and_no_errors_are_no_pictures(artifacts, tmp_path):
  first = run(artifacts, tmp_path / 'first', images=6, errors=0)
  again = run(artifacts, tmp_path / 'again', images=6, errors=0)
  assert {**first, 'seconds': 0} == {**again, 'seconds': 0}
  assert first['images'] == 6 and first['errors'] == []
  assert list((tmp_path / 'first').rglob('*.png')) == []


def test_weights_that_answer_otherwise_are_not_explained(artifacts, tmp_path):
  other = network()
  other.get_layer('backbone').get_layer('channels').set_weights([0.5 * np.eye(3)[None, None]])
  folder = tmp_path / 'moved'
  folder.mkdir()
  for name in ('model', 'examples', 'dataset', 'audit', 'predictions'):
    (folder / name).symlink_to(artifacts / name)
  pretrained.save(other.get_layer('backbone'), BUILD_FN, folder / 'run')
  found = run(folder, tmp_path / 'out', images=3)
  assert [row['overlay'] for row in found['errors']] == [None, None]
  assert found['errors'][0]['nearest'] == []
  (note,) = found['notes']
  assert 'expected the kept weights to answer as the export does' in note


def test_its_parameters_are_what_it_reads(tmp_path):
  channels = {
    'dataset': components.Dataset,
    'examples': standard_artifacts.Examples,
    'model': standard_artifacts.Model,
    'model_run': standard_artifacts.ModelRun,
    'predictions': components.Predictions,
  }
  from tfx.types.channel import Channel

  node = component.Analysis(
    **{name: Channel(type=kind) for name, kind in channels.items()},
    settings=AnalysisConfig(images=7),
    code_fingerprint='code',
  )
  assert node.id == 'Analysis'
  assert node.outputs['analysis'].type is components.Analysis
  # `run` decides whether it is there at all, and must not analyse anew.
  assert json.loads(node.exec_properties['settings']) == {'images': 7, 'errors': 24, 'seed': 0}


def test_words():
  found = {
    'robustness': [
      {'change': 'blur', 'severity': severity, 'accuracy': {'value': 1 - severity / 10}}
      for severity in range(6)
    ],
    'harmless': [
      {'change': 'a', 'flipped': {'value': 0.5, 'n': 10}},
      {'change': 'b', 'flipped': {'value': 0.0, 'n': 30}},
    ],
    'directional': [{'check': 'it falls', 'holds': False}, {'check': 'it rises', 'holds': True}],
  }
  assert outputs.in_words(found) == [
    'blur 3: 0.70; 12.5% flip by harmless changes',
    'not as expected: it falls',
  ]
