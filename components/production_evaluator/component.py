"""The ProductionEvaluator component."""

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ComponentSpec, ExecutionParameter
from tfx.utils import json_utils

from components.production_evaluator import executor
from schemas import features


class ProductionEvaluatorSpec(ComponentSpec):
  """TFX's EvaluatorSpec without a baseline and without the blessing."""

  PARAMETERS = {
    key: standard_component_specs.EvaluatorSpec.PARAMETERS[key]
    for key in (
      standard_component_specs.EVAL_CONFIG_KEY,
      standard_component_specs.EXAMPLE_SPLITS_KEY,
    )
  } | {executor.CODE_FINGERPRINT: ExecutionParameter(type=str)}
  INPUTS = {
    key: standard_component_specs.EvaluatorSpec.INPUTS[key]
    for key in (standard_component_specs.EXAMPLES_KEY, standard_component_specs.MODEL_KEY)
  }
  OUTPUTS = {
    standard_component_specs.EVALUATION_KEY: standard_component_specs.EvaluatorSpec.OUTPUTS[
      standard_component_specs.EVALUATION_KEY
    ]
  }


class ProductionEvaluator(base_beam_component.BaseBeamComponent):
  """Scores a model on the split `production`, to stand beside its verdict on test.

  It has no output of type ModelBlessing, and none of type Predictions: no resolver
  can take what was served for a verdict.

  Component `outputs`:
    - `evaluation`: standard_artifacts.ModelEvaluation: TFMA's results,
      predictions.parquet and production.json.

  ```python
  production_evaluator = ProductionEvaluator(
      examples=example_gen.outputs['examples'],
      model=trainer.outputs['model'],
      eval_config=evaluation.scoring_config(config),
      code_fingerprint=fingerprint,
  )
  ```
  """

  SPEC_CLASS = ProductionEvaluatorSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

  def __init__(
    self,
    examples: channel.BaseChannel,
    model: channel.BaseChannel,
    eval_config,
    code_fingerprint: str,
  ):
    """Wires the component.

    Args:
      examples: of type Examples, with the split `production`.
      model: of type Model.
      eval_config: a tfma.EvalConfig without thresholds.
      code_fingerprint: another one runs the component again.
    """
    spec = ProductionEvaluatorSpec(
      examples=examples,
      model=model,
      eval_config=eval_config,
      example_splits=json_utils.dumps([features.PRODUCTION]),
      code_fingerprint=code_fingerprint,
      evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
    )
    super().__init__(spec=spec)
