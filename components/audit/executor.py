"""Unpacks the artifacts, has the data set audited, and puts the page where TFX wants it."""

import contextlib
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components import local_folder
from components.audit import report
from schemas.config import AuditConfig, DataConfig

DATASET = 'dataset'
QUARANTINE = 'quarantine'
AUDIT = 'audit'
NAME = 'name'
DATA = 'data'
SETTINGS = 'settings'
CODE_FINGERPRINT = 'code_fingerprint'


class Executor(base_executor.BaseExecutor):
  """Executor of Audit."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Audits the data set; see component.py."""
    uris = (artifact_utils.get_single_uri(input_dict[key]) for key in (DATASET, QUARANTINE))
    output = artifact_utils.get_single_uri(output_dict[AUDIT])
    with contextlib.ExitStack() as stack:
      dataset, rejected = (stack.enter_context(local_folder.reading(uri)) for uri in uris)
      folder = stack.enter_context(local_folder.writing(output))
      report.write(
        exec_properties[NAME],
        dataset,
        rejected,
        DataConfig.model_validate_json(exec_properties[DATA]),
        AuditConfig.model_validate_json(exec_properties[SETTINGS]),
        folder,
      )
