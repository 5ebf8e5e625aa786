"""Reads the anomalies of every split and lets the data pass, or stops the run."""

import json
import os
import pathlib
import tempfile
from typing import Any

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor as example_validator
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.data_gate import findings
from components.image_example_gen import ingest
from schemas.errors import DataError

ANOMALIES = 'anomalies'
SCHEMA = 'schema'
DATASET = 'dataset'
REPORT = 'report'
CODE_FINGERPRINT = 'code_fingerprint'

REPORT_FILE = 'report.json'
_SCHEMA_FILE = 'schema.pbtxt'


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
      DataError: a split breaks the schema.
    """
    del exec_properties
    artifact = artifact_utils.get_single_instance(input_dict[ANOMALIES])
    schema = tfdv.load_schema_text(
      os.path.join(artifact_utils.get_single_uri(input_dict[SCHEMA]), _SCHEMA_FILE)
    )
    dataset = artifact_utils.get_single_uri(input_dict[DATASET])
    splits = artifact_utils.decode_split_names(artifact.split_names)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
      # The artifact may lie in a bucket, Parquet wants a file.
      manifest = pathlib.Path(folder, ingest.MANIFEST_FILE)
      fileio.copy(os.path.join(dataset, ingest.MANIFEST_FILE), str(manifest))
      for split in splits:
        lines.extend(findings.explain(split, _read(artifact, split), schema, manifest))
    if lines:
      raise DataError(
        '\n'.join(
          [
            *lines,
            'The data breaks the schema. Mend or remove these rows, or, where they are '
            'right, extend the schema (data.schema) by what is new.',
          ]
        )
      )
    with fileio.open(os.path.join(dataset, ingest.SUMMARY_FILE)) as stream:
      summary = json.loads(stream.read())
    report = {
      'passed': True,
      'splits': splits,
      'features': sorted(feature.name for feature in schema.feature),
      'dataset_sha256': summary['dataset_sha256'],
      'warnings': summary['warnings'],
    }
    path = os.path.join(artifact_utils.get_single_uri(output_dict[REPORT]), REPORT_FILE)
    io_utils.write_string_file(path, json.dumps(report, indent=2) + '\n')


def _read(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
  path = os.path.join(
    artifact_utils.get_split_uri([artifact], split), example_validator.DEFAULT_FILE_NAME
  )
  return anomalies_pb2.Anomalies.FromString(io_utils.read_bytes_file(path))
