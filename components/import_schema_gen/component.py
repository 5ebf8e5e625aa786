"""ImportSchemaGen, with what the schema says as a parameter."""

from tfx.components.schema_gen.import_schema_gen import component
from tfx.dsl.components.base import base_component
from tfx.types import channel, standard_artifacts, standard_component_specs
from tfx.types.component_spec import ExecutionParameter

from components.import_schema_gen import schema_file as reading

CONTENT_HASH_KEY = 'content_hash'


class ImportSchemaGenSpec(standard_component_specs.ImportSchemaGenSpec):
  """TFX's spec with one more parameter."""

  PARAMETERS = {
    **standard_component_specs.ImportSchemaGenSpec.PARAMETERS,
    CONTENT_HASH_KEY: ExecutionParameter(type=str),
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

  def __init__(self, schema_file: str):
    """Reads the file and wires the component.

    Args:
      schema_file: a TFDV schema as text.

    Raises:
      ConfigError: it cannot be read, or is no schema.
    """
    spec = ImportSchemaGenSpec(
      schema_file=schema_file,
      content_hash=reading.content_hash(schema_file),
      schema=channel.Channel(type=standard_artifacts.Schema),
    )
    # TFX's own __init__ builds a spec without the parameter that is added here.
    base_component.BaseComponent.__init__(self, spec=spec)
