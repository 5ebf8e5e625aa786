"""The export: one answer from every signature, in TensorFlow Serving's own loader."""

import json
import subprocess
import sys

import numpy as np
import pytest

from models import classifier, decision, decoder, export, known_images
from schemas import features, signatures, weights_hash
from schemas.config import Config
from schemas.errors import ExportError

# A fresh process, as TensorFlow Serving is one: nothing of the exporting process helps.
_RUN = """
import json, sys
import numpy as np
import tensorflow as tf
folder, images, examples, out = sys.argv[1:]
images, examples = (np.load(path, allow_pickle=True) for path in (images, examples))
with tf.compat.v1.Session(graph=tf.Graph()) as session:
  loaded = tf.compat.v1.saved_model.load(session, ["serve"], folder)
  answers = {}
  for name, signature in loaded.signature_def.items():
    if name.startswith("__"): continue
    (key, tensor), = signature.inputs.items()
    feed = images if key == "image_bytes" else examples
    values = session.run({k: v.name for k, v in signature.outputs.items()}, {tensor.name: feed})
    answers[name] = {k: [x.decode() if isinstance(x, bytes) else x for x in v.tolist()]
                     for k, v in values.items()}
json.dump(answers, open(out, "w"))
"""


# Thresholds that flag some answers and not others.
DECISION = decision.Decision(2.0, (0.0, 1.0, 0.0), 3.0)


@pytest.fixture(scope='module')
def config() -> Config:
  return Config.model_validate(
    {
      'name': 'colours',
      'image': {'height': 32, 'width': 32},
      'model': {'backbone': 'efficientnet_tiny'},
    }
  )


def known(model) -> known_images.KnownImages:
  """Three classes of features of the model's number, drawn by chance."""
  width = model.get_layer('features').output.shape[-1]
  draw = np.random.default_rng(0)
  axes, _ = np.linalg.qr(draw.normal(size=(width, 2)))
  return known_images.KnownImages(
    draw.normal(0.1, 0.1, (3, width)), axes, np.array([0.3, 0.2]), np.array(0.1)
  )


@pytest.fixture(scope='module')
def exported(config, training_data, tmp_path_factory):
  mean, variance = training_data.pixel_statistics()
  model = classifier.build(config.model, config.image, len(training_data.labels), mean, variance)
  folder = tmp_path_factory.mktemp('export') / 'model'
  export.export(
    model,
    training_data.transform,
    training_data.transform_layer,
    config,
    training_data.labels,
    known(model),
    folder,
    'run-1',
    DECISION,
  )
  return model, folder


@pytest.fixture(scope='module')
def answers(exported, images, training_data, tmp_path_factory):
  import tensorflow as tf

  _, folder = exported
  work = tmp_path_factory.mktemp('answers')
  np.save(work / 'images.npy', np.array([image for image, _ in images['val']], object))
  records = [record.numpy() for record in tf.data.TFRecordDataset(training_data.val.files)]
  np.save(work / 'examples.npy', np.array(records, object))
  subprocess.run(
    [
      sys.executable,
      '-c',
      _RUN,
      str(folder),
      str(work / 'images.npy'),
      str(work / 'examples.npy'),
      str(work / 'out.json'),
    ],
    check=True,
    capture_output=True,
  )
  return json.loads((work / 'out.json').read_text())


def test_every_signature_runs_in_the_session_loader(answers):
  assert sorted(answers) == sorted(signatures.ALL)


# What reading and turning an image needs, all of TensorFlow 2.0 or older; an older
# TensorFlow Serving lacks newer operations.
_READING = {
  'Assert', 'DecodeImage', 'DecodeJpeg', 'DecodePaddedRaw', 'DecodeRaw', 'If', 'ReverseV2',
  'StatelessIf', 'StatelessWhile', 'StringJoin', 'StringLength', 'Substr', 'Where', 'While',
}  # fmt: skip
_REFUSED = {'Case', 'StatelessCase', 'PyFunc', 'EagerPyFunc', 'PyFuncStateless', 'XlaLaunch'}


def test_the_graph_reads_images_by_old_and_usual_operations_alone(exported):
  from tensorflow.core.protobuf import saved_model_pb2

  _, folder = exported
  saved = saved_model_pb2.SavedModel.FromString((folder / 'saved_model.pb').read_bytes())
  graph = saved.meta_graphs[0].graph_def
  used = {node.op for node in graph.node}
  used |= {node.op for function in graph.library.function for node in function.node_def}
  reading = {op for op in used if any(word in op for word in ('Decode', 'Image', 'String', 'Jpeg'))}
  assert reading <= _READING | {'ScaleAndTranslate'}
  assert not used & _REFUSED
  assert {'DecodeImage', 'DecodeJpeg', 'DecodePaddedRaw', 'ReverseV2'} <= used


def test_raw_bytes_and_examples_get_the_same_answer(answers):
  default, examples = answers['serving_default'], answers['serving_examples']
  np.testing.assert_allclose(default['probabilities'], examples['probabilities'], atol=1e-6)
  assert default['label'] == examples['label']


def test_the_answer_is_that_of_the_model_on_the_decoded_pixels(answers, exported, config, images):
  import tensorflow as tf

  model, _ = exported
  pixels = decoder.decode_batch(tf.constant([image for image, _ in images['val']]), config.image)
  expected = tf.nn.softmax(model(pixels, training=False) / DECISION.temperature).numpy()
  answered = answers['serving_default']
  np.testing.assert_allclose(answered['probabilities'], expected, atol=1e-5)
  # The likeliest class; of two that are level either.
  chosen = expected[np.arange(len(expected)), answered['class_id']]
  np.testing.assert_allclose(chosen, expected.max(axis=1), atol=1e-5)
  np.testing.assert_allclose(answered['probability'], expected.max(axis=1), atol=1e-5)


def test_an_answer_below_the_threshold_of_its_class_is_flagged(answers):
  answered = answers['serving_default']
  # Only class 1 has a threshold, and none of its answers reaches it.
  assert answered['low_confidence'] == [class_id == 1 for class_id in answered['class_id']]


def test_the_score_is_the_distance_of_the_pooled_features(answers, exported, config, images):
  import scipy.spatial
  import tensorflow as tf

  model, _ = exported
  pixels = decoder.decode_batch(tf.constant([image for image, _ in images['val']]), config.image)
  # The layers one by one, without the part of the network that the export makes of them.
  pooled = np.asarray(model.get_layer('backbone')(pixels, training=False)).mean(axis=(1, 2))
  means, axes, deviations, rest = known(model)
  covariance = (axes * (deviations**2 - rest**2)) @ axes.T + rest**2 * np.eye(len(axes))
  distances = scipy.spatial.distance.cdist(
    pooled, means, 'mahalanobis', VI=np.linalg.inv(covariance)
  )
  expected = distances.min(axis=1) ** 2 / len(axes)
  answered = answers['serving_default']
  np.testing.assert_allclose(answered['ood_score'], expected, rtol=1e-3)
  assert answered['foreign'] == [score > DECISION.ood_limit for score in answered['ood_score']]
  assert answers['serving_examples']['foreign'] == answered['foreign']


def test_every_signature_that_answers_has_every_output(answers):
  for name in ('serving_default', 'serving_examples'):
    assert sorted(answers[name]) == sorted(signatures.OUTPUTS)


def test_labels_and_label_ids_agree_with_the_vocabulary(answers, images, training_data):
  ids = answers['transform_features'][features.LABEL_ID]
  assert [training_data.labels[i] for i in ids] == [label for _, label in images['val']]


def test_the_identity_names_run_labels_and_weights(exported, training_data):
  _, folder = exported
  identity = weights_hash.read_identity(folder)
  assert identity['run_id'] == 'run-1'
  assert identity['labels'] == training_data.labels
  assert decision.Decision.read(identity) == DECISION
  assert identity['config']['image'] == {
    'height': 32,
    'width': 32,
    'fit': 'squash',
    'crop_fraction': 1.0,
  }
  assert identity['weights_sha256'] == weights_hash.weights_sha256(folder)


def test_each_variable_is_stored_once(exported):
  import tensorflow as tf

  model, folder = exported
  shapes = tf.train.load_checkpoint(str(folder / 'variables/variables')).get_variable_to_shape_map()
  stored = sum(
    int(np.prod(shape)) for name, shape in shapes.items() if not name.startswith('_CHECKPOINTABLE')
  )
  more = sum(part.size for part in known(model))
  # With those of train, whose bytes are part of the weights hash so.
  assert 0.9 * model.count_params() < stored - more <= model.count_params()


def test_the_weights_hash_changes_with_a_byte(exported, tmp_path):
  import shutil

  _, folder = exported
  copy = tmp_path / 'copy'
  shutil.copytree(folder, copy)
  assert weights_hash.weights_sha256(copy) == weights_hash.weights_sha256(folder)
  data = next((copy / 'variables').glob('*.data-*'))
  content = bytearray(data.read_bytes())
  content[len(content) // 2] ^= 1
  data.write_bytes(content)
  assert weights_hash.weights_sha256(copy) != weights_hash.weights_sha256(folder)


def test_a_folder_without_variables_has_no_weights_hash(tmp_path):
  with pytest.raises(ExportError, match='expected a SavedModel with variables'):
    weights_hash.weights_sha256(tmp_path)


def test_equal_weights_have_one_hash_in_whatever_order_tensorflow_finds_them(
  exported, config, training_data, tmp_path
):
  model, folder = exported
  mean, variance = training_data.pixel_statistics()
  for copy in ('one', 'other'):
    twin = classifier.build(config.model, config.image, len(training_data.labels), mean, variance)
    twin.set_weights(model.get_weights())
    export.export(
      twin,
      training_data.transform,
      training_data.transform_layer,
      config,
      training_data.labels,
      known(twin),
      tmp_path / copy,
    )
    assert weights_hash.weights_sha256(tmp_path / copy) == weights_hash.weights_sha256(folder)


def test_it_answers_the_requests_that_it_is_warmed_with(exported):
  from serving import warm_up_requests
  from serving.servable import Servable

  servable = Servable(exported[1])
  assert warm_up_requests.replay(servable) == 2
  servable.close()
