"""Computes the fingerprint that tells the cache whether the data changed."""

import hashlib
import json
import pathlib
from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types, data_types_utils, metadata
from tfx.orchestration.portable import base_driver as ir_base_driver
from tfx.orchestration.portable import data_types as portable_data_types
from tfx.proto.orchestration import driver_output_pb2

from components.image_example_gen import component_keys as keys
from components.image_example_gen import fingerprint, lock, spans
from components.image_example_gen.lineage import Lineage
from components.image_example_gen.manifest import open_manifest
from schemas.config import DataConfig
from schemas.errors import DataError


class Driver(base_driver.BaseDriver, ir_base_driver.BaseDriver):
  """Driver of ImageExampleGen, for the launcher and for notebooks alike."""

  def __init__(self, metadata_handle: metadata.Metadata):
    base_driver.BaseDriver.__init__(self, metadata_handle)
    ir_base_driver.BaseDriver.__init__(self, metadata_handle)

  def resolve_exec_properties(
    self,
    exec_properties: dict[str, Any],
    pipeline_info: data_types.PipelineInfo,
    component_info: data_types.ComponentInfo,
  ) -> dict[str, Any]:
    """Fills in `data_fingerprint` and `span`, where they were not given."""
    del pipeline_info, component_info
    data = DataConfig.model_validate_json(exec_properties[keys.CONFIG])
    wanted = exec_properties.get(keys.SPAN)
    try:
      span = spans.resolve(data.model_copy(update={'span': wanted}))
      data = spans.at(data, span)
    except DataError as error:
      # The executor complains in its turn, and the run records it.
      exec_properties[keys.DATA_FINGERPRINT] = _digest([str(error)])
      exec_properties[keys.SPAN] = wanted or 0
      return exec_properties
    exec_properties[keys.SPAN] = span
    if not exec_properties.get(keys.DATA_FINGERPRINT):
      exec_properties[keys.DATA_FINGERPRINT] = data_fingerprint(
        data, pathlib.Path(exec_properties[keys.STATE_DIR])
      )
    return exec_properties

  def run(
    self, execution_info: portable_data_types.ExecutionInfo
  ) -> driver_output_pb2.DriverOutput:
    """Overrides ir_base_driver.BaseDriver.run()."""
    # Only the old interface takes these two; nothing reads them.
    pipeline_info = data_types.PipelineInfo('', '')
    component_info = data_types.ComponentInfo('', '', pipeline_info)
    exec_properties = self.resolve_exec_properties(
      dict(execution_info.exec_properties), pipeline_info, component_info
    )
    result = driver_output_pb2.DriverOutput()
    for key, value in exec_properties.items():
      if value is not None:
        data_types_utils.set_metadata_value(result.exec_properties[key], value)
    return result


def data_fingerprint(data: DataConfig, state: pathlib.Path) -> str:
  """Hashes manifest, images and the lock that the split began with.

  Args:
    data: where they lie; the folder of the span.
    state: the folder of what is remembered between runs.

  Returns:
    A hash. Of data that cannot be read, the hash of the complaint: the executor
    then complains in its turn, and the run records it.
  """
  try:
    manifest = open_manifest(data)
    with fingerprint.open_state(state) as connection:
      rows = fingerprint.rows_fingerprint(manifest, fingerprint.ContentHashes(connection))
      memory = Lineage(connection)
      origin = memory.origin(rows, lock.content_hash(lock.lock_path(data, manifest)))
      result = _digest([rows, *origin])
      memory.begin(result, rows, origin)
      return result
  except DataError as error:
    return _digest([str(error)])


def _digest(parts: list) -> str:
  return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
