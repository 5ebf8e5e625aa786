"""ServingValidator's work: unpack, measure and judge, write the blessing."""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, path_utils

from components.serving_validator import evaluated, gates, probe_process
from schemas import features
from schemas.config import ServingValidatorConfig
from schemas.weights_hash import read_identity, weights_sha256

PREDICTIONS_KEY = 'predictions'
BASELINE_MODEL_KEY = 'baseline_model'
BASELINE_BLESSING_KEY = 'baseline_blessing'
CONFIG_KEY = 'config'
STAGE_CODE_KEY = 'stage_code'
# Custom properties of the blessing. The first is InfraValidator's own, as are the
# file names: Pusher and TFX's resolvers read them.
BLESSED = 'blessed'
CURRENT_MODEL_ID = 'current_model_id'
WEIGHTS_SHA256 = 'weights_sha256'
_FILES = {True: 'INFRA_BLESSED', False: 'INFRA_NOT_BLESSED'}


class Executor(base_executor.BaseExecutor):
  """See components.serving_validator.component.ServingValidator."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Blesses the model, or not; a gate that fails is no exception."""
    self._log_startup(input_dict, output_dict, exec_properties)
    model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
    examples = input_dict[standard_component_specs.EXAMPLES_KEY]
    predictions = artifact_utils.get_single_instance(input_dict[PREDICTIONS_KEY])
    blessing = artifact_utils.get_single_instance(
      output_dict[standard_component_specs.BLESSING_KEY]
    )
    config = ServingValidatorConfig.model_validate_json(exec_properties[CONFIG_KEY])

    with _local(_export(model)) as export, _baseline(input_dict) as (baseline, in_service):
      digest = weights_sha256(export)
      measured = probe_process.measure(
        export, _record_files(examples), config.calls, baseline=baseline
      )
      # What cannot be served may be without an identity, too.
      crashed = isinstance(measured, probe_process.Crashed)
      names = [] if crashed else read_identity(export)['labels']
      report = gates.judge(
        measured,
        _size(export),
        evaluated.read(predictions.uri),
        names,
        config,
        in_service,
        exec_properties.get(STAGE_CODE_KEY, ''),
      )

    for gate in report.gates:
      logging.log(logging.INFO if gate.ok else logging.ERROR, '%s', gate.sentence())
    _bless(blessing, report, model.id, digest)


def _bless(blessing: types.Artifact, report: gates.Report, model_id: int, digest: str) -> None:
  with tempfile.TemporaryDirectory() as folder:
    gates.write(
      report, pathlib.Path(folder), **{CURRENT_MODEL_ID: model_id, WEIGHTS_SHA256: digest}
    )
    io_utils.copy_file(
      str(pathlib.Path(folder, gates.REPORT)), f'{blessing.uri}/{gates.REPORT}', overwrite=True
    )
  io_utils.write_string_file(f'{blessing.uri}/{_FILES[report.blessed]}', '')
  blessing.set_int_custom_property(BLESSED, int(report.blessed))
  blessing.set_int_custom_property(CURRENT_MODEL_ID, model_id)
  blessing.set_string_custom_property(WEIGHTS_SHA256, digest)


def _export(model: types.Artifact) -> str:
  return path_utils.serving_model_path(model.uri, path_utils.is_old_model_artifact(model))


@contextlib.contextmanager
def _baseline(
  input_dict: dict[str, list[types.Artifact]],
) -> Iterator[tuple[pathlib.Path | None, gates.InService | None]]:
  """Yields the export in service and what is known of it, None each where there is none."""
  blessings = input_dict.get(BASELINE_BLESSING_KEY) or []
  record = f'{blessings[0].uri}/{gates.REPORT}' if blessings else ''
  if not record or not fileio.exists(record):
    yield None, None
    return
  report = json.loads(io_utils.read_string_file(record))
  models = input_dict.get(BASELINE_MODEL_KEY) or []
  if not models or not fileio.exists(f'{_export(models[0])}/saved_model.pb'):
    yield None, gates.InService(report)
    return
  with _local(_export(models[0])) as export:
    yield export, gates.InService(report, _size(export))


@contextlib.contextmanager
def _local(path: str) -> Iterator[pathlib.Path]:
  if '://' not in path:
    yield pathlib.Path(path)
    return
  with tempfile.TemporaryDirectory(prefix='export-') as folder:
    io_utils.copy_dir(path, folder)
    yield pathlib.Path(folder)


def _record_files(examples: list[types.Artifact]) -> list[str]:
  return sorted(
    path
    for uri in artifact_utils.get_split_uris(examples, features.TEST)
    for path in fileio.glob(f'{uri}/*')
    if not fileio.isdir(path)
  )


def _size(folder: pathlib.Path) -> int:
  return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
