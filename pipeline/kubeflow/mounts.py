"""Buckets as folders: where a container of Kubeflow finds what a URI names.

Vertex AI mounts every bucket below /gcs, and the launcher of Kubeflow Pipelines copies what
a step reads and writes to and from /gcs, /minio and /s3. So a step needs no file system of
a cloud: it is given paths, and the URIs are put back into what it reports.
"""

import os
import pathlib

from google.protobuf import struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from schemas import storage
from schemas.errors import RunError


class Mounts:
  """Translates between the URIs of buckets and the folders of this container."""

  def __init__(self, root: pathlib.Path | str = '/'):
    """Takes the folder in which gcs, minio and s3 lie."""
    self._root = str(root).rstrip('/')

  def path(self, text: str) -> str:
    """Returns the folder of a URI, and anything else as it is.

    Raises:
      RunError: the bucket is not there; what is written would be lost with the container.
    """
    for scheme, folder in storage.MOUNTS.items():
      if text.startswith(scheme):
        mount = f'{self._root}/{folder}'
        if not os.path.isdir(mount):
          raise RunError(
            f'{text}: expected its bucket below {mount}, as Vertex AI and the launcher of '
            f'Kubeflow Pipelines provide it. Received: no folder {mount}. Mount the bucket '
            'there, or name a path that all containers share.'
          )
        return f'{mount}/{text.removeprefix(scheme)}'
    return text

  def uri(self, text: str) -> str:
    """Returns the URI of a path below a mount, and anything else as it is."""
    return storage.uri_of_mount(text, self._root)


def to_paths(given: pipeline_spec_pb2.ExecutorInput, mounts: Mounts) -> None:
  """Replaces each URI that a step is given: of artifacts, parameters and its report."""
  for side in (given.inputs, given.outputs):
    for artifacts in side.artifacts.values():
      for artifact in artifacts.artifacts:
        artifact.uri = mounts.path(artifact.uri)
  for value in given.inputs.parameter_values.values():
    if value.WhichOneof('kind') == 'string_value':
      value.string_value = mounts.path(value.string_value)
  given.outputs.output_file = mounts.path(given.outputs.output_file)


def to_uris(reported: pipeline_spec_pb2.ExecutorOutput, mounts: Mounts) -> None:
  """Replaces each path that a step reports: of its artifacts, and in their properties."""
  for artifacts in reported.artifacts.values():
    for artifact in artifacts.artifacts:
      artifact.uri = mounts.uri(artifact.uri)
      _in_struct(artifact.metadata, mounts)


def _in_struct(struct: struct_pb2.Struct, mounts: Mounts) -> None:
  for value in struct.fields.values():
    if value.WhichOneof('kind') == 'string_value':
      value.string_value = mounts.uri(value.string_value)
