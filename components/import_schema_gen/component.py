"""ImportSchemaGen, with what the schema says as a parameter."""

from tfx.components.schema_gen.import_schema_gen import component
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ExecutionParameter

from components.import_schema_gen import executor
from components.import_schema_gen import schema_file as reading

CONTENT_HASH_KEY = 'content_hash'


class ImportSchemaGenSpec(standard_component_specs.ImportSchemaGenSpec):
  """TFX's spec with two more parameters."""

  PARAMETERS = {
    **standard_component_specs.ImportSchemaGenSpec.PARAMETERS,
    CONTENT_HASH_KEY: ExecutionParameter(type=str),
    executor.SCHEMA_TEXT_KEY: ExecutionParameter(type=str, optional=True),
  }


class ImportSchemaGen(component.ImportSchemaGen):
  """TFX's ImportSchemaGen, which runs again when the file says something else.

  TFX's own has the path alone as a parameter, so that an edited file would be
  taken from the cache as it was.

  Component `outputs`:
    - `schema`: standard_artifacts.Schema, schema.pbtxt.

  Example:

  ```python
  schema_gen = ImportSchemaGen(schema_file='schemas/digits/schema.pbtxt')
  ```
  """

  SPEC_CLASS = ImportSchemaGenSpec
  EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

  def __init__(self, schema_file: str, carry_text: bool = False):
    """Reads the file and wires the component.

    Args:
      schema_file: a TFDV schema as text.
      carry_text: the file is on this machine alone; what it says becomes a parameter.

    Raises:
      ConfigError: it cannot be read, or is no schema.
    """
    spec = ImportSchemaGenSpec(
      schema_file=schema_file,
      content_hash=reading.content_hash(schema_file),
      schema_text=reading.read_text(schema_file) if carry_text else None,
      schema=channel.Channel(type=standard_artifacts.Schema),
    )
    # TFX's own __init__ builds a spec without the parameter that is added here.
    base_component.BaseComponent.__init__(self, spec=spec)
