"""The probe, in its own process, on real exports."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.serving_validator import probe_process
from schemas import signatures
from tests.unit.serving import exports


@pytest.fixture(scope='module')
def records(examples_artifact):
  return sorted(str(path) for path in (examples_artifact / 'Split-test').iterdir())


@pytest.fixture(scope='module')
def measured(model_artifact, records):
  export = model_artifact / 'Format-Serving'
  result = probe_process.measure(export, records, calls=200, baseline=export)
  assert isinstance(result, probe_process.Measured), result
  return result


def test_every_test_image_is_answered_as_the_network_answers(measured):
  assert measured.ids.tolist() == [f'id-{seed}' for seed in range(11)]
  for seed in (0, 2, 9):  # PNG and BMP, which Pillow decodes to the same pixels
    expected = exports.expected_probabilities(1, exports.picture(seed, 20 + seed))
    np.testing.assert_allclose(measured.by_bytes[seed], expected, atol=1e-5)
    assert measured.labels[seed].tolist() == [exports.LABELS[expected.argmax()]] * 2
  np.testing.assert_array_equal(measured.by_bytes, measured.by_records)
  assert measured.labels.shape == (11, 2)
  assert measured.problems == ()


def test_calls_are_counted_and_measured(measured):
  assert len(measured.warm_ms) == 200
  assert min(measured.warm_ms) > 0 and measured.load_ms > 0 and measured.cold_ms > 0


def test_both_versions_are_timed_by_turns_with_their_parts(measured):
  assert measured.untimed == '' and measured.rounds.shape == (2, 200, 5)
  assert (measured.rounds > 0).all()
  for side in measured.rounds:
    whole, nothing, decode, fit, decision = np.median(side, axis=0)
    # What does more takes longer: of these not even a busy machine changes the order.
    assert nothing < decode < fit < whole and nothing < decision
  assert measured.machine['cores'] >= 1 and measured.machine['tensorflow'] == tf.__version__


def test_an_export_in_service_that_cannot_be_asked_is_told(model_artifact, records, tmp_path):
  bad = exports.write_unservable_model(tmp_path / 'bad')
  export = model_artifact / 'Format-Serving'
  result = probe_process.measure(export, records, calls=2, images=2, baseline=bad)
  assert isinstance(result, probe_process.Measured), result
  assert result.rounds.shape == (1, 2, 5)
  assert result.untimed.startswith('The export in service could not be asked: ')


def test_it_is_a_process_of_its_own(measured, model_artifact, records, tmp_path, monkeypatch):
  # Neither the memory of its parent nor a package in the working directory is its own.
  (tmp_path / 'models').mkdir()
  (tmp_path / 'models/__init__.py').write_text('raise RuntimeError("not ours")')
  monkeypatch.chdir(tmp_path)
  ballast = np.ones(1_500_000_000, np.uint8)
  again = probe_process.measure(model_artifact / 'Format-Serving', records, calls=1, images=3)
  assert ballast.any()
  assert isinstance(again, probe_process.Measured), again
  # TensorFlow alone needs more than 100 MB.
  assert 100 < again.rss_mb < measured.rss_mb + 500
  assert again.ids.tolist() == ['id-0', 'id-1', 'id-2']


def test_a_missing_signature_is_named(tmp_path, records):
  export = exports.write_image_model(tmp_path / 'export', without=signatures.TRANSFORM_FEATURES)
  result = probe_process.measure(export, records, calls=1)
  assert [text.split(':')[0] for text in result.problems] == [signatures.TRANSFORM_FEATURES]


def test_no_records_are_a_crash_with_its_reason(model_artifact):
  result = probe_process.measure(model_artifact / 'Format-Serving', [], calls=1)
  assert isinstance(result, probe_process.Crashed)
  assert 'at least one record' in result.detail


def test_jpegs_are_close_to_what_pillow_decodes(measured):
  data = exports.encoded(1, 'JPEG', 21)
  expected = exports.expected_probabilities(1, Image.open(io.BytesIO(data)))
  np.testing.assert_allclose(measured.by_bytes[1], expected, atol=0.02)
