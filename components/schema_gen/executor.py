"""Infers the schema as TFX does, then curates it."""

import os
from typing import Any

from tfx import types
from tfx.components.schema_gen import executor
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils

from components.schema_gen import curation, statistics


class Executor(executor.Executor):
  """Executor of SchemaGen."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Overrides executor.Executor.Do()."""
    super().Do(input_dict, output_dict, exec_properties)
    source = artifact_utils.get_single_instance(input_dict[standard_component_specs.STATISTICS_KEY])
    excluded = (
      json_utils.loads(exec_properties.get(standard_component_specs.EXCLUDE_SPLITS_KEY) or 'null')
      or []
    )
    labels: set[str] = set()
    for split in artifact_utils.decode_split_names(source.split_names):
      if split not in excluded:
        labels.update(
          statistics.label_values(stats_artifact_utils.load_statistics(source, split).proto())
        )
    path = os.path.join(
      artifact_utils.get_single_uri(output_dict[standard_component_specs.SCHEMA_KEY]),
      executor.DEFAULT_FILE_NAME,
    )
    schema = io_utils.SchemaReader().read(path)
    io_utils.write_pbtxt_file(path, curation.curate(schema, labels))
