"""The tensor of an image is one in training, in evaluation and in serving."""

import numpy as np
import pytest
import tensorflow as tf

from models import classifier, decoder, export, golden_images, image_file, proof, proof_writing
from models.decision import Decision
from models.training import input_pipeline
from models.training.data import TrainingData
from schemas import signatures
from schemas.config import Config, ImageConfig
from schemas.errors import ExportError
from serving.servable import Servable
from tests.unit.models.conftest import write_records
from tests.unit.models.test_export import known

CONFIG = Config.model_validate(
  {
    'name': 'colours',
    'image': {'height': 40, 'width': 32, 'fit': 'crop'},
    'model': {'backbone': 'efficientnet_tiny'},
  }
)
LABELS = ['blue', 'green', 'red']


@pytest.fixture(scope='module')
def prepared() -> dict[str, bytes]:
  """What ingest makes of each image that it takes, by name."""
  return {
    one.name: image_file.prepare(one.encoded).encoded
    for one in golden_images.make()
    if one.outcome != golden_images.REFUSED
  }


@pytest.fixture(scope='module')
def records(prepared, tmp_path_factory):
  path = tmp_path_factory.mktemp('golden') / 'golden.tfrecord'
  write_records(path, [(data, 'blue') for data in prepared.values()])
  return path


@pytest.fixture(scope='module')
def exported(training_data, tmp_path_factory):
  """A whole export, with its network taken out: its answers are the pixels that it sees."""
  mean, variance = training_data.pixel_statistics()
  model = classifier.build(CONFIG.model, CONFIG.image, len(LABELS), mean, variance)
  width = model.get_layer('features').output.shape[-1]
  folder = tmp_path_factory.mktemp('export') / 'model'

  def pixels_alone(pixels, training):
    flat = tf.reshape(pixels, [-1, CONFIG.image.height * CONFIG.image.width * 3])
    return tf.zeros([tf.shape(pixels)[0], width]), flat

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(
      export.decisions, 'answer', lambda _, logits, *__: {signatures.PROBABILITIES: logits}
    )
    export.export(
      model,
      training_data.transform,
      training_data.transform_layer,
      CONFIG,
      LABELS,
      known(model),
      folder,
      network=pixels_alone,
    )
  return model, folder


def hashes(pixels) -> list[str]:
  shape = [-1, CONFIG.image.height, CONFIG.image.width, 3]
  return [proof.tensor_sha256(one) for one in np.asarray(pixels).reshape(shape)]


def test_training_evaluation_and_serving_see_the_same_tensor(
  exported, prepared, records, training_data
):
  _, folder = exported
  expected = {
    golden.image.name: golden.tensor_sha256
    for golden in proof.read(folder).goldens
    if golden.tensor_sha256
  }
  assert list(expected) == list(prepared)
  # Training: records, Transform's graph, and the decoding of its batches.
  data = TrainingData([str(records)], [str(records)], training_data.transform)
  decoding = input_pipeline.Decoding(data.parse_batch, CONFIG.image, len(LABELS))
  (batch,) = input_pipeline.batches(data.train, decoding, len(prepared))
  assert dict(zip(prepared, hashes(batch[0]), strict=True)) == expected
  # Evaluation: the Python loader, and records through serving_examples.
  serialised = list(tf.data.TFRecordDataset(str(records)).as_numpy_iterator())
  loaded = tf.saved_model.load(str(folder)).signatures[signatures.SERVING_EXAMPLES]
  evaluated = loaded(**{signatures.EXAMPLES: tf.constant(serialised)})[signatures.PROBABILITIES]
  assert dict(zip(prepared, hashes(evaluated), strict=True)) == expected
  # Serving: the session loader, and bytes through serving_default; raw ones where the
  # graph takes them.
  servable = Servable(folder)
  raw = {one.name: one.encoded for one in golden_images.make() if one.outcome == 'answered'}
  for sent in (prepared, raw):
    inputs = {signatures.IMAGE_BYTES: np.array(list(sent.values()), object)}
    served = servable.run(signatures.SERVING_DEFAULT, inputs)[signatures.PROBABILITIES]
    assert dict(zip(sent, hashes(served), strict=True)) == {name: expected[name] for name in sent}
  servable.close()


def test_the_answers_are_those_of_the_trained_network(exported, prepared):
  model, folder = exported
  goldens = {golden.image.name: golden for golden in proof.read(folder).goldens}
  for name in ('exif_6.jpg', '16_bits.png', '1x1.png'):
    pixels = decoder.decode_batch(tf.constant([prepared[name]]), CONFIG.image)
    expected = tf.nn.softmax(model(pixels, training=False)).numpy()[0]
    np.testing.assert_allclose(goldens[name].probabilities, expected, atol=1e-6)
  assert sum(len(golden.image.encoded) for golden in goldens.values()) < 300_000
  assert goldens['text.jpg'].probabilities == () and goldens['nothing.jpg'].image.encoded == b''


def test_a_decoder_that_takes_too_much_or_too_little_ends_the_export(tmp_path, monkeypatch):
  image, network = ImageConfig(height=8, width=8), lambda pixels: tf.zeros([len(pixels), 2])
  decode = decoder.decode

  def fit(replacement):
    monkeypatch.setattr(decoder, 'decode', replacement)
    with pytest.raises(ExportError) as caught:
      proof_writing.write(tmp_path, network, Decision.plain(2), image)
    return str(caught.value)

  assert 'expected models.decoder to take every image' in fit(
    lambda data: decode(tf.strings.substr(data, 0, 60))
  )
  assert 'to refuse nothing.jpg' in fit(lambda data: tf.zeros([4, 4, 3], tf.uint8))


def test_is_narrow_says_whether_layers_compute_in_few_bits():
  import keras

  inputs = keras.Input([4])
  wide = keras.Model(inputs, keras.layers.Dense(2)(inputs))
  narrow = keras.Model(inputs, keras.layers.Dense(2, dtype='mixed_bfloat16')(inputs))
  assert not proof_writing.is_narrow(wide) and proof_writing.is_narrow(narrow)
