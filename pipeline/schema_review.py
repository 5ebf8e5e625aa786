"""What the data say of their schema now, beside the one that a person keeps.

The images are read and measured as ImageExampleGen does; no record, no split lock
and no run is left behind.
"""

import contextlib
import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import apache_beam as beam
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.data_gate import findings
from components.image_example_gen import ingest, spans
from components.import_schema_gen import schema_file, schema_text
from components.schema_gen import difference
from components.schema_gen.data_schema import DataSchema
from pipeline.create_pipeline import BEAM_ARGS
from schemas import features
from schemas.config import DataConfig
from schemas.errors import ConfigError

_HEADER = """# Inferred from the images of {root}, then curated. Later data has to keep to it.
# Another label is refused: let it in with `sightline data schema accept`. A column has no list
# of values: give its feature a string_domain, as `label` has, to have one checked.

"""


@dataclasses.dataclass(frozen=True)
class Review:
  """A curated schema and what the data say.

  Attributes:
    path: of the schema.
    text: of the schema.
    curated: what it says.
    data: what the data say.
    manifest: manifest.parquet of the images, where files are looked up.
  """

  path: pathlib.Path
  text: str
  curated: schema_pb2.Schema
  data: DataSchema
  manifest: pathlib.Path

  def broken(self) -> list[str]:
    """Returns a line for each way in which the data break the schema, with files."""
    return [
      line
      for split, anomalies in self.data.anomalies(self.curated)
      for line in findings.explain(split, anomalies, self.curated, self.manifest)
    ]

  @functools.cached_property
  def differences(self) -> list[difference.Difference]:
    return list(difference.compare(self.curated, self.data))


@contextlib.contextmanager
def examined(data: DataConfig) -> Iterator[pathlib.Path]:
  """Yields manifest.parquet of the images as they lie there now.

  Raises:
    DataError: nothing can be read.
  """
  with tempfile.TemporaryDirectory(prefix='sightline-schema-') as folder:
    work = pathlib.Path(folder)
    outputs = ingest.Outputs({}, work / 'quarantine', work / 'dataset')
    outputs.dataset.mkdir()
    ingest.examine(
      spans.at(data), outputs, work / 'state', lambda: beam.Pipeline(argv=list(BEAM_ARGS))
    )
    yield outputs.dataset / ingest.MANIFEST_FILE


def infer(data: DataConfig, path: pathlib.Path, force: bool) -> list[str]:
  """Writes the schema that the data say.

  Args:
    data: where the images lie.
    path: the file to write.
    force: whether a file that is there may be replaced.

  Returns:
    What was written, in words.

  Raises:
    ConfigError: the file is there, or cannot be written.
    DataError: nothing can be read.
  """
  if path.exists() and not force:
    raise ConfigError(
      f'{path}: expected a file that is not there yet. Received: one that is. See what changed '
      'with `sightline data schema diff`, take it over with `accept`, or replace all of it '
      'with --force.'
    )
  with examined(data) as manifest:
    said = DataSchema(manifest)
    schema = said.schema()
    labels = said.column(features.LABEL).values
  text = _HEADER.format(root=data.root) + text_format.MessageToString(schema)
  schema_file.write(path, text)
  return [
    f'wrote {path}: {len(schema.feature)} features, {len(labels)} labels',
  ]


@contextlib.contextmanager
def review(data: DataConfig) -> Iterator[Review]:
  """Reads the schema, then the images.

  Raises:
    ConfigError: there is no schema, or it cannot be read.
    DataError: nothing can be read.
  """
  path = data.schema_path
  if path is None:
    raise ConfigError(
      'data.schema: expected the schema.pbtxt to compare with. Received: none, so that each run '
      'infers one. Write one with: sightline data schema infer CONFIG --output schema.pbtxt, and '
      'name it in data.schema.'
    )
  text = schema_file.read_text(path)
  curated = schema_file.parse(text, path)
  with examined(data) as manifest:
    yield Review(path, text, curated, DataSchema(manifest), manifest)


def describe(found: Review) -> list[str]:
  """Returns the differences as lines; none where there is none."""
  lines = []
  broken = found.broken()
  if broken:
    lines += ['The data break the schema:', *(f'  {line}' for line in broken)]
  if found.differences:
    lines += [
      'From these data the schema would be written otherwise:',
      *(f'  {_sentence(each)}' for each in found.differences),
    ]
  return lines


def accept(found: Review, names: Sequence[str]) -> list[str]:
  """Writes what the data say of features into the schema.

  Args:
    found: the review.
    names: of the features; all that differ where none is named.

  Returns:
    What changed, in words.

  Raises:
    ConfigError: a name is neither in the schema nor in the data, or the schema
      cannot be written.
  """
  known = {feature.name for feature in found.curated.feature}
  known |= {each.name for each in found.differences}
  for name in names:
    if name not in known:
      raise ConfigError(
        f'accept: expected one of {", ".join(sorted(known))}. Received: {name}. See what differs '
        'with: sightline data schema diff CONFIG'
      )
  taken = [each for each in found.differences if not names or each.name in names]
  if not taken:
    return [f'{found.path}: nothing to take over']
  new = difference.updated(found.curated, taken)
  rewritten = schema_text.rewrite(found.text, found.curated, new)
  schema_file.write(found.path, rewritten.text)
  lines = [f'wrote {found.path}:', *(f'  {_sentence(each)}' for each in taken)]
  if rewritten.lost:
    lines += ['comments that went with what they stood in:']
    lines += [f'  {comment}' for comment in rewritten.lost]
  return lines


def _sentence(each: difference.Difference) -> str:
  return f'{each.name}: {"; ".join(each.changes)}'
