"""Faults between the bytes and the network of an export: the proof that it carries finds each."""

import json
from unittest import mock

import keras
import pytest
import tensorflow as tf

from components.serving_validator import probe, probe_process
from models import decoder, golden_images, orientation, proof, proof_writing
from schemas import signatures
from schemas.weights_hash import weights_sha256
from serving.servable import Servable
from tests.unit.components.serving_validator.test_gates import judge, measured
from tests.unit.serving import exports

_HONEST, _NO_EXIF = 'honest', 'no EXIF'


def _resized(**options):
  """A decoder of batches that resizes otherwise."""
  side = [exports.SIDE, exports.SIDE]

  def resize(one):
    return tf.cast(tf.image.resize(decoder.decode(one), side, **options), tf.float32)

  return lambda images: tf.map_fn(resize, images, fn_output_signature=tf.float32)


def _honest(images):
  return decoder.decode_batch(images, exports.IMAGE)


FAULTS = {
  _HONEST: _honest,
  'BGR': lambda images: _honest(images)[..., ::-1],
  'no antialias': _resized(),
  'nearest': _resized(method='nearest'),
  'crop': lambda images: decoder.decode_batch(
    images, exports.IMAGE.model_copy(update={'fit': 'crop'})
  ),
  'shifted by one of 255': lambda images: _honest(images) + 1,
  'divided by 255 twice': lambda images: _honest(images) / 255,
  _NO_EXIF: _honest,
}


@pytest.fixture(scope='module')
def servable(tmp_path_factory):
  """One export with a signature a fault, and the proof of its network."""
  path = tmp_path_factory.mktemp('planted') / 'export'
  model = exports.network(1)
  archive = keras.export.ExportArchive()
  archive.track(model)
  strings = tf.TensorSpec([None], tf.string, name=signatures.IMAGE_BYTES)
  # Traced once for all faults but the one in its middle.
  traced = tf.function(decoder.decode, input_signature=[tf.TensorSpec([], tf.string)])
  for name, decode in FAULTS.items():
    planted = mock.patch.object(decoder, 'decode', traced)
    if name == _NO_EXIF:
      planted = mock.patch.object(orientation, 'apply', lambda pixels, _: pixels)
    function = tf.function(_answers(model, decode), input_signature=[strings], autograph=False)
    with planted:
      function.get_concrete_function()
    archive.add_endpoint(name.replace(' ', '_'), function)
  archive.write_out(str(path), verbose=False)
  proof_writing.write(
    path, lambda pixels: tf.math.log(model(pixels, training=False)), exports.PLAIN, exports.IMAGE
  )
  loaded = Servable(path)
  yield loaded
  loaded.close()


def _answers(model, decode):
  return lambda images: {signatures.PROBABILITIES: model(decode(images), training=False)}


class Planted:
  """The servable with one of its faults in the place of serving_default."""

  def __init__(self, servable, fault):
    self.path, self.weights_sha256 = servable.path, servable.weights_sha256
    self._run = lambda inputs: servable.run(fault.replace(' ', '_'), inputs)

  def run(self, name, inputs):
    assert name == signatures.SERVING_DEFAULT
    return self._run(inputs)


def gate(servable, fault):
  replayed = probe_process.replayed(json.loads(json.dumps(probe.replay(Planted(servable, fault)))))
  report = judge(measured(replayed=replayed))
  assert [one.gate for one in report.failed] in ([], ['proof'])
  return next(one for one in report.gates if one.gate == 'proof'), replayed


@pytest.mark.parametrize('fault', [name for name in FAULTS if name != _HONEST])
def test_each_fault_is_refused(servable, fault):
  found, replayed = gate(servable, fault)
  assert not found.ok and found.value is not None and found.value > 1e-4
  assert 'channels' in found.sentence() or found.detail
  if fault == _NO_EXIF:
    assert found.detail.startswith('Largest on exif_')
    # Those that need no turn are right all the same.
    near = {one.name for one in replayed.judged if (one.difference or 0.0) <= 1e-5}
    assert {'exif_1.jpg', 'landscape.jpg', '1x1.png'} <= near
    assert not near & {f'exif_{turn}.jpg' for turn in range(2, 9)}


def test_an_honest_export_passes_on_every_kind_of_image(servable):
  found, replayed = gate(servable, _HONEST)
  assert found.ok and found.value <= 1e-5
  assert {one.name for one in replayed.judged} == {one.name for one in golden_images.make()}
  # What the door converts is refused as it is, and answered once it is converted.
  deep = [one for one in replayed.judged if one.name == '16_bits.png']
  assert [one.difference is None for one in deep] == [True, False] and deep[0].said


def test_a_proof_of_other_weights_and_no_proof_are_told(servable, tmp_path, monkeypatch):
  other = Planted(servable, _HONEST)
  other.weights_sha256 = 'f' * 64
  found = probe_process.replayed(probe.replay(other))
  assert 'the proof is of weights' in found.problem and 'ffffffffffff' in found.problem
  other.path = tmp_path
  found = probe_process.replayed(probe.replay(other))
  assert 'proof.json: expected the proof' in found.problem
  assert [one.gate for one in judge(measured(replayed=found)).failed] == ['proof']


def test_the_proof_is_bound_to_the_weights(servable):
  assert proof.read(servable.path).weights_sha256 == weights_sha256(servable.path)
