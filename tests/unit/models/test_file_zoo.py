"""Every kind of file: the pixels that it gives, or the reason why it gives none."""

import numpy as np
import pytest
import tensorflow as tf

from models import decoder, image_file
from tests.unit.models import file_zoo

ZOO = file_zoo.animals()
TAKEN = {name: animal for name, animal in ZOO.items() if animal.pixels is not None}
REFUSED = {name: animal for name, animal in ZOO.items() if animal.pixels is None}


@pytest.fixture(scope='module')
def decode():
  return tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])


def difference(found: np.ndarray, expected: np.ndarray) -> int:
  assert found.shape == expected.shape
  return int(np.abs(found.astype(int) - expected.astype(int)).max())


@pytest.mark.parametrize('name', TAKEN)
def test_what_is_taken_has_its_pixels(name, decode):
  animal = TAKEN[name]
  prepared = image_file.prepare(animal.data)
  found = decode(tf.constant(prepared.encoded)).numpy()
  assert difference(found, animal.pixels) <= animal.tolerance
  assert (prepared.header.height, prepared.header.width) == found.shape[:2]
  # Nothing changes any more, and the same bytes give the same.
  assert image_file.prepare(prepared.encoded).encoded == prepared.encoded
  assert image_file.prepare(animal.data) == prepared


@pytest.mark.parametrize('name', TAKEN)
def test_the_graph_alone_gives_these_pixels_or_refuses(name, decode):
  animal = TAKEN[name]
  if animal.in_graph:
    found = decode(tf.constant(animal.data)).numpy()
    assert difference(found, animal.pixels) <= animal.tolerance
  else:
    with pytest.raises(tf.errors.InvalidArgumentError):
      decode(tf.constant(animal.data))


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_refused_says_why(name, decode):
  animal = REFUSED[name]
  with pytest.raises((image_file.ImageFileError, tf.errors.InvalidArgumentError)) as caught:
    decode(tf.constant(image_file.prepare(animal.data).encoded))
  assert getattr(caught.value, 'reason', 'undecodable') == animal.reason


@pytest.mark.parametrize('name', TAKEN)
def test_flipped_bits_are_decoded_or_refused(name, decode):
  data = TAKEN[name].data
  rng = np.random.default_rng(len(data))
  for _ in range(25):
    broken = np.frombuffer(data, np.uint8).copy()
    for position in rng.integers(0, len(broken), rng.integers(1, 6)):
      broken[position] ^= 1 << rng.integers(8)
    try:
      prepared = image_file.prepare(broken.tobytes(), max_pixels=200_000)
      found = decode(tf.constant(prepared.encoded)).numpy()
    except image_file.ImageFileError as error:
      assert error.reason in image_file.REASONS
    except tf.errors.InvalidArgumentError:
      pass
    else:
      assert (prepared.header.height, prepared.header.width) == found.shape[:2]
