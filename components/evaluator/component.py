"""The Evaluator component."""

import dataclasses
import json

from tfx.components.evaluator import component as tfx_evaluator
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import json_utils

import components
from components.evaluator import executor
from components.evaluator.verdict import Asked

PREDICTIONS_KEY = 'predictions'
CODE_FINGERPRINT_KEY = 'code_fingerprint'
ASKED_KEY = 'asked'
DATASET_KEY = 'dataset'
FLOORS_KEY = 'floors'
STATE_KEY = 'state_dir'
BASELINE_URI_KEY = 'baseline_uri'


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
  """TFX's spec with two more inputs, one more output and four more parameters."""

  PARAMETERS = {
    **standard_component_specs.EvaluatorSpec.PARAMETERS,
    CODE_FINGERPRINT_KEY: ExecutionParameter(type=str),
    ASKED_KEY: ExecutionParameter(type=str),
    STATE_KEY: ExecutionParameter(type=str),
    BASELINE_URI_KEY: ExecutionParameter(type=str, optional=True),
  }
  INPUTS = {
    **standard_component_specs.EvaluatorSpec.INPUTS,
    DATASET_KEY: ChannelParameter(type=components.Dataset),
    FLOORS_KEY: ChannelParameter(type=components.Floors, optional=True),
  }
  OUTPUTS = {
    **standard_component_specs.EvaluatorSpec.OUTPUTS,
    PREDICTIONS_KEY: ChannelParameter(type=components.Predictions),
  }


class Evaluator(tfx_evaluator.Evaluator):
  """Evaluates a candidate with TFMA, against the model in service where there is one.

  Inputs and outputs are those of TFX's Evaluator, and more: the inputs `dataset` (the
  manifest says which images hang together) and `floors` (what simple models answer), and
  the output `predictions`, each image of the split with the probabilities of both models.

  ```python
  evaluator = Evaluator(
      examples=example_gen.outputs['examples'],
      model=trainer.outputs['model'],
      baseline_model=resolver.outputs['model'],
      eval_config=evaluation.eval_config(config),
      example_splits=['test'],
      dataset=example_gen.outputs['dataset'],
      code_fingerprint=fingerprint,
      asked=evaluation.asked(config),
      state_dir='runs/x/state',
  )
  ```
  """

  SPEC_CLASS = EvaluatorSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

  def __init__(
    self,
    examples: channel.BaseChannel,
    model: channel.BaseChannel,
    eval_config,
    example_splits: list[str],
    dataset: channel.BaseChannel,
    code_fingerprint: str,
    asked: Asked,
    state_dir: str = '',
    baseline_model: channel.BaseChannel | None = None,
    floors: channel.BaseChannel | None = None,
    baseline_uri=None,
  ):
    """Wires the component.

    Args:
      examples: of type Examples.
      model: of type Model, the candidate.
      eval_config: a tfma.EvalConfig without model specs: predictions are stored.
      example_splits: the one that is judged.
      dataset: of type components.Dataset.
      code_fingerprint: another one runs the component again.
      asked: of a candidate.
      state_dir: where answers are kept beyond runs, so that no model is asked twice about
        one test set; '' keeps none.
      baseline_model: of type Model, the one in service.
      floors: of type components.Floors.
      baseline_uri: str or RuntimeParameter, instead of baseline_model where no resolver
        can run: the folder of a Model artifact or of a published version; '' for none.
    """
    spec = EvaluatorSpec(
      examples=examples,
      model=model,
      baseline_model=baseline_model,
      eval_config=eval_config,
      fairness_indicator_thresholds='null',
      example_splits=json_utils.dumps(example_splits),
      code_fingerprint=code_fingerprint,
      dataset=dataset,
      floors=floors,
      state_dir=state_dir,
      baseline_uri=baseline_uri,
      asked=json.dumps(dataclasses.asdict(asked), sort_keys=True),
      evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
      blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
      predictions=channel.Channel(type=components.Predictions),
    )
    # TFX's own __init__ builds a spec without the output that is added here.
    base_beam_component.BaseBeamComponent.__init__(self, spec=spec)
