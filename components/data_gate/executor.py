"""Reads the anomalies of every split and lets the data pass, or stops the run."""

import contextlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx import types
from tfx.components.example_validator import executor as example_validator
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.data_gate import drift, findings
from components.image_example_gen import ingest
from schemas import features
from schemas.errors import DataError

ANOMALIES = 'anomalies'
SCHEMA = 'schema'
DATASET = 'dataset'
STATISTICS = 'statistics'
PREVIOUS_STATISTICS = 'previous_statistics'
PREVIOUS_DATASET = 'previous_dataset'
REPORT = 'report'
ON_DRIFT = 'on_drift'
CODE_FINGERPRINT = 'code_fingerprint'
# Custom property of the report.
SPAN = 'span'

STOP = 'stop'
REPORT_FILE = 'report.json'
_SCHEMA_FILE = 'schema.pbtxt'
_BROKEN = (
  'The data breaks the schema. Mend or remove these rows, or, where they are right, extend '
  'the schema (data.schema) by what is new: sightline data schema accept CONFIG'
)
_DRIFTED = (
  'The data is not what it was. Mend the span; or, where the world changed, let it in by '
  'data.on_drift: warn, or raise the drift_comparator of the feature in the schema '
  '(data.schema).'
)


class Executor(base_executor.BaseExecutor):
  """Executor of DataGate."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Checks the splits; see component.py.

    Raises:
      DataError: a split breaks the schema, or the span drifted.
    """
    artifact = artifact_utils.get_single_instance(input_dict[ANOMALIES])
    schema = tfdv.load_schema_text(
      os.path.join(artifact_utils.get_single_uri(input_dict[SCHEMA]), _SCHEMA_FILE)
    )
    dataset = artifact_utils.get_single_uri(input_dict[DATASET])
    statistics = artifact_utils.get_single_instance(input_dict[STATISTICS])
    splits = artifact_utils.decode_split_names(artifact.split_names)
    broken: list[str] = []
    with _manifest(dataset) as manifest:
      for split in splits:
        broken.extend(findings.explain(split, _read(artifact, split), schema, manifest))
      drifted = list(_drift(input_dict, statistics, schema, manifest))
      skewed = list(_skew(statistics, schema, manifest))
    lines = [*broken, _BROKEN] if broken else []
    if drifted and exec_properties.get(ON_DRIFT, STOP) == STOP:
      lines += [*drifted, _DRIFTED]
    if lines:
      raise DataError('\n'.join(lines))
    with fileio.open(os.path.join(dataset, ingest.SUMMARY_FILE)) as stream:
      summary = json.loads(stream.read())
    report = {
      'passed': True,
      'splits': splits,
      'features': sorted(feature.name for feature in schema.feature),
      'dataset_sha256': summary['dataset_sha256'],
      'span': statistics.span,
      'previous_span': _previous_span(input_dict),
      'drift': drifted,
      'skew': skewed,
      'warnings': summary['warnings'],
    }
    written = artifact_utils.get_single_instance(output_dict[REPORT])
    written.set_int_custom_property(SPAN, statistics.span)
    path = os.path.join(written.uri, REPORT_FILE)
    io_utils.write_string_file(path, json.dumps(report, indent=2) + '\n')


def _drift(
  input_dict: dict[str, list[types.Artifact]],
  statistics: types.Artifact,
  schema: schema_pb2.Schema,
  manifest: pathlib.Path,
) -> Iterator[str]:
  if not input_dict.get(PREVIOUS_STATISTICS):
    return
  previous = artifact_utils.get_single_instance(input_dict[PREVIOUS_STATISTICS])
  with _manifest(artifact_utils.get_single_uri(input_dict[PREVIOUS_DATASET])) as earlier:
    yield from drift.compare(
      drift.DRIFT,
      _sample(f'train of span {statistics.span}', statistics, features.TRAIN, manifest),
      _sample(f'train of span {previous.span}', previous, features.TRAIN, earlier),
      schema,
    )


def _skew(
  statistics: types.Artifact, schema: schema_pb2.Schema, manifest: pathlib.Path
) -> Iterator[str]:
  if features.PRODUCTION not in artifact_utils.decode_split_names(statistics.split_names):
    return
  yield from drift.compare(
    drift.SKEW,
    _sample('train', statistics, features.TRAIN, manifest),
    _sample('production', statistics, features.PRODUCTION, manifest),
    schema,
  )


def _sample(
  name: str, statistics: types.Artifact, split: str, manifest: pathlib.Path
) -> drift.Sample:
  return drift.Sample(
    name,
    stats_artifact_utils.load_statistics(statistics, split).proto(),
    manifest,
    split,
  )


def _previous_span(input_dict: dict[str, list[types.Artifact]]) -> int | None:
  found = input_dict.get(PREVIOUS_STATISTICS)
  return found[0].span if found else None


@contextlib.contextmanager
def _manifest(dataset: str) -> Iterator[pathlib.Path]:
  """Yields manifest.parquet as a local file: the artifact may lie in a bucket."""
  with tempfile.TemporaryDirectory() as folder:
    manifest = pathlib.Path(folder, ingest.MANIFEST_FILE)
    fileio.copy(os.path.join(dataset, ingest.MANIFEST_FILE), str(manifest))
    yield manifest


def _read(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
  path = os.path.join(
    artifact_utils.get_split_uri([artifact], split), example_validator.DEFAULT_FILE_NAME
  )
  return anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(path))
