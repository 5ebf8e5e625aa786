"""Executor of ImportSchemaGen."""

import os

from tfx.components.schema_gen import executor as schema_gen_executor
from tfx.components.schema_gen.import_schema_gen import executor as tfx_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils

SCHEMA_TEXT_KEY = 'schema_text'


class Executor(tfx_executor.Executor):
  """TFX's, which copies a file; where the text itself was given, that is written."""

  def Do(self, input_dict, output_dict, exec_properties) -> None:
    text = exec_properties.get(SCHEMA_TEXT_KEY)
    if text is None:
      super().Do(input_dict, output_dict, exec_properties)
      return
    uri = artifact_utils.get_single_uri(output_dict[standard_component_specs.SCHEMA_KEY])
    io_utils.write_string_file(os.path.join(uri, schema_gen_executor.DEFAULT_FILE_NAME), text)
