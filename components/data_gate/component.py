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
  }
  OUTPUTS = {executor.REPORT: ChannelParameter(type=components.GateReport)}
  PARAMETERS = {executor.CODE_FINGERPRINT: ExecutionParameter(type=str)}


class DataGate(base_component.BaseComponent):
  """Stops the run where any split breaks the schema, and names what and where.

  Component `outputs`:
    - `report`: components.GateReport, report.json. A component that must not
      run on refused data lists this one as an upstream node.

  Example:

  ```python
  data_gate = DataGate(
      anomalies=example_validator.outputs['anomalies'],
      schema=schema_gen.outputs['schema'],
      dataset=example_gen.outputs['dataset'],
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
    code_fingerprint: str,
  ):
    """Wires the component.

    Args:
      anomalies: of type ExampleAnomalies, from ExampleValidator.
      schema: of type Schema, the one that ExampleValidator used.
      dataset: of type components.Dataset, where the files are looked up.
      code_fingerprint: another one runs the component again.
    """
    super().__init__(
      spec=DataGateSpec(
        **{
          executor.ANOMALIES: anomalies,
          executor.SCHEMA: schema,
          executor.DATASET: dataset,
          executor.CODE_FINGERPRINT: code_fingerprint,
          executor.REPORT: types.Channel(type=components.GateReport),
        }
      )
    )
