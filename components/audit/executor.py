"""Unpacks the artifacts, has the data set audited, and puts the page where TFX wants it."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

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
    output = artifact_utils.get_single_uri(output_dict[AUDIT])
    with contextlib.ExitStack() as stack:
      dataset, rejected = (
        stack.enter_context(_local(artifact_utils.get_single_uri(input_dict[key])))
        for key in (DATASET, QUARANTINE)
      )
      folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
      report.write(
        exec_properties[NAME],
        dataset,
        rejected,
        DataConfig.model_validate_json(exec_properties[DATA]),
        AuditConfig.model_validate_json(exec_properties[SETTINGS]),
        folder,
      )
      fileio.makedirs(output)
      for path in folder.iterdir():
        fileio.copy(str(path), os.path.join(output, path.name), overwrite=True)


@contextlib.contextmanager
def _local(uri: str) -> Iterator[pathlib.Path]:
  """Yields the folder itself, or a copy of one that lies in a bucket."""
  if os.path.isdir(uri):
    yield pathlib.Path(uri)
    return
  with tempfile.TemporaryDirectory() as folder:
    for name in fileio.listdir(uri):
      fileio.copy(os.path.join(uri, name), os.path.join(folder, name))
    yield pathlib.Path(folder)
