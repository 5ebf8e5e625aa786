"""Publisher's driver: the serving folder is one of its inputs.

TFX's cache knows artifacts and parameters, and would take a model for published
after somebody deleted it. So the state of the folder becomes a parameter.
"""

import pathlib
import time

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver as ir_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2

from components.publisher import destination, executor, push_inputs
from schemas.weights_hash import weights_sha256


class Driver(base_driver.BaseDriver, ir_base_driver.BaseDriver):
  """Adds `destination_state`, and `restore_version` where a version has gone."""

  def __init__(self, metadata_handle: metadata.Metadata):
    base_driver.BaseDriver.__init__(self, metadata_handle)
    ir_base_driver.BaseDriver.__init__(self, metadata_handle)

  def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
    """Returns the parameters that are added.

    Raises:
      ExportError: the model is no SavedModel with variables.
      ServingError: the destination is no local folder, or the bucket cannot be read.
    """
    base = push_inputs.base_directory(execution_info.exec_properties)
    mounted = push_inputs.mounted_bucket(base)
    state = mounted.state() if mounted else destination.state(base)
    bucket = push_inputs.bucket(execution_info.exec_properties)
    if bucket is not None:
      state = f'{state}, {bucket.config_file} {bucket.state()}'
    restore_version = None
    work = executor.Executor()
    if work.CheckBlessing(execution_info.input_dict):
      digest = weights_sha256(pathlib.Path(work.GetModelPath(execution_info.input_dict)))
      published = mounted.newest() if mounted else destination.newest(base)
      newest = [published, *([bucket.newest()] if bucket else [])]
      if any(one is None or one.weights_sha256 != digest for one in newest):
        # There is something to do, and an earlier time that it was done in the
        # same state must not count: no two such states are equal.
        state = f'{state} without {digest} at {time.time_ns()}'
        restore_version = self._version_of(base, digest)

    result = driver_output_pb2.DriverOutput()
    added = {push_inputs.DESTINATION_STATE: state, push_inputs.RESTORE_VERSION: restore_version}
    for key, value in added.items():
      if value is not None:
        data_types_utils.set_metadata_value(result.exec_properties[key], value)
    return result

  def _version_of(self, base: pathlib.Path, digest: str) -> int | None:
    """Returns the highest version under which `base` once held these weights."""
    with self._mlmd_connection as handle:
      artifacts = handle.store.get_artifacts_by_type('PushedModel')
    versions = []
    for artifact in artifacts:
      values = artifact.custom_properties
      path = pathlib.Path(values[push_inputs.PUSHED_DESTINATION].string_value)
      if (
        artifact.state == metadata_store_pb2.Artifact.LIVE
        and values[push_inputs.WEIGHTS_SHA256].string_value == digest
        and path.parent == base
        and path.name.isdigit()
      ):
        versions.append(int(path.name))
    return max(versions, default=None)
