"""The door: limits, and images made what ingest makes of them."""

import numpy as np
import pytest
import tensorflow as tf

from models import image_file
from schemas import features, signatures
from serving import door
from tests.unit.models import file_zoo
from tests.unit.serving import exports

LIMITS = door.Limits(image_bytes=50_000, image_pixels=10_000, images=3)
WEBP = exports.encoded(1, 'WEBP')
PNG = exports.encoded(2)


def strings(*values) -> np.ndarray:
  return np.array([*values, None], object)[:-1]


def images_of(record: bytes) -> list[bytes]:
  example = tf.train.Example.FromString(record)
  return list(example.features.feature[features.IMAGE].bytes_list.value)


def test_images_are_converted_and_clean_ones_stay():
  inputs = {signatures.IMAGE_BYTES: strings(WEBP, PNG), 'other': np.ones(2)}
  admitted = door.admit(inputs, LIMITS)
  assert list(admitted[signatures.IMAGE_BYTES]) == [image_file.prepare(WEBP).encoded, PNG]
  assert admitted['other'] is inputs['other']
  assert inputs[signatures.IMAGE_BYTES][0] == WEBP


def test_the_shape_is_kept():
  inputs = {signatures.IMAGE_BYTES: np.array([[PNG], [WEBP]], object)}
  assert door.admit(inputs, LIMITS)[signatures.IMAGE_BYTES].shape == (2, 1)


def test_images_in_records_are_converted_and_their_other_features_stay():
  record = exports.example(WEBP, 'an id', 'green')
  admitted = door.admit({signatures.EXAMPLES: strings(record)}, LIMITS)[signatures.EXAMPLES]
  assert images_of(admitted[0]) == [image_file.prepare(WEBP).encoded]
  expected = tf.train.Example.FromString(record)
  expected.features.feature[features.IMAGE].bytes_list.value[0] = image_file.prepare(WEBP).encoded
  assert tf.train.Example.FromString(admitted[0]) == expected


def test_a_record_without_an_image_passes():
  record = tf.train.Example().SerializeToString()
  assert (
    door.admit({signatures.EXAMPLES: strings(record)}, LIMITS)[signatures.EXAMPLES][0] == record
  )


@pytest.mark.parametrize(
  ('name', 'reason'),
  [(name, animal.reason) for name, animal in file_zoo.animals().items() if animal.reason],
)
def test_a_refusal_names_the_place_and_the_reason(name, reason):
  data = file_zoo.animals()[name].data
  for inputs in (
    {signatures.IMAGE_BYTES: strings(PNG, data)},
    {signatures.EXAMPLES: strings(exports.example(PNG, 'a'), exports.example(data, 'b'))},
  ):
    key = next(iter(inputs))
    try:
      door.admit(inputs, LIMITS)
    except door.RefusedError as error:
      assert f'{key}[1]: {reason}: ' in str(error)
    else:
      assert reason == 'undecodable'  # the graph says so: pixels are not decoded here


@pytest.mark.parametrize(
  ('inputs', 'text'),
  [
    ({'image_bytes': strings(*[PNG] * 4)}, 'at most 3 images'),
    ({'examples': strings(*[exports.example(PNG, 'a')] * 4)}, 'at most 3 images'),
    ({'image_bytes': strings(PNG + bytes(60_000))}, r'\[0\]: expected at most 50000 bytes'),
    ({'image_bytes': strings(exports.encoded(1, 'WEBP', 120, 90))}, 'too_many_pixels'),
    ({'image_bytes': strings(7)}, 'Received: int'),
    ({'examples': strings(b'no record')}, r'examples\[0\]: expected a serialised tf.Example'),
  ],
)
def test_limits(inputs, text):
  with pytest.raises(door.RefusedError, match=text):
    door.admit(inputs, LIMITS)
