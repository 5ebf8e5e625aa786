"""Reads the component's parameters, has the images ingested, describes the artifacts."""

import os
import pathlib
import tempfile
from typing import Any

from tfx import types
from tfx.components.example_gen import utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from components.image_example_gen import component_keys as keys
from components.image_example_gen import ingest, manifest, spans
from schemas.config import DataConfig


class Executor(base_beam_executor.BaseBeamExecutor):
  """Executor of ImageExampleGen."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Ingests the images; see component.py for the artifacts and parameters.

    Raises:
      DataError: the data cannot be used.
    """
    del input_dict
    span = exec_properties.get(keys.SPAN) or 0
    data = DataConfig.model_validate_json(exec_properties[keys.CONFIG])
    if exec_properties.get(keys.DATA_ROOT):
      data = data.model_copy(update={'root': pathlib.Path(exec_properties[keys.DATA_ROOT])})
    data = spans.at(data, span)
    examples = artifact_utils.get_single_instance(output_dict[keys.EXAMPLES])
    dataset = artifact_utils.get_single_instance(output_dict[keys.DATASET])
    splits = manifest.splits(data)
    state = pathlib.Path(exec_properties[keys.STATE_DIR])
    state.mkdir(parents=True, exist_ok=True)
    # The artifacts may lie in a bucket, where only whole files can be put.
    with tempfile.TemporaryDirectory(prefix='outputs-', dir=state) as folder:
      outputs = ingest.Outputs(
        examples={name: os.path.join(examples.uri, f'Split-{name}') for name in splits},
        quarantine=pathlib.Path(folder, keys.QUARANTINE),
        dataset=pathlib.Path(folder, keys.DATASET),
      )
      outputs.dataset.mkdir()
      summary = ingest.ingest(
        data,
        outputs,
        state,
        exec_properties.get(keys.DATA_FINGERPRINT) or '',
        self._make_beam_pipeline,
      )
      _put(outputs.quarantine, artifact_utils.get_single_uri(output_dict[keys.QUARANTINE]))
      _put(outputs.dataset, dataset.uri)
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    examples.span = span
    # Readers tell by the suffix whether a file is compressed; TFX knows this one name.
    examples_utils.set_file_format(examples, 'tfrecords_gzip')
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    examples.set_string_custom_property(
      utils.FINGERPRINT_PROPERTY_NAME, exec_properties.get(keys.DATA_FINGERPRINT) or ''
    )
    for key in (keys.DATASET_SHA256, keys.MANIFEST_SHA256):
      dataset.set_string_custom_property(key, summary[key])


def _put(folder: pathlib.Path, uri: str) -> None:
  fileio.makedirs(uri)
  for path in folder.iterdir():
    fileio.copy(str(path), os.path.join(uri, path.name), overwrite=True)
