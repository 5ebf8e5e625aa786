"""What Publisher's driver and executor both read out of their inputs."""

import json
import pathlib

from tfx.proto import pusher_pb2
from tfx.types import standard_component_specs
from tfx.utils import proto_utils

from components.publisher.bucket import Bucket
from schemas import storage
from schemas.errors import ServingError

# Of custom_config: a bucket that gets each version, too.
BUCKET = 'bucket'
# Custom properties of PushedModel; the first three are Pusher's own.
PUSHED = 'pushed'
PUSHED_DESTINATION = 'pushed_destination'
PUSHED_VERSION = 'pushed_version'
WEIGHTS_SHA256 = 'weights_sha256'
NEW = 'new'
PUSHED_TO_BUCKET = 'pushed_to_bucket'
# Execution properties that the driver adds.
DESTINATION_STATE = 'destination_state'
RESTORE_VERSION = 'restore_version'


def bucket(exec_properties: dict) -> Bucket | None:
  """Returns the bucket of custom_config that gets each version, too."""
  given = exec_properties.get(standard_component_specs.CUSTOM_CONFIG_KEY)
  address = (json.loads(given) or {}).get(BUCKET) if given else None
  return Bucket(address) if address else None


def mounted_bucket(base: pathlib.Path) -> Bucket | None:
  """Returns the bucket whose mount a folder lies in: there a rename is copies, one by one."""
  return Bucket(str(base)) if storage.uri_of_mount(str(base)) != str(base) else None


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
      'Name the bucket with publish.bucket.'
    )
  return pathlib.Path(folder)
