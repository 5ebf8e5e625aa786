"""Executor of the ProductionEvaluator."""

import pathlib
from typing import Any

from tfx import types
from tfx.components.evaluator import executor as tfx_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils, path_utils

from components.evaluator import predictions
from components.production_evaluator import score

CODE_FINGERPRINT = 'code_fingerprint'


class Executor(tfx_executor.Executor):
  """Evaluates as TFX does, without thresholds, and so without a verdict."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Scores the split; see component.py."""
    model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
    export = pathlib.Path(
      path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    )
    (split,) = json_utils.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
    folder = pathlib.Path(
      artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY])
    )
    patterns = [
      io_utils.all_files_pattern(uri)
      for uri in artifact_utils.get_split_uris(
        input_dict[standard_component_specs.EXAMPLES_KEY], split
      )
    ]
    folder.mkdir(parents=True, exist_ok=True)
    predicted = predictions.write(folder, patterns, export, None).path
    if score.images(predicted):
      super().Do(input_dict, output_dict, exec_properties)
    score.score(folder, predicted).write(folder)
