"""Mutated files of each format: the graph gives pixels or refuses, as Python's door does."""

import numpy as np
import pytest
import tensorflow as tf

from models import decoder, image_file, image_limits
from tests.unit.serving import hostile


@pytest.fixture(scope='module')
def decode():
  return tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])


def check(decode, seed: int, rounds: int) -> tuple[int, int]:
  """Returns how many were decoded and how many were refused."""
  draw = np.random.default_rng(seed)
  decoded = refused = 0
  for data in hostile.images() * rounds:
    broken = hostile.mutated(data, draw)
    try:
      pixels = decode(tf.constant(broken))
    except tf.errors.InvalidArgumentError:
      refused += 1
    else:
      decoded += 1
      assert 0 < pixels.shape[0] * pixels.shape[1] <= image_limits.MAX_PIXELS
    try:
      prepared = image_file.prepare(broken, max_pixels=1_000_000)
    except image_file.ImageFileError as error:
      assert error.reason in image_file.REASONS
      continue
    # What ingest lets in has one size, by its header and by its pixels.
    try:
      pixels = decode(tf.constant(prepared.encoded))
    except tf.errors.InvalidArgumentError:
      continue
    assert tuple(pixels.shape[:2]) == (prepared.header.height, prepared.header.width)
  return decoded, refused


def test_some_hundred_mutated_images(decode):
  decoded, refused = check(decode, 1, 12)
  assert decoded > 50 and refused > 50


@pytest.mark.long
def test_thousands_of_mutated_images(decode):
  decoded, refused = check(decode, 2, 200)
  assert decoded > 1_000 and refused > 1_000
