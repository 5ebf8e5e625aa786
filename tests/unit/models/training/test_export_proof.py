"""An export with a planted fault is refused, and the fault is named."""

import contextlib
import dataclasses
import io
import json
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from models import classifier, decision, decoder, export, known_images
from models.training import export_proof
from models.training import run as training
from schemas.config import Config
from schemas.errors import ExportError
from tests.unit.models.training.conftest import small_network

DECISION = decision.Decision(2.0, (0.0, 1.0, 0.0))
CONFIG = Config.model_validate({'name': 'colours', 'image': {'height': 32, 'width': 32}})
# Eight features about one mean: what is foreign is not asked here.
KNOWN = known_images.KnownImages(
  np.zeros((3, 8), np.float32),
  np.eye(8, 2, dtype=np.float32),
  np.ones(2, np.float32),
  np.array(1.0),
)


@pytest.fixture(scope='module')
def model():
  import keras

  keras.utils.set_random_seed(0)
  made = small_network()
  # Statistics and a head with which images get different answers.
  for batch in np.random.default_rng(0).uniform(0, 255, (20, 8, 32, 32, 3)).astype(np.float32):
    made(batch, training=True)
  made.get_layer('logits').set_weights([np.random.default_rng(1).normal(0, 2, (8, 3)), np.zeros(3)])
  return made


@pytest.fixture(scope='module')
def write(model, training_data):
  """Returns write(folder, change): exports the network, planted where there is a change."""

  both = classifier.to_features_and_logits(model)

  def write(folder, change=None):
    def planted(pixels, training):
      return both(pixels, training=training)[0], change(model, pixels)

    export.export(
      model,
      training_data.transform,
      training_data.transform_layer,
      CONFIG,
      training_data.labels,
      KNOWN,
      folder,
      decision=DECISION,
      network=planted if change else None,
    )
    return folder

  return write


@pytest.fixture(scope='module')
def honest(write, tmp_path_factory):
  return write(tmp_path_factory.mktemp('honest') / 'export')


@pytest.fixture
def prove(model, training_data):
  """Returns prove(folder): compares an export with the network."""

  def prove(folder, network=None, decided=DECISION, labels=None):
    return export_proof.prove(
      folder,
      network or model,
      decided,
      labels or training_data.labels,
      CONFIG.image,
      training_data.val,
    )

  return prove


def test_an_honest_export_passes_with_its_figures(prove, honest):
  proof = prove(honest)
  assert proof.images == 12 and proof.limit == 1e-4
  assert max(proof.by_bytes, proof.by_records, proof.alone) < 1e-5
  assert proof.repeated == 0
  # PNG: only the resize's rounding, of half a level twice, is left.
  assert proof.pixels < 1
  assert proof.check().ok and '12 images of val' in proof.check().text
  assert dataclasses.asdict(proof)['by_records'] == proof.by_records


def test_pixels_normalised_twice_in_the_export_are_refused(prove, write, tmp_path):
  folder = write(tmp_path / 'export', lambda model, x: model(x / 255.0, training=False))
  with pytest.raises(
    ExportError, match=r'differ by [\d.e-]+ of a probability on image number \d+ .*normalised twice'
  ):
    prove(folder)


def test_chance_in_the_export_is_refused(prove, write, tmp_path):
  folder = write(
    tmp_path / 'export',
    lambda model, x: model(x + 60 * tf.random.normal([]), training=False),
  )
  with pytest.raises(ExportError, match='two calls of serving_default .*draws by chance'):
    prove(folder)


def test_an_export_that_normalises_by_the_batch_is_refused(prove, write, tmp_path):
  def change(model, pixels):
    # What BatchNorm in training mode does, without the dropout that would show first.
    centred = pixels - tf.reduce_mean(pixels, [0, 1, 2], keepdims=True) + 100.0
    return model(centred, training=False)

  with pytest.raises(ExportError, match='alone and the same among others differ .*BatchNorm'):
    prove(write(tmp_path / 'export', change))


def test_an_export_of_another_network_is_refused(prove, honest, model):
  class Swapped:
    layers = model.layers

    def __call__(self, pixels, training):
      return model(pixels[..., ::-1], training=training)

  swapped = Swapped()
  with pytest.raises(ExportError, match='serving_default and the trained .*channels are swapped'):
    prove(honest, network=swapped)


def test_names_in_another_order_are_refused_with_both_names(prove, honest, training_data):
  with pytest.raises(ExportError, match="serving_default calls image .* expected: '.*vocabulary"):
    prove(honest, labels=[*training_data.labels[1:], training_data.labels[0]])


def test_another_temperature_is_refused(prove, honest):
  with pytest.raises(ExportError, match='serving_default and the trained network differ'):
    prove(honest, decided=decision.Decision(1.0, DECISION.thresholds))


@pytest.mark.parametrize('checks', [True, False])
def test_a_training_ends_with_it_and_records_it(
  model, training_data, transform_output, tmp_path, monkeypatch, checks
):
  config = CONFIG.model_copy(update={'train': CONFIG.train.model_copy(update={'checks': checks})})
  record = {'checks': [], 'seed': 0}
  trained = training.Trained(model, record, DECISION, KNOWN)
  monkeypatch.setattr(training, 'train', lambda *_: trained)
  monkeypatch.setattr(training.export, 'export', lambda *given: _copy(given[6]))
  fn_args = types.SimpleNamespace(
    custom_config={'config': config.model_dump_json(by_alias=True), 'weights': 'none'},
    hyperparameters=None,
    transform_output=transform_output.transform_savedmodel_dir.rpartition('/')[0],
    train_files=training_data.train.files,
    eval_files=training_data.val.files,
    model_run_dir=str(tmp_path),
    serving_model_dir=str(tmp_path / 'no-export'),
  )

  def _copy(folder):
    assert str(folder) == fn_args.serving_model_dir

  if checks:
    # Nothing was exported: the training does not end well.
    with pytest.raises(ExportError, match='no-export: expected an export that can be loaded'):
      training.run_fn(fn_args)
    return
  training.run_fn(fn_args)


def test_what_it_found_joins_the_checks_in_the_record(model, honest, training_data, tmp_path):
  trained = training.Trained(model, {'checks': [{'name': 'shapes'}], 'seed': 3}, DECISION, KNOWN)
  training._prove(CONFIG, training_data, trained, honest, tmp_path)
  record = json.loads((tmp_path / training.RECORD_FILE).read_text())
  assert [check['name'] for check in record['checks']] == ['shapes', 'export']
  assert record['export_proof']['images'] == 12 and record['seed'] == 3
  assert record['checks'][1]['ok'] and '(limit 0.0001)' in record['checks'][1]['text']


def test_ids_of_another_vocabulary_are_refused(training_data):
  images = export_proof._read(training_data.val, 3)
  order = {label: number for number, label in enumerate(training_data.labels)}
  ids = np.array([order[one.label] for one in images])
  export_proof._judge_label_ids(ids, images, training_data.labels)
  with pytest.raises(ExportError, match='transform_features gives .* expected: '):
    export_proof._judge_label_ids((ids + 1) % 3, images, training_data.labels)


def test_a_folder_that_is_no_export_is_told(model, training_data, tmp_path):
  with pytest.raises(ExportError, match='expected an export that can be loaded'):
    export_proof.prove(
      tmp_path, model, DECISION, training_data.labels, CONFIG.image, training_data.val
    )


@contextlib.contextmanager
def _decoder(change):
  with pytest.MonkeyPatch.context() as patched:
    decode = decoder.decode_and_resize
    patched.setattr(decoder, 'decode_and_resize', lambda *given: change(decode(*given)))
    yield


@pytest.mark.parametrize(
  'change',
  [lambda x: x[..., ::-1], lambda x: x / 255.0, lambda x: x[:, ::-1]],
  ids=['bgr', 'scale', 'mirrored'],
)
def test_a_decoder_that_both_paths_share_is_compared_with_pillow(
  model, training_data, tmp_path, change
):
  with _decoder(change), pytest.raises(ExportError, match='differs from Pillow by .* of image'):
    export_proof.prove(
      tmp_path, model, DECISION, training_data.labels, CONFIG.image, training_data.val
    )


@pytest.mark.parametrize('form', ['PNG', 'JPEG', 'BMP'])
@pytest.mark.parametrize('fit', ['squash', 'crop', 'pad'])
def test_every_fit_of_the_decoder_is_that_of_pillow(form, fit):
  # Smooth and coloured, larger and smaller than the input, turned by EXIF.
  exif = Image.Exif()
  exif[0x0112] = 6
  for width, height in ((90, 61), (17, 29)):
    small = np.random.default_rng(width).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    picture.save(stream, form, **({'exif': exif} if form == 'JPEG' else {}))
    image = CONFIG.image.model_copy(update={'fit': fit, 'crop_fraction': 0.9, 'width': 40})
    ours = decoder.decode_batch(tf.constant([stream.getvalue()]), image).numpy()
    one = export_proof._Image('x', stream.getvalue(), b'', '')
    assert export_proof._against_pillow([one], ours, image) < 1.5
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(stream.getvalue())))
    assert (upright.width > upright.height) == ((width > height) != (form == 'JPEG'))
