import dataclasses
import json

import numpy as np
import pytest

from components.serving_validator import gates
from components.serving_validator.probe_process import Crashed, Measured, Replayed
from models.proof import Judged
from schemas.config import ServingValidatorConfig

NAMES = ['cat', 'dog', 'eel']
ANSWERS = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)
CONFIG = ServingValidatorConfig(p95_ms=96, disk_mb=2, rss_mb=600, max_difference=1e-5)


def replayed(difference=2e-6, problem='', said=''):
  """Of three images; the second is `said` to be wrong, or differs."""
  judged = (
    Judged('a.jpg', 'answered', 1e-6, True),
    Judged('b.jpg', 'answered', difference, not said, said),
    Judged('c.jpg', 'refused', None, True, 'refused: no image'),
  )
  return Replayed(() if problem else judged, 1e-5, problem)


def measured(**changes) -> Measured:
  values = dict(
    load_ms=900.0,
    cold_ms=500.0,
    warm_ms=tuple(float(ms) for ms in range(1, 102)),
    rss_mb=600.0,
    problems=(),
    ids=np.array(['a', 'b']),
    by_bytes=ANSWERS,
    by_records=ANSWERS,
    labels=np.array([['cat', 'cat'], ['dog', 'dog']]),
    replayed=replayed(),
  )
  return Measured(**{**values, **changes})


def evaluated(difference=0.0):
  return {'b': ANSWERS[1] + np.array([0, 0, difference], np.float32), 'a': ANSWERS[0], 'c': ANSWERS}


def judge(result=None, disk=2_000_000, seen=None, config=CONFIG):
  seen = evaluated() if seen is None else seen
  return gates.judge(result or measured(), disk, seen, NAMES, config)


def failed(report):
  return [gate.gate for gate in report.failed]


def test_everything_at_its_limit_passes_and_the_figures_are_right():
  report = judge()
  assert report.blessed and not report.failed
  values = {gate.gate: gate.value for gate in report.gates}
  # 1..101 ms: the p-th percentile is 1 + p.
  assert values['p95_ms'] == 96 and values['disk_mb'] == 2 and values['rss_mb'] == 600
  assert report.figures['p50_ms'] == 51 and report.figures['p99_ms'] == 100
  assert report.figures['cold_ms'] == 500 and report.figures['images_compared'] == 2


@pytest.mark.parametrize(
  'gate, changes',
  [
    ('p95_ms', {'result': measured(warm_ms=tuple(float(ms) for ms in range(2, 103)))}),
    ('disk_mb', {'disk': 2_000_001}),
    ('rss_mb', {'result': measured(rss_mb=600.1)}),
    ('max_difference', {'seen': evaluated(2e-5)}),
    ('max_difference', {'seen': {'a': ANSWERS[0]}}),
    ('max_difference', {'seen': evaluated(float('nan'))}),
    ('signatures', {'result': measured(problems=('transform_features: not in the export.',))}),
    ('signatures_difference', {'result': measured(by_records=ANSWERS + np.float32(0.01))}),
    ('signatures_difference', {'result': measured(by_records=ANSWERS[:, :2])}),
    ('labels', {'result': measured(labels=np.array([['dog', 'dog'], ['cat', 'cat']]))}),
    ('labels', {'result': measured(labels=np.array([['cat', 'cat'], ['dog', 'eel']]))}),
    ('labels', {'result': measured(labels=np.array([['cat', 'cat'], ['dog', '']]))}),
    ('proof', {'result': measured(replayed=replayed(2e-5))}),
    ('proof', {'result': measured(replayed=replayed(said='refused: not an image'))}),
    ('proof', {'result': measured(replayed=replayed(problem='no proof.json'))}),
  ],
)
def test_each_gate_fails_alone_and_says_what_to_do(gate, changes):
  report = judge(**changes)
  assert failed(report) == [gate] and not report.blessed
  sentence = report.failed[0].sentence()
  assert sentence.startswith(f'{gate} failed: ')
  # The key of the config is named where there is one.
  config_keys = ('p95_ms', 'disk_mb', 'rss_mb', 'max_difference')
  assert (f'(serving_validator.{gate})' in sentence) == (gate in config_keys)
  assert sentence.endswith(report.failed[0].next_step) and len(report.failed[0].next_step) > 20


def test_a_model_of_other_classes_is_refused_by_what_compares_them():
  report = judge(seen={'a': ANSWERS[0][:2], 'b': ANSWERS[1][:2]})
  assert failed(report) == ['max_difference', 'labels']


def test_a_name_in_another_order_is_told_with_image_and_both_names():
  (gate,) = judge(measured(labels=np.array([['cat', 'cat'], ['eel', 'eel']]))).failed
  assert gate.value == 1
  assert gate.detail == "Image b is called 'eel'; evaluated as dog."


def test_between_two_classes_as_likely_either_name_is_right():
  even = np.array([[0.4, 0.4, 0.2], [0.1, 0.6, 0.3]], np.float32)
  result = measured(by_bytes=even, by_records=even, labels=np.array([['cat', 'dog'], ['dog'] * 2]))
  assert judge(result, seen=dict(zip('ab', even, strict=True))).blessed
  result = measured(by_bytes=even, by_records=even, labels=np.array([['eel', 'dog'], ['dog'] * 2]))
  assert failed(judge(result, seen=dict(zip('ab', even, strict=True)))) == ['labels']


def test_the_worst_image_is_named():
  (gate,) = judge(seen=evaluated(0.25)).failed
  assert 'image b' in gate.detail
  assert gate.value == pytest.approx(0.25, abs=1e-6)


def test_the_proof_says_which_image_and_what():
  (gate,) = judge(measured(replayed=replayed(2e-5))).failed
  assert gate.value == 2e-5 and gate.detail == 'Largest on b.jpg.'
  (gate,) = judge(measured(replayed=replayed(said='refused: x'))).failed
  assert gate.value is None and gate.detail == '1 images: b.jpg is refused: x'
  # A network of few bits may differ by what its own proof allows.
  narrow = measured(replayed=dataclasses.replace(replayed(2e-3), limit=1e-2))
  assert judge(narrow).blessed and judge().figures['proof_images'] == 3


def test_a_crash_is_a_failed_gate_with_its_last_words():
  report = judge(Crashed('Could not find variable'), disk=3_000_000)
  assert failed(report) == ['loads', 'disk_mb']
  sentence = report.failed[0].sentence()
  assert sentence.startswith('loads failed: not measured. Could not find variable ')
  assert 'None' not in sentence and 'at most' not in sentence


def test_the_report_survives_its_file(tmp_path):
  report = judge(seen=evaluated(float('nan')))
  gates.write(report, tmp_path, weights_sha256='abc', current_model_id=7)
  assert gates.read(tmp_path) == report
  found = json.loads((tmp_path / 'gates.json').read_text(), parse_constant=pytest.fail)
  assert found['blessed'] is False and found['weights_sha256'] == 'abc'
  assert set(found['gates'][0]) >= {'gate', 'value', 'limit', 'ok', 'unit', 'next_step'}
