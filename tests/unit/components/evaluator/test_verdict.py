"""What TFMA's validation says, in words."""

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf import text_format
from tensorflow_model_analysis.proto import validation_result_pb2

from components.evaluator import comparison, metrics, overrides, verdict


def _result(text: str) -> validation_result_pb2.ValidationResult:
  return text_format.Parse(text, validation_result_pb2.ValidationResult())


def test_what_was_not_measured_is_said():
  assert verdict.unmeasured(_result('validation_ok: true')) == []
  assert verdict.unmeasured(_result('missing_thresholds: true')) == [
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


def test_who_always_names_the_larger_of_two_classes_fails_where_accuracy_passes():
  truth = np.array([0] * 90 + [1] * 10)
  always = np.tile([0.9, 0.1], (100, 1))
  found = metrics.measure(truth, always, ['common', 'rare'])
  assert found['accuracy']['value'] == 0.9
  # F1 of the common class is 2 * 0.9 / 1.9, of the rare one 0. Without any order among the
  # scores the areas are the shares of the classes.
  reasons = verdict.refused_figures(found, {'macro_f1': 0.6, 'macro_pr_auc': 0.8})
  assert reasons == [
    'macro_f1 on all images is 0.4737; at least 0.6000 is asked for (evaluate.min_macro_f1).',
    'macro_pr_auc on all images is 0.5000; at least 0.8000 is asked for (evaluate.min_pr_auc).',
  ]
  assert verdict.refused_figures(found, {'macro_f1': 0.0, 'macro_pr_auc': 0.0}) == []
  perfect = metrics.measure(truth, np.eye(2)[truth], ['common', 'rare'])
  assert verdict.refused_figures(perfect, {'macro_f1': 1.0, 'macro_pr_auc': 1.0}) == []


def test_a_figure_that_is_not_defined_does_not_pass():
  found = metrics.measure(np.zeros(4, int), np.full((4, 2), 0.5), ['a', 'b'])
  (reason,) = verdict.refused_figures(found, {'macro_pr_auc': 0.1})
  assert 'not defined' in reason and 'evaluate.min_pr_auc' in reason


def _asked(**values) -> verdict.Asked:
  return verdict.Asked(
    **{
      'figures': {},
      'accepted_drop': 0.01,
      'bless': ('better', 'same'),
      'slice_keys': ('label',),
      **values,
    }
  )


def _compared(wrong: int, of: int = 100):
  """A candidate that has so many more images wrong than the model in service."""
  images = np.arange(of)
  return comparison.compare(images >= 10 + wrong, images >= 10, None, 0.01)


def test_what_is_asked_is_read_as_it_was_written():
  import dataclasses
  import json

  asked = _asked(
    figures={'macro_f1': 0.8},
    beat_floor=True,
    slice_floors={'label': 0.5},
    groups=('column/site',),
    max_group_gap=0.1,
    overrides=(overrides.Override('floor', 'A. Person', 'a good reason', '2026-01-31'),),
  )
  assert verdict.Asked.read(json.dumps(dataclasses.asdict(asked))) == asked


@pytest.mark.parametrize(
  ('wrong', 'word', 'advice'),
  [
    (20, 'worse', 'Keep the model in service'),
    (3, 'undecided', 'Enlarge the test split'),
  ],
)
def test_a_drop_is_refused_with_difference_interval_and_advice(wrong, word, advice):
  (reason,) = verdict.refused_comparison(_compared(wrong), _asked())
  assert f'Against the model in service: {word}, accuracy -0.{wrong:02}00 (95 % interval' in reason
  assert advice in reason
  assert 'evaluate.max_accuracy_drop is 0.0100' in reason


def test_the_config_says_which_verdicts_are_good_enough():
  assert verdict.refused_comparison(_compared(0), _asked()) == []
  assert verdict.refused_comparison(_compared(-8), _asked()) == []
  assert (
    verdict.refused_comparison(_compared(3), _asked(bless=('better', 'same', 'undecided'))) == []
  )
  (reason,) = verdict.refused_comparison(_compared(0), _asked(bless=('better',)))
  assert 'evaluate.bless accepts better;' in reason
