"""The Floors component."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

import components
from components.floors import executor


class FloorsSpec(types.ComponentSpec):
  """Floors component spec."""

  INPUTS = {executor.DATASET: ChannelParameter(type=components.Dataset)}
  OUTPUTS = {executor.FLOORS: ChannelParameter(type=components.Floors)}
  PARAMETERS = {executor.CODE_FINGERPRINT: ExecutionParameter(type=str)}


class Floors(base_component.BaseComponent):
  """Fits simple models on train and has them answer test: what a network has to beat.

  Chance, the largest class, logistic regression, SVMs and gradient boosting, from
  thumbnails: seconds each. They know nothing of any network, so that a run that trains
  anew on the same data takes them from the cache.

  Component `outputs`:
    - `floors`: components.Floors.

  ```python
  floors = Floors(
      dataset=example_gen.outputs['dataset'],
      code_fingerprint=fingerprint_of_the_code)
  evaluator = Evaluator(..., floors=floors.outputs['floors'])
  ```
  """

  SPEC_CLASS = FloorsSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(self, dataset: types.BaseChannel, code_fingerprint: str):
    """Wires the component.

    Args:
      dataset: of type components.Dataset.
      code_fingerprint: another one runs the component again.
    """
    super().__init__(
      spec=FloorsSpec(
        **{
          executor.DATASET: dataset,
          executor.CODE_FINGERPRINT: code_fingerprint,
          executor.FLOORS: types.Channel(type=components.Floors),
        }
      )
    )
