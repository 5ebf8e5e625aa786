"""What a backend would refuse, in a small pipeline."""

import pytest

from pipeline.kubeflow import lint
from schemas.errors import RunError


@pytest.fixture
def spec():
  made = {'outputDefinitions': {'artifacts': {'model': {}}}}
  return {
    'schemaVersion': '2.1.0',
    'deploymentSpec': {
      'executors': {'A_executor': {'container': {}}, 'B_executor': {'container': {}}}
    },
    'components': {
      'A': {'executorLabel': 'A_executor'} | made,
      'B': {'executorLabel': 'B_executor'},
    },
    'root': {
      'inputDefinitions': {'parameters': {'epochs': {}}},
      'dag': {
        'tasks': {
          'A': {
            'componentRef': {'name': 'A'},
            'inputs': {'parameters': {'epochs': {'componentInputParameter': 'epochs'}}},
          },
          'B': {
            'componentRef': {'name': 'B'},
            'dependentTasks': ['A'],
            'inputs': {
              'artifacts': {
                'model': {'taskOutputArtifact': {'producerTask': 'A', 'outputArtifactKey': 'model'}}
              }
            },
          },
        }
      },
    },
  }


def tasks(spec):
  return spec['root']['dag']['tasks']


def source(spec):
  return tasks(spec)['B']['inputs']['artifacts']['model']['taskOutputArtifact']


def test_a_sound_pipeline_passes(spec):
  for target in ('vertex', 'kfp'):
    lint.check(spec, 'x', target)
  assert lint.resolvers(spec) == ()


def test_a_resolver_is_refused_by_the_open_source_backend_alone(spec):
  spec['deploymentSpec']['executors']['A_executor'] = {'resolver': {}}
  lint.check(spec, 'x', 'vertex')
  with pytest.raises(RunError, match='x: expected no resolver.*Received: A. Compile'):
    lint.check(spec, 'x', 'kfp')


@pytest.mark.parametrize('target', ['vertex', 'kfp'])
@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (lambda spec: spec.update(schemaVersion='2.0.0'), 'schemaVersion: expected 2.1.0'),
    (lambda spec: spec.pop('schemaVersion'), 'Received: None'),
    (lambda spec: spec['components']['A'].update(executorLabel='C'), 'components.A: .*: C'),
    (lambda spec: tasks(spec)['B'].update(componentRef={'name': 'C'}), 'tasks.B: .*: C'),
    (lambda spec: tasks(spec)['B'].update(dependentTasks=['C']), 'tasks.B: .*: C'),
    (lambda spec: source(spec).update(producerTask='C'), 'tasks.B: .*: C'),
    (lambda spec: source(spec).update(outputArtifactKey='c'), 'tasks.B: expected one of model'),
    (lambda spec: spec['root'].pop('inputDefinitions'), 'tasks.A: expected one of none.*epochs'),
  ],
)
def test_a_planted_mistake_is_found(spec, target, change, words):
  change(spec)
  with pytest.raises(RunError, match=words):
    lint.check(spec, 'x', target)
