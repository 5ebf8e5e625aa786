"""The schema of a new data set, from its manifest alone: no image is read for it.

SchemaGen infers the same from statistics, in a run. Here the keys and their
types are those that ImageExampleGen writes, and the labels are known.
"""

from collections.abc import Iterable

from schemas import features

_HEADER = """# Schema of the records that ImageExampleGen writes; later data has to keep to it.
# Another label is refused; add it to the values of `label` to let it in. A column has no
# list of values yet: give its feature a string_domain, as `label` has, to have one checked.

"""


def schema_text(labels: Iterable[str], columns: Iterable[str]) -> str:
  """Returns a TFDV schema as text.

  Args:
    labels: every value of `label`.
    columns: further columns of the manifest, by their names there.
  """
  # Protocol buffers take a tenth of a second to load, which the command line must
  # not pay at its start.
  from google.protobuf import text_format
  from tensorflow_metadata.proto.v0 import schema_pb2

  from components.schema_gen import curation

  kinds = {
    schema_pb2.BYTES: (
      features.IMAGE,
      features.IMAGE_ID,
      features.IMAGE_PATH,
      features.IMAGE_FORMAT,
      features.LEAK,
      features.LABEL,
      features.BRIGHTNESS_BUCKET,
      features.SIZE_BUCKET,
      *map(features.column, columns),
    ),
    schema_pb2.INT: (features.WIDTH, features.HEIGHT, features.BYTES),
    schema_pb2.FLOAT: (features.ASPECT, features.BRIGHTNESS, features.CONTRAST, features.SHARPNESS),
  }
  schema = schema_pb2.Schema()
  for kind, names in kinds.items():
    for name in names:
      schema.feature.add(name=name, type=kind)
  return _HEADER + text_format.MessageToString(curation.curate(schema, labels))
