"""What a record keeps, and what it must not."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from schemas import features, signatures
from serving import request_record
from tests.unit.serving import exports, logs


def complete(log, keep_images=False):
  return request_record.complete(log, 'id-1', 1_795_681_024.9, 0.25, keep_images)


def values(made, name):
  return tf.make_ndarray(made.predict_log.response.outputs[name]).tolist()


def test_the_metadata_says_which_request_when_and_how_it_was_drawn():
  metadata = complete(logs.asked([exports.encoded(1)])).log_metadata
  assert metadata.request_origin == 'id-1'
  assert metadata.timestamp_secs == 1_795_681_024
  assert metadata.sampling_config.sampling_rate == 0.25
  assert metadata.model_spec.name == 'digits'
  assert metadata.model_spec.version.value == 7


@pytest.mark.parametrize('form', ['PNG', 'JPEG'])
def test_an_image_is_replaced_by_its_hash_and_measurements(form):
  images = [exports.encoded(1, form), exports.encoded(2, form, 12, 30)]
  made = complete(logs.asked(images))
  assert images[0][20:60] not in made.SerializeToString()
  assert dict(made.predict_log.request.inputs) == {}
  assert values(made, features.IMAGE_ID) == [
    hashlib.sha256(image).hexdigest().encode() for image in images
  ]
  assert values(made, features.IMAGE_FORMAT) == [form.encode()] * 2
  assert values(made, features.WIDTH) == [23, 12]
  assert values(made, features.HEIGHT) == [14, 30]
  assert values(made, features.BYTES) == [len(image) for image in images]
  assert values(made, features.ASPECT) == pytest.approx([23 / 14, 0.4])
  assert values(made, signatures.PREDICTED_LABEL) == [b'red', b'red']


def test_brightness_and_contrast_are_those_of_pillow_s_luma():
  made = complete(logs.asked([exports.encoded(3)]))
  pixels = np.asarray(exports.picture(3), np.float64)
  luma = pixels @ [0.299, 0.587, 0.114] / 255
  assert values(made, features.BRIGHTNESS) == pytest.approx([luma.mean()], abs=1e-5)
  assert values(made, features.CONTRAST) == pytest.approx([luma.std()], abs=1e-5)


def test_with_images_the_request_is_what_was_asked():
  log = logs.asked([exports.encoded(1)])
  made = complete(log, keep_images=True)
  assert made.predict_log.request == log.predict_log.request
  assert values(made, features.WIDTH) == [23]


def test_records_are_measured_and_removed_as_well():
  record = exports.example(exports.encoded(4), 'id of the patient')
  log = logs.asked([b''], inputs={signatures.EXAMPLES: [record]})
  made = complete(log)
  assert values(made, features.IMAGE_ID) == [
    hashlib.sha256(exports.encoded(4)).hexdigest().encode()
  ]
  assert b'id of the patient' not in made.SerializeToString()


def test_bytes_under_any_name_are_removed_and_numbers_stay():
  made = complete(logs.asked([b''], inputs={'picture': [b'secret'], 'x': [1.5]}))
  assert list(made.predict_log.request.inputs) == ['x']


def test_what_is_no_image_has_a_hash_and_no_size():
  made = complete(logs.asked([b'no image', exports.encoded(1)]))
  assert values(made, features.WIDTH) == [0, 23]
  assert values(made, features.BYTES) == [8, len(exports.encoded(1))]
  assert np.isnan(values(made, features.BRIGHTNESS)[0])


def test_the_input_of_a_classify_call_is_removed():
  log = prediction_log_pb2.PredictionLog()
  request = log.classify_log.request
  request.input.example_list.examples.add().features.feature['a'].bytes_list.value.append(b'secret')
  log.classify_log.response.model_spec.version.value = 3
  made = complete(log)
  assert b'secret' not in made.SerializeToString()
  assert made.log_metadata.model_spec.version.value == 3
  assert b'secret' in complete(log, keep_images=True).SerializeToString()
