"""The types of artifacts, where a backend sends a general one or none.

TFX's container entry imports the class that a type's title names. The open-source backend may
send system.Artifact or system.Model, which are no classes, or no type at all; what the
component declares is in the compiled file.
"""

from collections.abc import Mapping

from kfp.pipeline_spec import pipeline_spec_pb2


def restore(artifacts: Mapping, declared: Mapping) -> None:
  """Gives each artifact whose type says nothing the type that its component declares.

  Args:
    artifacts: by name, ArtifactList messages; changed in place.
    declared: by name, ArtifactSpec messages.
  """
  for name, row in artifacts.items():
    if name not in declared:
      continue
    for artifact in row.artifacts:
      if _says_nothing(artifact.type):
        artifact.type.CopyFrom(declared[name].artifact_type)


def _says_nothing(kind: pipeline_spec_pb2.ArtifactTypeSchema) -> bool:
  if kind.WhichOneof('kind') == 'schema_title':
    return kind.schema_title.startswith('system.')
  return kind.WhichOneof('kind') is None
