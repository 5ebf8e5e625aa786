"""What TFMA's validation says, in words."""

from google.protobuf import text_format
from tensorflow_model_analysis.proto import validation_result_pb2

from components.evaluator import verdict


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
