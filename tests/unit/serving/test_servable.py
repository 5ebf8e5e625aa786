import threading

import numpy as np
import pytest
import tensorflow as tf

from schemas import features, signatures
from schemas.errors import ExportError, ServingError
from schemas.weights_hash import weights_sha256
from serving.servable import Servable, numpy_dtype
from serving.warm_up import warm_up
from tests.unit.serving import exports


@pytest.fixture(scope='module')
def servable(image_model):
  loaded = Servable(image_model)
  yield loaded
  loaded.close()


def test_every_signature_is_there_with_its_types(servable, image_model):
  assert set(servable.signatures) >= set(signatures.ALL)
  assert '__saved_model_init_op' not in servable.signatures
  inputs = servable.signature(signatures.SERVING_DEFAULT).inputs
  assert numpy_dtype(inputs[signatures.IMAGE_BYTES]) == np.dtype(object)
  assert servable.weights_sha256 == weights_sha256(image_model)


def test_raw_bytes_give_what_the_network_gives(servable):
  outputs = servable.run(
    signatures.SERVING_DEFAULT,
    {
      signatures.IMAGE_BYTES: np.array(
        [exports.encoded(5), exports.encoded(6, width=9, height=31)], object
      )
    },
  )
  expected = [
    exports.expected_probabilities(1, exports.picture(5)),
    exports.expected_probabilities(1, exports.picture(6, 9, 31)),
  ]
  np.testing.assert_allclose(outputs[signatures.PROBABILITIES], expected, atol=1e-5)
  assert np.ptp(outputs[signatures.PROBABILITIES]) > 0.01  # a constant answer proves nothing
  best = np.argmax(expected, axis=1)
  np.testing.assert_array_equal(outputs[signatures.CLASS_ID], best)
  assert list(outputs[signatures.PREDICTED_LABEL]) == [
    exports.LABELS[index].encode() for index in best
  ]


def test_records_give_the_same_and_their_labels(servable):
  image = exports.encoded(7)
  records = {signatures.EXAMPLES: np.array([exports.example(image, 'a', 'red')], object)}
  by_record = servable.run(signatures.SERVING_EXAMPLES, records)
  by_bytes = servable.run(
    signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: np.array([image], object)}
  )
  np.testing.assert_array_equal(
    by_record[signatures.PROBABILITIES], by_bytes[signatures.PROBABILITIES]
  )
  transformed = servable.run(signatures.TRANSFORM_FEATURES, records)
  assert transformed[features.LABEL_ID].tolist() == [2]


def test_bytes_that_are_no_image_are_an_argument_error(servable):
  with pytest.raises(tf.errors.InvalidArgumentError):
    servable.run(
      signatures.SERVING_DEFAULT, {signatures.IMAGE_BYTES: np.array([b'no image'], object)}
    )


def test_unknown_signature_and_missing_input(servable):
  with pytest.raises(ServingError, match='serving_default'):
    servable.run('absent', {})
  with pytest.raises(ServingError, match='Missing: image_bytes'):
    servable.run(signatures.SERVING_DEFAULT, {})


def test_a_shape_that_only_the_graph_judges_reaches_it(affine_model):
  servable = Servable(affine_model)
  # The placeholder is [None]; the public run() would refuse a matrix.
  outputs = servable.run('serving_default', {'x': np.array([[1.0, 2.0], [3.0, 4.0]])})
  np.testing.assert_array_equal(outputs['y'], [[2.5, 3.0], [3.5, 4.0]])
  servable.close()


def test_threads_do_not_mix_answers(affine_model):
  servable = Servable(affine_model)
  wrong = []

  def ask(number):
    for step in range(200):
      value = number * 1000 + step
      if servable.run('serving_default', {'x': [value]})['y'][0] != value * 0.5 + 2:
        wrong.append(value)

  threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not wrong
  servable.close()


def test_a_folder_without_a_model(tmp_path):
  with pytest.raises(ExportError, match='expected a SavedModel'):
    Servable(tmp_path)


def test_what_tensorflow_serving_cannot_run_fails_here_too(unservable_model):
  tf.saved_model.load(str(unservable_model))  # Python's loader notices nothing
  servable = Servable(unservable_model)
  with pytest.raises(tf.errors.FailedPreconditionError, match='Could not find variable'):
    warm_up(servable)
  servable.close()


def test_warm_up_runs_what_takes_images(servable, caplog):
  with caplog.at_level('INFO', logger='serving.warm_up'):
    warm_up(servable)
  assert signatures.SERVING_DEFAULT not in caplog.text


def test_a_refusal_that_quotes_bytes_which_are_no_text_is_a_refusal(image_model):
  loaded = Servable(image_model)
  # TensorFlow writes the record into its message, and Python cannot read that.
  with pytest.raises(tf.errors.InvalidArgumentError, match='Could not parse example'):
    loaded.run('serving_examples', {'examples': np.array([b'\x94 no record', None], object)[:1]})
  loaded.close()
