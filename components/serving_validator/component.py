"""The ServingValidator component."""

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

import components
from components.serving_validator import executor
from schemas.config import ServingValidatorConfig

CODE_FINGERPRINT_KEY = 'code_fingerprint'


class ServingValidatorSpec(ComponentSpec):
  """What goes in and what comes out."""

  PARAMETERS = {
    executor.CONFIG_KEY: ExecutionParameter(type=str),
    executor.STAGE_CODE_KEY: ExecutionParameter(type=str),
    CODE_FINGERPRINT_KEY: ExecutionParameter(type=str),
  }
  INPUTS = {
    standard_component_specs.MODEL_KEY: ChannelParameter(type=standard_artifacts.Model),
    standard_component_specs.EXAMPLES_KEY: ChannelParameter(type=standard_artifacts.Examples),
    executor.PREDICTIONS_KEY: ChannelParameter(type=components.Predictions),
    executor.BASELINE_MODEL_KEY: ChannelParameter(type=standard_artifacts.Model, optional=True),
    executor.BASELINE_BLESSING_KEY: ChannelParameter(
      type=standard_artifacts.InfraBlessing, optional=True
    ),
  }
  OUTPUTS = {
    standard_component_specs.BLESSING_KEY: ChannelParameter(type=standard_artifacts.InfraBlessing),
  }


class ServingValidator(base_component.BaseComponent):
  """Serves the export as TensorFlow Serving would, and blesses it if it is fit for that.

  In a fresh process, with TensorFlow Serving's kind of loader, it runs every
  signature, answers the test images by `serving_default` on raw bytes, compares
  with what was evaluated, and measures time, memory and size. It needs no Docker.

  Inputs:
    model: `standard_artifacts.Model`.
    examples: `standard_artifacts.Examples`, raw; the split `test` is read.
    predictions: `components.Predictions` of Evaluator for the same model.
    baseline_model, baseline_blessing: the version in service and its own blessing, that
      time, memory and size are compared with; one may be missing, or both.

  Outputs:
    blessing: `standard_artifacts.InfraBlessing` with the custom properties
      `blessed` (1 or 0), `current_model_id` and `weights_sha256`, and gates.json.

  Parameters:
    config: limits of the gates.
    stage_code: fingerprint of the code that decodes and decides, which is timed apart.
    code_fingerprint: of Sightline's code, so that the cache notices a change.

  ```python
  serving_validator = ServingValidator(
      model=trainer.outputs['model'],
      examples=example_gen.outputs['examples'],
      predictions=evaluator.outputs['predictions'],
      config=config.serving_validator,
      code_fingerprint=fingerprint)
  ```
  """

  SPEC_CLASS = ServingValidatorSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(
    self,
    model: channel.BaseChannel,
    examples: channel.BaseChannel,
    predictions: channel.BaseChannel,
    config: ServingValidatorConfig | str,
    code_fingerprint: str = '',
    baseline_model: channel.BaseChannel | None = None,
    baseline_blessing: channel.BaseChannel | None = None,
    stage_code: str = '',
  ):
    super().__init__(
      spec=ServingValidatorSpec(
        model=model,
        examples=examples,
        predictions=predictions,
        baseline_model=baseline_model,
        baseline_blessing=baseline_blessing,
        stage_code=stage_code,
        config=config if isinstance(config, str) else config.model_dump_json(),
        code_fingerprint=code_fingerprint,
        blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
      )
    )
