"""Unpacks the artifacts, has the model analysed, and puts the outcome where TFX wants it."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils

from components import local_folder
from components.analysis import report
from schemas import features
from schemas.config import AnalysisConfig

DATASET = 'dataset'
AUDIT = 'audit'
PREDICTIONS = 'predictions'
MODEL_RUN = standard_component_specs.MODEL_RUN_KEY
MODEL = standard_component_specs.MODEL_KEY
EXAMPLES = standard_component_specs.EXAMPLES_KEY
ANALYSIS = 'analysis'
SETTINGS = 'settings'
CODE_FINGERPRINT = 'code_fingerprint'


class Executor(base_executor.BaseExecutor):
  """Executor of Analysis."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Analyses the model; see component.py."""
    model = artifact_utils.get_single_instance(input_dict[MODEL])
    export = path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))
    with contextlib.ExitStack() as stack:
      inputs = report.Inputs(
        export=stack.enter_context(_whole(export)),
        run_folder=stack.enter_context(_whole(_uri(input_dict, MODEL_RUN))),
        predictions=stack.enter_context(local_folder.reading(_uri(input_dict, PREDICTIONS))),
        dataset=stack.enter_context(local_folder.reading(_uri(input_dict, DATASET))),
        audit=(
          stack.enter_context(local_folder.reading(_uri(input_dict, AUDIT)))
          if input_dict.get(AUDIT)
          else None
        ),
        train=_files(input_dict[EXAMPLES], features.TRAIN),
        test=_files(input_dict[EXAMPLES], features.TEST),
      )
      output = stack.enter_context(
        local_folder.writing(artifact_utils.get_single_uri(output_dict[ANALYSIS]))
      )
      settings = AnalysisConfig.model_validate_json(exec_properties[SETTINGS])
      report.write(inputs, settings, output)


def _uri(input_dict: dict[str, list[types.Artifact]], key: str) -> str:
  return artifact_utils.get_single_uri(input_dict[key])


@contextlib.contextmanager
def _whole(uri: str) -> Iterator[pathlib.Path]:
  """Yields a folder with its subfolders, copied where it lies in a bucket."""
  if '://' not in uri:
    yield pathlib.Path(uri)
    return
  with tempfile.TemporaryDirectory() as folder:
    io_utils.copy_dir(uri, folder)
    yield pathlib.Path(folder)


def _files(examples: list[types.Artifact], split: str) -> list[str]:
  return sorted(
    path
    for uri in artifact_utils.get_split_uris(examples, split)
    for path in fileio.glob(f'{uri}/*')
    if not fileio.isdir(path)
  )
