"""A run root by hand: the files that a run leaves, without its metadata store."""

import base64
import copy
import json

RUN = '20260101-120000'
# A red pixel.
PNG = base64.b64decode(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=='
)


def proportion(value, n, low, high):
  return {'value': value, 'n': n, 'interval': [low, high]}


COMPARISON = {
  'verdict': 'undecided',
  'n': 40,
  'groups': 40,
  'only_first': 1,
  'only_second': 3,
  'difference': -0.05,
  'interval': [-0.1612, 0.0623],
  'p': 0.625,
  'test': "McNemar's exact test",
  'detectable': 0.1375,
}
VERDICT = {
  'blessed': True,
  'reasons': ['Accuracy 0.8250 meets the absolute bar.'],
  'candidate': {
    'accuracy': proportion(0.825, 40, 0.6805, 0.9125),
    'macro_f1': 0.8123,
    'macro_pr_auc': 0.8877,
    'labels': ['ripe', 'green'],
    'confusion_matrix': [[18, 2], [5, 15]],
    'per_class': {
      'ripe': {
        'n': 20,
        'precision': 0.7826,
        'recall': 0.9,
        'f1': 0.8372,
        'roc_auc': 0.9111,
        'pr_auc': None,
      },
      'green': {
        'n': 20,
        'precision': 0.8824,
        'recall': 0.75,
        'f1': 0.8108,
        'roc_auc': 0.9112,
        'pr_auc': 0.9,
      },
    },
  },
  'baseline': {'accuracy': proportion(0.875, 40, 0.739, 0.945)},
  'comparison': COMPARISON,
  'floors': {
    'best': 'SVM on colours',
    'floors': [
      {
        'name': 'SVM on colours',
        'accuracy': proportion(0.775, 40, 0.6255, 0.8768),
        'seconds': 0.4,
        'comparison': {**COMPARISON, 'verdict': 'better', 'difference': 0.0517, 'p': 0.0213},
      }
    ],
  },
  'slices': [
    {'key': 'column/site', 'value': 'north', 'accuracy': proportion(0.91, 30, 0.75, 0.97)},
    {'key': 'column/site', 'value': 'south', 'accuracy': proportion(0.57, 10, 0.29, 0.81)},
  ],
  'calibration': {
    'temperature': 1.25,
    'ece_before': 0.1234,
    'ece_after': 0.0456,
    'brier': 0.2109,
    'reliability': [
      {'n': 10, 'confidence': 0.6, 'accuracy': 0.5},
      {'n': 30, 'confidence': 0.9, 'accuracy': 0.93},
    ],
    'flagged': proportion(0.15, 40, 0.07, 0.29),
    'accepted_accuracy': proportion(0.9118, 34, 0.77, 0.97),
  },
  'leaks': {'affected': 0},
}
LATER = {
  'overrides': [
    {
      'gate': 'slices',
      'who': 'Grace',
      'reason': 'south is closed',
      'when': '2026-01-02',
      'overruled': ['South is low.'],
    }
  ],
  'groups': [
    {
      'column': 'column/site',
      'gap': 0.3411,
      'interval': [0.0612, 0.5823],
      'p': 0.0123,
      'worst': {'value': 'south', 'accuracy': proportion(0.57, 10, 0.29, 0.81)},
      'best': {'value': 'north', 'accuracy': proportion(0.91, 30, 0.75, 0.97)},
      'left_out': [],
      'limit': 0.2,
      'status': 'over its limit',
    }
  ],
}
LOOKS = {'test_sha256': 'feed5eed', 'looks': 3, 'candidates': 2, 'correction': 'Holm over 2'}
GATE = {
  'gate': 'p95_ms',
  'value': 12.34,
  'limit': 100.0,
  'ok': True,
  'unit': 'ms',
  'next_step': 'Take a smaller backbone.',
  'detail': '',
}
SUMMARY = {
  'name': 'plums',
  'run_id': RUN,
  'started': '2026-01-01T12:00:00',
  'seconds': 61.5,
  'outcome': 'published',
  'error': None,
  'goal': 'riper plums',
  'verdict': 'blessed',
  'reasons': VERDICT['reasons'],
  'metrics': VERDICT['candidate'],
  'slices': VERDICT['slices'],
  'looks': LOOKS,
  'leaks': VERDICT['leaks'],
  'calibration': VERDICT['calibration'],
  'production': None,
  'serving': {'blessed': True, 'gates': [GATE]},
  'published': {'version': '17', 'directory': '/serving/plums/17', 'new': True},
  'model': {
    'weights_sha256': 'abadcafe',
    'parameters': 676433,
    'compute_dtype': 'float32',
    'weights': {'source': 'imagenet', 'reason': 'weights of ImageNet', 'licence': 'Apache-2.0'},
    'diagnosis': [{'kind': 'fine', 'text': 'The curves look fine.'}],
  },
  'dataset': {
    'dataset_sha256': 'd00d' * 16,
    'manifest_sha256': 'f00d' * 16,
    'images': 400,
    'classes': ['green', 'ripe'],
    'splits': {'train': 320, 'val': 40, 'test': 40},
    'split': {'seed': 7},
    'decisions': {'keep': 0, 'drop': 2},
    'bad': {'count': 1, 'fraction': 0.0025, 'limit': 0.02},
    'span': 0,
  },
  'components': {
    'Trainer': {'outcome': 'done', 'seconds': 90.0, 'cpu_seconds': 100.0},
  },
  'energy': {'cpu_seconds': 166.5, 'wh': 0.1835, 'source': 'estimate'},
  'paths': {},
}
CONFIG = {
  'name': 'plums',
  'problem': {'task': 'ripe or not', 'users': 'sorters'},
  'data': {'lock': None, 'card': {'source': 'an orchard', 'licence': 'CC0'}},
  'augment': {'reasons': {'shift': 'a plum is a plum anywhere'}},
  'evaluate': {
    'min_accuracy': 0.8,
    'max_accuracy_drop': 0.01,
    'bless': ['better', 'same', 'undecided'],
    'min_macro_f1': 0.81,
    'min_pr_auc': 0.0,
    'slice_floors': [{'slice': 'site', 'min_accuracy': 0.6}],
  },
  'floors': {'fit': True, 'gates': False, 'reason': 'colours suffice so far'},
}
PROVENANCE = {
  'config': CONFIG,
  'config_sha256': 'c0f1',
  'code': {'git_sha': 'beefbeef', 'dirty': True, 'changed': ['a.py', 'b.py'], 'version': '0.1.0'},
  'lock': {'sha256': '10c4', 'deviations': ['numpy 2.0 instead of 2.1']},
  'packages': {'numpy': '2.0', 'keras': None},
  'seeds': {'train.seed': 7},
  'hardware': {'cpu': 'A CPU', 'cores': 2, 'memory_gib': 8.0, 'gpus': []},
}
ANALYSIS = {
  'images': 40,
  'seconds': 2.0,
  'robustness': [
    {
      'change': 'blur',
      'severity': severity,
      'amount': f'sigma {severity} pixels',
      'accuracy': proportion(value, 40, value - 0.1, value + 0.05),
      'flipped': proportion(0.2, 40, 0.1, 0.3),
    }
    for severity, value in ((1, 0.8), (2, 0.4321))
  ],
  'harmless': [{'change': 'shifted by one pixel', 'flipped': proportion(0.025, 40, 0.0, 0.13)}],
  'directional': [{'check': 'darker is less ripe', 'holds': False, 'found': 'in 12 of 40'}],
  'errors': [
    {
      'image_id': 'e1',
      'path': 'plum_0001.png',
      'label': 'ripe',
      'predicted': 'green',
      'probability': 0.987,
      'suspect': True,
      'picture': 'pictures/e1.png',
      'overlay': None,
      'nearest': [
        {
          'image_id': 't1',
          'path': 'plum_0002.png',
          'label': 'green',
          'distance': 0.31,
          'picture': 'pictures/e1.png',
        }
      ],
    }
  ],
  'confused': [{'label': 'green', 'predicted': 'ripe', 'count': 5, 'of': 20, 'image_ids': ['x']}],
}
CURVES = (
  'stage,epoch,loss,accuracy,val_loss,val_accuracy\n'
  'head,1,2.0,0.5,1.8,0.55\n'
  'head,2,1.0,0.7,1.1,0.65\n'
  'all,1,0.5,0.9,0.7,0.8125\n'
)


def write(root, summary=None, verdict=None, provenance=PROVENANCE, analysis=None, run=RUN):
  """Writes the files of a run and returns the run root.

  Args:
    root: the run root; made if it is missing.
    summary: further or other values than those above.
    verdict: likewise.
    provenance: None: there is none.
    analysis: of the model; None: there is none.
    run: its id.
  """
  folder, evaluation = root / run, root / 'evaluation'
  evaluation.mkdir(parents=True, exist_ok=True)
  folder.mkdir()
  tree = copy.deepcopy(SUMMARY) | {'run_id': run} | (summary or {})
  judged = VERDICT | (verdict or {}) if tree.get('verdict') else {}
  if judged:
    (evaluation / 'verdict.json').write_text(json.dumps(judged))
    (root / 'curves.csv').write_text(CURVES)
    tree['paths'] = {'evaluation': str(evaluation), 'curves': str(root / 'curves.csv')}
  if analysis:
    (root / 'analysis/pictures').mkdir(parents=True)
    (root / 'analysis/analysis.json').write_text(json.dumps(analysis))
    (root / 'analysis/pictures/e1.png').write_bytes(PNG)
    tree['analysis'] = {'path': str(root / 'analysis')}
  (folder / 'summary.json').write_text(json.dumps(tree))
  if provenance:
    (folder / 'provenance.json').write_text(json.dumps(provenance))
  return root
