"""The order of the components, where it is not given by what they read."""

import json

import pytest

from pipeline import runner
from pipeline.create_pipeline import create_pipeline
from schemas import loader


@pytest.mark.parametrize('engine', ['local', 'vertex', 'kfp'])
def test_nothing_is_trained_before_the_audit_and_the_gate(tmp_path, engine):
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'run': {'engine': engine}}
  made = create_pipeline(loader.build_config(tree, 'test', working_directory=tmp_path))
  nodes = {node.id: node for node in made.components}
  assert nodes['Audit'] in nodes['Trainer'].upstream_nodes
  assert nodes['DataGate'] in nodes['Transform'].upstream_nodes
  assert nodes['Transform'] in nodes['Trainer'].upstream_nodes


def test_another_fit_is_another_transform(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\n')

  def settings(fit):
    tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'image': {'fit': fit}}
    made = create_pipeline(loader.build_config(tree, 'test', working_directory=tmp_path))
    (transform,) = [node for node in made.components if node.id == 'Transform']
    return transform.exec_properties['custom_config']

  assert settings('pad') == settings('pad') != settings('crop')


def test_the_data_half_alone_compiles(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'tuner': {'trials': 2}}
  config = loader.build_config(tree, 'test', working_directory=tmp_path)
  made = runner.compile_pipeline(config, 'Transform')
  names = [node.pipeline_node.node_info.id for node in made.nodes]
  assert names[-1] == 'Transform' and 'Trainer' not in names and 'Audit' in names


def test_the_search_is_given_train_and_val_and_the_trainer_what_it_found(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'tuner': {'trials': 2}}
  made = create_pipeline(loader.build_config(tree, 'test', working_directory=tmp_path))
  nodes = {node.id: node for node in made.components}
  properties = nodes['Tuner'].exec_properties
  splits = [json.loads(properties[name])['splits'] for name in ('train_args', 'eval_args')]
  # By default TFX would take train and eval; of test it is told nothing.
  assert splits == [['train'], ['val']]
  assert nodes['Audit'] in nodes['Tuner'].upstream_nodes
  assert nodes['Tuner'] in nodes['Trainer'].upstream_nodes
  found = nodes['Trainer'].inputs['hyperparameters']
  assert found.producer_component_id == 'Tuner'


def test_the_trainer_knows_how_an_answer_is_to_be_decided(tmp_path):
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'decision': {'review_threshold': 0.9}}
  made = create_pipeline(loader.build_config(tree, 'test', working_directory=tmp_path))
  (trainer,) = (node for node in made.components if node.id == 'Trainer')
  config = json.loads(json.loads(trainer.exec_properties['custom_config'])['config'])
  assert config['decision']['review_threshold'] == 0.9


@pytest.mark.parametrize('engine', ['local', 'vertex', 'kfp'])
def test_what_is_published_does_not_wait_for_the_analysis(tmp_path, engine):
  (tmp_path / 'labels.csv').write_text('filename,label\n')

  def nodes(through=None, **analysis):
    tree = {
      'name': 'x',
      'data': {'root': str(tmp_path)},
      'run': {'engine': engine},
      'analysis': analysis,
    }
    config = loader.build_config(tree, 'test', working_directory=tmp_path)
    return {node.id: node for node in create_pipeline(config, through).components}

  made = nodes()
  assert made['Publisher'] in made['Analysis'].upstream_nodes
  assert made['Analysis'].downstream_nodes == set()
  assert (
    nodes(images=7)['Analysis'].exec_properties['settings']
    != (made['Analysis'].exec_properties['settings'])
  )
  assert 'Analysis' not in nodes(run=False)
  assert 'Analysis' not in nodes('Publisher')


@pytest.mark.parametrize('engine, compared', [('local', True), ('vertex', False), ('kfp', False)])
def test_a_version_is_compared_with_the_one_before_it_where_the_engine_can(
  tmp_path, engine, compared
):
  (tmp_path / 'labels.csv').write_text('filename,label\n')
  tree = {'name': 'x', 'data': {'root': str(tmp_path)}, 'run': {'engine': engine}}
  made = create_pipeline(loader.build_config(tree, 'test', working_directory=tmp_path))
  nodes = {node.id: node for node in made.components}
  validator = nodes['ServingValidator']
  found = {
    key: channel.producer_component_id
    for key, channel in validator.inputs.items()
    if key.startswith('baseline_')
  }
  expected = dict.fromkeys(('baseline_model', 'baseline_blessing'), 'PreviouslyServed')
  assert found == (expected if compared else {})
  assert ('PreviouslyServed' in nodes) == compared
  # The code whose stages are timed is part of what is recorded, and of the cache's key.
  assert len(validator.exec_properties['stage_code']) == 16
  if compared:
    assert nodes['PreviouslyServed'] in validator.upstream_nodes
