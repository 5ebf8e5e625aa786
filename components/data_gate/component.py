"""DataGate: ExampleValidator only records anomalies; this component acts on them."""

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

import components
from components.data_gate import executor


class DataGateSpec(types.ComponentSpec):
  """DataGate component spec."""

  INPUTS = {
    executor.ANOMALIES: ChannelParameter(type=standard_artifacts.ExampleAnomalies),
    executor.SCHEMA: ChannelParameter(type=standard_artifacts.Schema),
    executor.DATASET: ChannelParameter(type=components.Dataset),
    executor.STATISTICS: ChannelParameter(type=standard_artifacts.ExampleStatistics),
    executor.PREVIOUS_STATISTICS: ChannelParameter(
      type=standard_artifacts.ExampleStatistics, optional=True
    ),
    executor.PREVIOUS_DATASET: ChannelParameter(type=components.Dataset, optional=True),
  }
  OUTPUTS = {executor.REPORT: ChannelParameter(type=components.GateReport)}
  PARAMETERS = {
    executor.ON_DRIFT: ExecutionParameter(type=str),
    executor.CODE_FINGERPRINT: ExecutionParameter(type=str),
  }


class DataGate(base_component.BaseComponent):
  """Stops the run where a split breaks the schema or a span drifted; names what and where.

  Drift is measured on train, against the span before, by the drift comparators of
  the schema. Skew, against the split `production` where there is one, by the skew
  comparators: it is a warning, because a new training is what it asks for.

  Component `outputs`:
    - `report`: components.GateReport, report.json; its custom property `span` is
      that of data which passed. A component that must not run on refused data
      lists this one as an upstream node.

  Example:

  ```python
  data_gate = DataGate(
      anomalies=example_validator.outputs['anomalies'],
      schema=schema_gen.outputs['schema'],
      dataset=example_gen.outputs['dataset'],
      statistics=statistics_gen.outputs['statistics'],
      previous_statistics=previous_span.outputs['statistics'],
      previous_dataset=previous_span.outputs['dataset'],
      on_drift='stop',
      code_fingerprint=fingerprint_of_the_code)
  transform.add_upstream_node(data_gate)
  ```
  """

  SPEC_CLASS = DataGateSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(
    self,
    anomalies: types.BaseChannel,
    schema: types.BaseChannel,
    dataset: types.BaseChannel,
    statistics: types.BaseChannel,
    code_fingerprint: str,
    previous_statistics: types.BaseChannel | None = None,
    previous_dataset: types.BaseChannel | None = None,
    on_drift: str = executor.STOP,
  ):
    """Wires the component.

    Args:
      anomalies: of type ExampleAnomalies, from ExampleValidator.
      schema: of type Schema, the one that ExampleValidator used.
      dataset: of type components.Dataset, where the files are looked up.
      statistics: of type ExampleStatistics, those that were validated.
      code_fingerprint: another one runs the component again.
      previous_statistics: of the span before; may resolve to nothing.
      previous_dataset: likewise.
      on_drift: stop or warn.
    """
    super().__init__(
      spec=DataGateSpec(
        **{
          executor.ANOMALIES: anomalies,
          executor.SCHEMA: schema,
          executor.DATASET: dataset,
          executor.STATISTICS: statistics,
          executor.PREVIOUS_STATISTICS: previous_statistics,
          executor.PREVIOUS_DATASET: previous_dataset,
          executor.ON_DRIFT: on_drift,
          executor.CODE_FINGERPRINT: code_fingerprint,
          executor.REPORT: types.Channel(type=components.GateReport),
        }
      )
    )
