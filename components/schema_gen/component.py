"""SchemaGen, with the inferred schema curated."""

from tfx.components.schema_gen import component
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ExecutionParameter
from tfx.utils import json_utils

from components.schema_gen import executor

CODE_FINGERPRINT_KEY = 'code_fingerprint'


class SchemaGenSpec(standard_component_specs.SchemaGenSpec):
  """TFX's spec with one more parameter."""

  PARAMETERS = {
    **standard_component_specs.SchemaGenSpec.PARAMETERS,
    CODE_FINGERPRINT_KEY: ExecutionParameter(type=str),
  }


class SchemaGen(component.SchemaGen):
  """TFX's SchemaGen; see curation.py for what it leaves of the inferred schema.

  Component `outputs`:
    - `schema`: standard_artifacts.Schema, schema.pbtxt.

  Example:

  ```python
  schema_gen = SchemaGen(
      statistics=statistics_gen.outputs['statistics'],
      exclude_splits=['val', 'test'],
      code_fingerprint=fingerprint_of_the_code)
  ```
  """

  SPEC_CLASS = SchemaGenSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(
    self, statistics: channel.BaseChannel, exclude_splits: list[str], code_fingerprint: str
  ):
    """Wires the component.

    Args:
      statistics: of type ExampleStatistics, from StatisticsGen.
      exclude_splits: splits that the schema is not inferred from.
      code_fingerprint: another one runs the component again.
    """
    spec = SchemaGenSpec(
      statistics=statistics,
      infer_feature_shape=1,
      exclude_splits=json_utils.dumps(exclude_splits),
      code_fingerprint=code_fingerprint,
      schema=channel.Channel(type=standard_artifacts.Schema),
    )
    # TFX's own __init__ builds a spec without the parameter that is added here.
    base_component.BaseComponent.__init__(self, spec=spec)
