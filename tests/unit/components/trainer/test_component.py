"""The Trainer with parameters that a submission may set."""

import json

import pytest
from tfx.orchestration import data_types
from tfx.proto import trainer_pb2
from tfx.types import channel, standard_artifacts

from components.trainer import executor
from components.trainer.component import Trainer


def trainer(**run_parameters):
  return Trainer(
    examples=channel.Channel(type=standard_artifacts.Examples),
    transform_graph=channel.Channel(type=standard_artifacts.TransformGraph),
    schema=channel.Channel(type=standard_artifacts.Schema),
    run_fn='a.b',
    train_args=trainer_pb2.TrainArgs(splits=['train']),
    eval_args=trainer_pb2.EvalArgs(splits=['val']),
    custom_config={'config': '{}'},
    run_parameters=run_parameters,
  )


def test_it_is_the_trainer_that_tfx_knows():
  made = trainer()
  assert made.id == 'Trainer'
  assert made.executor_spec.executor_class is executor.Executor
  assert json.loads(made.exec_properties['custom_config']) == {'config': '{}'}
  assert {'model', 'model_run'} == set(made.outputs)
  # A parameter without a value is none: what the cache knows does not change.
  assert all(made.exec_properties.get(name) is None for name in executor.RUN_PARAMETERS)


def test_a_parameter_of_the_run():
  epochs = data_types.RuntimeParameter(name='epochs', ptype=int, default=3)
  assert trainer(epochs=epochs).exec_properties['epochs'] is epochs


def test_another_type_is_refused():
  with pytest.raises(TypeError, match='epochs'):
    trainer(epochs='3')
