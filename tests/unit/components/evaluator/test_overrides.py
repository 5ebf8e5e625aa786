"""A gate that is set aside says so, with who, why and when."""

from components.evaluator import overrides

OVERRIDE = overrides.Override('floor', 'A. Person', 'The SVM cannot be served.', '2026-01-31')


def test_only_the_named_gate_is_set_aside_and_its_sentence_is_kept():
  refused = [overrides.Refusal('accuracy', 'Too low.'), overrides.Refusal('floor', 'No better.')]
  counting, set_aside = overrides.apply(refused, [OVERRIDE])
  assert counting == ['Too low.']
  assert set_aside == [
    {
      'gate': 'floor',
      'who': 'A. Person',
      'reason': 'The SVM cannot be served.',
      'when': '2026-01-31',
      'overruled': ['No better.'],
    }
  ]
  assert overrides.sentences(set_aside) == [
    'A. Person set the gate floor aside on 2026-01-31: The SVM cannot be served. '
    'It had said: No better.'
  ]


def test_an_override_that_was_not_needed_is_recorded_and_not_told():
  counting, set_aside = overrides.apply([], [OVERRIDE])
  assert counting == [] and set_aside[0]['overruled'] == []
  assert overrides.sentences(set_aside) == []
