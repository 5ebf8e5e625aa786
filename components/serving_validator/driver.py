"""ServingValidator's driver: predictions count by what they say, not by when they were made.

Evaluator runs again as soon as there is a baseline, and writes predictions anew.
As long as the candidate's half of them is the same, an earlier validation holds,
and TFX's cache should find it. It looks artifacts up by id; so the earliest
artifact that says the same stands in for the new one.
"""

from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.base import base_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver as ir_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils

from components.serving_validator import evaluated
from components.serving_validator.executor import PREDICTIONS_KEY


class Driver(base_driver.BaseDriver, ir_base_driver.BaseDriver):
  """Replaces `predictions` by the first ones with the same content."""

  def __init__(self, metadata_handle: metadata.Metadata):
    base_driver.BaseDriver.__init__(self, metadata_handle)
    ir_base_driver.BaseDriver.__init__(self, metadata_handle)

  def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
    """Changes the inputs of this execution in place; adds no parameter."""
    predictions = artifact_utils.get_single_instance(execution_info.input_dict[PREDICTIONS_KEY])
    earlier = self._first_alike(predictions)
    if earlier is not None:
      execution_info.input_dict[PREDICTIONS_KEY] = [earlier]
    return driver_output_pb2.DriverOutput()

  def _first_alike(self, predictions: types.Artifact) -> types.Artifact | None:
    with self._mlmd_connection as handle:
      found = handle.store.get_artifacts_by_type(predictions.type_name)
      types_found = handle.store.get_artifact_types_by_id(
          [artifact.type_id for artifact in found[:1]])
    wanted = evaluated.digest(predictions.uri)
    for artifact in sorted(found, key=lambda artifact: artifact.id):
      if artifact.id >= predictions.id:
        return None
      if artifact.state == metadata_store_pb2.Artifact.LIVE and _digest(artifact.uri) == wanted:
        return artifact_utils.deserialize_artifact(types_found[0], artifact)
    return None


def _digest(uri: str) -> str:
  try:
    return evaluated.digest(uri)
  except (OSError, ValueError, KeyError):  # deleted or from another version of Sightline
    return ''
