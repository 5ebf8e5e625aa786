"""The Trainer component."""

from typing import Any

from tfx import types
from tfx.components.trainer import component as tfx_trainer
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.component_spec import ExecutionParameter
from tfx.utils import json_utils

from components.trainer import executor


class TrainerSpec(standard_component_specs.TrainerSpec):
  """TFX's spec, and a parameter for each setting that a submission may change."""

  PARAMETERS = {
    **standard_component_specs.TrainerSpec.PARAMETERS,
    **{
      name: ExecutionParameter(type=kind, optional=True)
      for name, kind in executor.RUN_PARAMETERS.items()
    },
  }


class Trainer(tfx_trainer.Trainer):
  """TFX's Trainer, whose settings can be changed without another compilation.

  Inputs and outputs are those of TFX's Trainer that an experiment needs.

  ```python
  trainer = Trainer(
      examples=example_gen.outputs['examples'],
      transform_graph=transform.outputs['transform_graph'],
      schema=schema_gen.outputs['schema'],
      run_fn='models.training.run.run_fn',
      train_args=trainer_pb2.TrainArgs(splits=['train']),
      eval_args=trainer_pb2.EvalArgs(splits=['val']),
      custom_config={'config': config.model_dump_json()},
      run_parameters={'epochs': RuntimeParameter('epochs', ptype=int, default=15)},
  )
  ```
  """

  SPEC_CLASS = TrainerSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(
    self,
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    run_fn: str,
    train_args: trainer_pb2.TrainArgs,
    eval_args: trainer_pb2.EvalArgs,
    custom_config: dict[str, Any],
    hyperparameters: types.BaseChannel | None = None,
    run_parameters: dict[str, Any] | None = None,
  ):
    """Wires the component.

    Args:
      examples: of type Examples.
      transform_graph: of type TransformGraph.
      schema: of type Schema.
      run_fn: dotted path of the function that trains.
      train_args: the split that is learnt from.
      eval_args: the split for early stopping.
      custom_config: what run_fn reads, `config` among it.
      hyperparameters: of type HyperParameters, of a Tuner.
      run_parameters: by name, see executor.RUN_PARAMETERS: a value or a RuntimeParameter
        that replaces the field of that name in section `train` of `config`.
    """
    spec = TrainerSpec(
      examples=examples,
      transform_graph=transform_graph,
      schema=schema,
      hyperparameters=hyperparameters,
      run_fn=run_fn,
      train_args=train_args,
      eval_args=eval_args,
      custom_config=json_utils.dumps(custom_config),
      model=types.Channel(type=standard_artifacts.Model),
      model_run=types.Channel(type=standard_artifacts.ModelRun),
      **(run_parameters or {}),
    )
    # TFX's own __init__ builds a spec without the parameters that are added here.
    base_component.BaseComponent.__init__(self, spec=spec)
