"""What TFMA's validation says, in words."""

import pyarrow as pa
from google.protobuf import text_format
from tensorflow_model_analysis.proto import validation_result_pb2

from components.evaluator import metrics, verdict


def _result(text: str) -> validation_result_pb2.ValidationResult:
  return text_format.Parse(text, validation_result_pb2.ValidationResult())


def test_what_was_not_measured_is_said():
  assert verdict.unmeasured(_result('validation_ok: true')) == []
  assert verdict.unmeasured(
    _result('missing_thresholds: true missing_slices { feature_keys: "column/site" }')
  ) == [
    'No test image is in the slice column/site, so its floor cannot be judged '
    '(evaluate.slice_floors).',
    'A metric was not measured, though a threshold asks for it.',
  ]


def _predictions(leaks):
  """Ten images of class 0; the model is right on the first seven."""
  right, wrong = [0.8, 0.2], [0.3, 0.7]
  return pa.table(
    {
      'label_id': [0] * 10,
      'candidate': [right] * 7 + [wrong] * 3,
      'leak': pa.array(leaks, pa.string()),
    }
  )


def test_accuracy_is_told_with_and_without_the_images_that_leak():
  # Four of the seven right ones leak: 3 of 6 are left.
  found = verdict.leaks(_predictions(['yes'] * 4 + ['no'] * 6), metrics.proportion(7, 10))
  assert found['affected'] == 4
  assert found['accuracy_with'] == metrics.proportion(7, 10)
  assert found['accuracy_without']['value'] == 0.5
  assert found['accuracy_without']['n'] == 6
  # Wilson by hand: n 6, p 0.5, z 1.959964.
  z = 1.959964
  half = z / (1 + z * z / 6) * (0.25 / 6 + z * z / (4 * 36)) ** 0.5
  low, high = found['accuracy_without']['interval']
  assert abs(low - (0.5 - half)) < 1e-6 and abs(high - (0.5 + half)) < 1e-6


def test_records_that_do_not_say_leak_nothing_and_all_may_leak():
  found = verdict.leaks(_predictions([None] * 10), metrics.proportion(7, 10))
  assert found['affected'] == 0
  assert found['accuracy_without'] == metrics.proportion(7, 10)
  found = verdict.leaks(_predictions(['yes'] * 10), metrics.proportion(7, 10))
  assert found['affected'] == 10
  assert found['accuracy_without']['value'] is None
