"""Outcomes of single gates, and what is no gate."""

import pytest

from pipeline.report import gates, material
from tests.unit.pipeline.report import recorded


@pytest.fixture
def rows(tmp_path):
  def read(**changes):
    root = recorded.write(tmp_path / 'x', **changes)
    return {gate.key: gate for gate in gates.rows(material.read(root, recorded.RUN))}

  return read


def _config(section, **values):
  config = {**recorded.CONFIG, section: {**recorded.CONFIG[section], **values}}
  return {**recorded.PROVENANCE, 'config': config}


@pytest.mark.parametrize(
  ('verdict', 'bless', 'kind'),
  [
    ('same', ['better', 'same'], 'good'),
    ('undecided', ['better', 'same'], 'bad'),
    ('same', ['better'], 'bad'),
    ('worse', ['better', 'same', 'undecided'], 'bad'),
  ],
)
def test_a_comparison_is_good_where_the_config_blesses_it(rows, verdict, bless, kind):
  found = rows(
    verdict={'comparison': {**recorded.COMPARISON, 'verdict': verdict}},
    provenance=_config('evaluate', bless=bless),
  )['evaluate.bless']
  assert (found.outcome, found.kind, bool(found.next_step)) == (verdict, kind, kind == 'bad')


@pytest.mark.parametrize(
  ('asked', 'outcome', 'kind'),
  [(True, 'same', 'bad'), (False, 'same, only shown', '')],
)
def test_the_best_simple_model_gates_or_is_only_shown(rows, asked, outcome, kind):
  (floor,) = recorded.VERDICT['floors']['floors']
  same = {**floor, 'comparison': {**floor['comparison'], 'verdict': 'same'}}
  found = rows(
    verdict={'floors': {'best': 'SVM on colours', 'floors': [same]}},
    provenance=_config('floors', gates=asked),
  )['floors.gates']
  assert (found.outcome, found.kind) == (outcome, kind)


@pytest.mark.parametrize(
  ('status', 'outcome', 'kind'),
  [
    ('holds', 'met', 'good'),
    ('under its floor', 'not met', 'bad'),
    ('too small to judge', 'not judged', 'warn'),
    ('shown', 'only shown', ''),
  ],
)
def test_the_word_of_the_evaluator_counts_for_a_slice(rows, status, outcome, kind):
  # By value alone it would be under the floor.
  row = {**recorded.VERDICT['slices'][1], 'status': status, 'floor': 0.55}
  found = rows(verdict={'slices': [row]})['evaluate.slice_floors']
  assert (found.outcome, found.kind, found.limit) == (outcome, kind, 'at least 0.5500')


def test_an_override_changes_the_word_and_not_the_value(rows):
  found = rows(
    verdict={'overrides': [{'gate': 'accuracy', 'who': 'Grace', 'overruled': ['Too low.']}]},
    provenance=_config('evaluate', min_accuracy=0.9),
  )['evaluate.min_accuracy']
  assert (found.value, found.outcome, found.kind) == ('0.8250', 'not met, overridden', 'warn')


def test_what_was_not_asked_for_is_no_gate(rows):
  found = rows(provenance=_config('evaluate', min_macro_f1=0.0, slice_floors=[]))
  assert not {'evaluate.min_macro_f1', 'evaluate.min_pr_auc', 'evaluate.slice_floors'} & set(found)
