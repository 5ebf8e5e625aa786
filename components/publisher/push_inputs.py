"""What Publisher's driver and executor both read out of their inputs."""

import pathlib

from tfx.proto import pusher_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from schemas.errors import ServingError

# Custom properties of PushedModel; the first three are Pusher's own.
PUSHED = 'pushed'
PUSHED_DESTINATION = 'pushed_destination'
PUSHED_VERSION = 'pushed_version'
WEIGHTS_SHA256 = 'weights_sha256'
NEW = 'new'
# Execution properties that the driver adds.
DESTINATION_STATE = 'destination_state'
RESTORE_VERSION = 'restore_version'


def base_directory(exec_properties: dict) -> pathlib.Path:
  """Returns the folder of push_destination.

  Raises:
    ServingError: it is not a folder of this machine.
  """
  given = exec_properties[standard_component_specs.PUSH_DESTINATION_KEY]
  if given.startswith('{'):
    destination = pusher_pb2.PushDestination()
    proto_utils.json_to_proto(given, destination)
    folder = destination.filesystem.base_directory
  else:
    # A run parameter of Kubeflow holds the path itself.
    folder = given
  if not folder or '://' in folder:
    raise ServingError(
      'push_destination.filesystem.base_directory: expected a local or shared POSIX folder, '
      f'because a version appears there by a rename. Received: {folder or "none"}. '
      'Mount the bucket, or copy the pushed_model artifact to it.'
    )
  return pathlib.Path(folder)
