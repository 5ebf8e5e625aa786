"""The Analysis component."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

import components
from components.analysis import executor
from schemas.config import AnalysisConfig

_READ = {'images', 'errors', 'seed'}


class AnalysisSpec(types.ComponentSpec):
  """Analysis component spec."""

  INPUTS = {
    executor.DATASET: ChannelParameter(type=components.Dataset),
    executor.AUDIT: ChannelParameter(type=components.Audit, optional=True),
    executor.EXAMPLES: ChannelParameter(type=standard_artifacts.Examples),
    executor.MODEL: ChannelParameter(type=standard_artifacts.Model),
    executor.MODEL_RUN: ChannelParameter(type=standard_artifacts.ModelRun),
    executor.PREDICTIONS: ChannelParameter(type=components.Predictions),
  }
  OUTPUTS = {executor.ANALYSIS: ChannelParameter(type=components.Analysis)}
  PARAMETERS = {
    executor.SETTINGS: ExecutionParameter(type=str),
    executor.CODE_FINGERPRINT: ExecutionParameter(type=str),
  }


class Analysis(base_component.BaseComponent):
  """Explains a trained model: what it is sensitive to, where it is wrong, where it looks.

  It gates nothing. Test images are asked about again, changed in seven ways at five
  severities, and in ways that should not matter; the surest errors are shown with what
  the network looked at and with the training images that it finds most similar.

  Component `outputs`:
    - `analysis`: components.Analysis.

  ```python
  analysis = Analysis(
      dataset=example_gen.outputs['dataset'],
      audit=audit.outputs['audit'],
      examples=example_gen.outputs['examples'],
      model=trainer.outputs['model'],
      model_run=trainer.outputs['model_run'],
      predictions=evaluator.outputs['predictions'],
      settings=config.analysis,
      code_fingerprint=fingerprint_of_the_code)
  ```
  """

  SPEC_CLASS = AnalysisSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(
    self,
    dataset: types.BaseChannel,
    examples: types.BaseChannel,
    model: types.BaseChannel,
    model_run: types.BaseChannel,
    predictions: types.BaseChannel,
    settings: AnalysisConfig,
    code_fingerprint: str,
    audit: types.BaseChannel | None = None,
  ):
    """Wires the component.

    Args:
      dataset: of type components.Dataset.
      examples: standard_artifacts.Examples, raw; train and test are read.
      model: standard_artifacts.Model.
      model_run: standard_artifacts.ModelRun of the same training: the backbone's weights.
      predictions: of type components.Predictions, of the same model on test.
      settings: section `analysis` of the config.
      code_fingerprint: another one runs the component again.
      audit: of type components.Audit, which knows the suspect labels.
    """
    super().__init__(
      spec=AnalysisSpec(
        **{
          executor.DATASET: dataset,
          executor.AUDIT: audit,
          executor.EXAMPLES: examples,
          executor.MODEL: model,
          executor.MODEL_RUN: model_run,
          executor.PREDICTIONS: predictions,
          executor.SETTINGS: settings.model_dump_json(include=_READ),
          executor.CODE_FINGERPRINT: code_fingerprint,
          executor.ANALYSIS: types.Channel(type=components.Analysis),
        }
      )
    )
