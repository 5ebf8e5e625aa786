"""Compiling for Kubeflow: complete, hermetic, and refused where Kubeflow would refuse it."""

import copy
import importlib
import json
import pathlib
import re
import socket

import pytest
import yaml

from pipeline import compilation, create_pipeline
from schemas import loader
from schemas.config import KubeflowConfig, ResourcesConfig
from schemas.errors import ConfigError, RunError

KEPT = ('run.state=/mounted/state',)
DIGITS = pathlib.Path(__file__).parents[3] / 'pipeline/configs/digits.yaml'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
  return loader.load_config(DIGITS, KEPT, tmp_path_factory.mktemp('work'))


@pytest.fixture(scope='module')
def compiled(config, tmp_path_factory):
  """Both forms, compiled while nothing outside can be reached."""
  folder = tmp_path_factory.mktemp('compiled')
  reached = []

  def refuse(self, address):
    reached.append(address)
    raise OSError('no network in this test')

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(socket.socket, 'connect', refuse)
    rows = {
      'yaml': compilation.compile_pipeline(config, folder / 'new/digits.yaml'),
      'json': compilation.compile_pipeline(
        config, folder / 'digits.json', 'gs://bucket/digits', 'registry/ours:1'
      ),
      'rooted': compilation.compile_pipeline(config, folder / 'rooted.yaml', 'gs://bucket/digits'),
      'kfp': compilation.compile_pipeline(config, folder / 'kfp.yaml', target='kfp'),
    }
  assert reached == []
  return rows


@pytest.fixture(scope='module')
def job(compiled):
  return json.loads(compiled['json'].path.read_text())


@pytest.mark.slow
def test_every_component_is_in_the_file(compiled):
  for row in compiled.values():
    assert {
      'ImageExampleGen',
      'Audit',
      'StatisticsGen',
      'ExampleValidator',
      'DataGate',
      'Transform',
      'Trainer',
      'Evaluator',
      'ServingValidator',
      'Publisher',
      'Analysis',
    } <= set(row.tasks)
    assert row.path.is_file()
    assert list(row.path.parent.glob('.compile-*')) == []


@pytest.mark.slow
def test_nothing_is_trained_before_the_audit(job):
  tasks = job['pipelineSpec']['root']['dag']['tasks']
  assert 'Audit' in tasks['Trainer']['dependentTasks']
  assert set(tasks['Audit']['dependentTasks']) == {'ImageExampleGen'}


@pytest.mark.slow
def test_what_a_submission_may_set(compiled, config):
  shared = {
    'data_fingerprint': '',
    'span': 0,
    'data_root': str(config.data.root),
    'batch_size': config.train.batch_size,
    # Where it lies by default is a folder of this machine.
    'serving_directory': None,
  }
  assert compiled['yaml'].parameters == compiled['json'].parameters == shared
  assert compiled['kfp'].parameters == shared | {'baseline_model': ''}


@pytest.mark.slow
def test_a_parameter_reaches_its_component(compiled):
  spec = yaml.safe_load(compiled['kfp'].path.read_text())
  for name, component, parameter in [
    ('data_root', 'ImageExampleGen', 'data_root'),
    ('batch_size', 'Trainer', 'batch_size'),
    ('serving_directory', 'Publisher', 'push_destination'),
    ('baseline_model', 'Evaluator', 'baseline_uri'),
  ]:
    given = spec['root']['dag']['tasks'][component]['inputs']['parameters'][parameter]
    assert given == {'componentInputParameter': name}
    declared = spec['components'][component]['inputDefinitions']['parameters'][parameter]
    root = spec['root']['inputDefinitions']['parameters'][name]
    assert declared['parameterType'] == root['parameterType']


@pytest.mark.slow
def test_stages_that_are_not_written_out_take_epochs_and_rate(config):
  train = config.train.model_copy(update={'stages': None, 'epochs': 7, 'learning_rate': 0.25})
  run = config.run.model_copy(update={'engine': 'kfp'})
  made = create_pipeline.create_pipeline(config.model_copy(update={'train': train, 'run': run}))
  (trainer,) = [node for node in made.components if node.id == 'Trainer']
  given = {name: trainer.exec_properties[name] for name in ('epochs', 'learning_rate')}
  assert {name: (value.ptype, value.default) for name, value in given.items()} == {
    'epochs': (int, 7),
    'learning_rate': (float, 0.25),
  }


@pytest.mark.slow
def test_a_schema_file_of_this_machine_comes_with_the_file(compiled, config):
  spec = yaml.safe_load(compiled['yaml'].path.read_text())
  inputs = spec['root']['dag']['tasks']['ImportSchemaGen']['inputs']['parameters']
  text = config.data.schema_path.read_text()
  assert inputs['schema_text']['runtimeValue']['constant'] == text


@pytest.mark.slow
def test_each_container_is_told_what_it_has_to_be(compiled):
  for row in compiled.values():
    spec = yaml.safe_load(row.path.read_text())
    spec = spec.get('pipelineSpec', spec)
    commands = [
      executor['container']['command']
      for executor in spec['deploymentSpec']['executors'].values()
      if 'container' in executor
    ]
    assert len(commands) >= 13
    for command in commands:
      assert command[:4] == ['python', '-m', 'pipeline.kubeflow.container', '--expect']
      expected = json.loads(command[4])
      assert (expected['keras'], expected['legacy_keras']) == ('3', False)


@pytest.mark.slow
def test_the_types_of_outputs_are_handed_to_the_container(job):
  spec = job['pipelineSpec']
  arguments = spec['deploymentSpec']['executors']['Trainer_executor']['container']['args']
  given = arguments[arguments.index('--json_serialized_outputs_spec_args') + 1]
  assert json.loads(given) == spec['components']['Trainer']['outputDefinitions']
  assert '{{' not in given


@pytest.mark.slow
def test_image(compiled):
  assert compiled['yaml'].image == compilation.default_image()
  assert compiled['json'].image == 'registry/ours:1'


@pytest.mark.slow
def test_root(compiled, job):
  assert job['runtimeConfig']['gcsOutputDirectory'] == 'gs://bucket/digits'
  assert compiled['json'].pipeline_root == 'gs://bucket/digits'
  rooted = yaml.safe_load(compiled['rooted'].path.read_text())
  assert rooted['defaultPipelineRoot'] == compiled['rooted'].pipeline_root == 'gs://bucket/digits'
  assert 'gs://' not in compiled['yaml'].path.read_text()
  assert compiled['yaml'].pipeline_root == ''


@pytest.mark.slow
def test_the_folder_of_local_artifacts_is_not_in_the_file(compiled, config):
  for row in compiled.values():
    assert str(config.run.root / 'artifacts') not in row.path.read_text()


@pytest.mark.slow
def test_resolvers_are_named_because_the_open_source_backend_refuses_them(compiled):
  assert compiled['yaml'].resolvers
  assert all(name.startswith('LatestServedModel') for name in compiled['yaml'].resolvers)
  assert compiled['kfp'].resolvers == ()
  compilation.read_compiled(compiled['yaml'].path, 'vertex')
  with pytest.raises(RunError, match='resolver.*LatestServedModel.*--target kfp'):
    compilation.read_compiled(compiled['yaml'].path, 'kfp')


@pytest.mark.slow
def test_resources_are_in_the_file_and_nowhere_else(config, tmp_path):
  resources = {'Trainer': ResourcesConfig(cpu=4, memory='16G', accelerator='NVIDIA_L4', count=1)}
  asked = config.model_copy(update={'kubeflow': KubeflowConfig(resources=resources)})
  row = compilation.compile_pipeline(asked, tmp_path / 'digits.yaml')
  executors = yaml.safe_load(row.path.read_text())['deploymentSpec']['executors']
  (found,) = [
    (name, executor['container']['resources'])
    for name, executor in executors.items()
    if 'resources' in executor.get('container', {})
  ]
  assert found[0] == 'Trainer_executor'
  assert (found[1]['cpuLimit'], found[1]['memoryLimit']) == (4.0, 16.0)
  assert found[1]['accelerator']['type'] == 'NVIDIA_L4'
  assert found[1]['accelerator']['count'] == '1'


@pytest.mark.slow
def test_the_yaml_is_the_pipeline_of_the_job(compiled, job):
  alone = yaml.safe_load(compiled['yaml'].path.read_text())
  assert alone['root'] == job['pipelineSpec']['root']


@pytest.mark.slow
def test_what_the_container_imports_exists(job):
  text = json.dumps(job)
  types = set(re.findall(r'title: (components\.\w+)', text))
  assert 'components.Dataset' in types
  arguments = [
    executor['container']['args']
    for executor in job['pipelineSpec']['deploymentSpec']['executors'].values()
    if 'container' in executor
  ]
  executors = {args[args.index('--executor_class_path') + 1] for args in arguments}
  assert any(name.startswith('components.') for name in executors)
  for path in types | executors:
    module, _, name = path.rpartition('.')
    assert hasattr(importlib.import_module(module), name)


def broken(job, change):
  wrong = copy.deepcopy(job)
  change(wrong['pipelineSpec'])
  return wrong


def misspell_container(spec):
  executor = spec['deploymentSpec']['executors']['Trainer_executor']
  executor['containr'] = executor.pop('container')


@pytest.mark.slow
@pytest.mark.parametrize(
  ('change', 'part'),
  [
    (misspell_container, 'deploymentSpec.*containr'),
    (lambda spec: spec['root'].update(dagg={}), 'pipelineSpec.*dagg'),
    (lambda spec: spec.update(schemaVersion='2.0.0'), 'schemaVersion.*2.1.0'),
    (
      lambda spec: spec['root']['dag']['tasks']['Trainer'].update(componentRef={'nam': 'x'}),
      'pipelineSpec.*nam',
    ),
  ],
)
def test_a_file_that_kubeflow_would_refuse_is_refused(job, change, part):
  compilation.check_job(copy.deepcopy(job), 'sound')
  with pytest.raises(RunError, match=f'(?s)broken.*{part}'):
    compilation.check_job(broken(job, change), 'broken')


@pytest.mark.slow
def test_nothing_is_written_when_the_check_fails(config, tmp_path, monkeypatch):
  def refuse(job, source, target):
    raise RunError(f'{source}: refused')

  target = tmp_path / 'digits.yaml'
  target.write_text('the file of before')
  monkeypatch.setattr(compilation, 'check_job', refuse)
  with pytest.raises(RunError, match='refused'):
    compilation.compile_pipeline(config, target)
  assert target.read_text() == 'the file of before'
  assert [path.name for path in tmp_path.iterdir()] == ['digits.yaml']


@pytest.mark.parametrize(
  ('output', 'root', 'name', 'words'),
  [
    ('digits.txt', None, 'digits', '--output'),
    ('digits.yaml', 's3://bucket/x', 'digits', 's3://bucket/x'),
    ('digits.yaml', None, 'My_Digits', 'name: Kubeflow expects'),
  ],
)
def test_what_cannot_be_used_there_is_refused(config, tmp_path, output, root, name, words):
  with pytest.raises(ConfigError, match=words):
    compilation.compile_pipeline(config.model_copy(update={'name': name}), tmp_path / output, root)
  assert list(tmp_path.iterdir()) == []


def test_the_open_source_backend_takes_the_pipeline_alone(config, tmp_path):
  with pytest.raises(ConfigError, match='--output: expected .yaml'):
    compilation.compile_pipeline(config, tmp_path / 'digits.json', target='kfp')
  assert list(tmp_path.iterdir()) == []


def test_weights_of_this_machine_are_refused(config, tmp_path):
  (tmp_path / 'x.weights.h5').touch()
  model = config.model.model_copy(update={'weights': str(tmp_path / 'x.weights.h5')})
  with pytest.raises(ConfigError, match='model.weights.*a file of this machine'):
    compilation.kubeflow_pipeline(config.model_copy(update={'model': model}))


def test_a_file_that_is_no_pipeline_is_refused(tmp_path):
  (tmp_path / 'x.yaml').write_text('{a: ')
  with pytest.raises(RunError, match='x.yaml'):
    compilation.read_compiled(tmp_path / 'x.yaml')
  with pytest.raises(RunError, match='missing'):
    compilation.read_compiled(tmp_path / 'missing.yaml')


def test_a_state_that_would_be_gone_with_a_container_is_refused(tmp_path):
  config = loader.load_config(DIGITS, (), tmp_path)
  with pytest.raises(ConfigError) as caught:
    compilation.kubeflow_pipeline(config)
  assert str(caught.value).startswith('run.state: expected a folder that all pods mount')
  assert '--set run.state=' in str(caught.value)


@pytest.mark.parametrize('root', ['s3://bucket/x', 'hdfs://host/x', 'gs:/bucket/x'])
def test_a_root_that_tensorflow_cannot_write_is_refused(config, root):
  with pytest.raises(
    ConfigError, match='--pipeline-root: expected a local or shared POSIX path or'
  ):
    compilation.kubeflow_pipeline(config, root)


def test_dataflow_wants_its_artifacts_in_a_bucket(tmp_path):
  names = ('project', 'region', 'worker_image')
  chosen = [
    'beam.engine=dataflow',
    *(f'beam.dataflow.{name}=x' for name in names),
    *(f'beam.dataflow.{name}_location=gs://bucket/{name}' for name in ('temp', 'staging')),
  ]
  config = loader.load_config(DIGITS, [*KEPT, *chosen], tmp_path)
  with pytest.raises(ConfigError, match='dataflow expects gs://. Received: /shared'):
    compilation.kubeflow_pipeline(config, '/shared/root')


def test_every_step_keeps_its_state_where_the_config_says(config):
  made = compilation.kubeflow_pipeline(config)
  nodes = {node.id: node.exec_properties for node in made.components}
  trained = json.loads(nodes['Trainer']['custom_config'])['state_dir']
  found = {nodes['ImageExampleGen']['state_dir'], nodes['Evaluator']['state_dir'], trained}
  assert found == {'/mounted/state'}
