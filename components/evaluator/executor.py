"""Executor of the Evaluator."""

import logging
import pathlib

from tfx.components.evaluator import constants
from tfx.components.evaluator import executor as tfx_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils, path_utils

from components.evaluator import floors, images, predictions, verdict
from models.decision import Decision
from schemas import weights_hash

_log = logging.getLogger(__name__)


class Executor(tfx_executor.Executor):
  """Evaluates as TFX does; stores predictions and a verdict in words beside it.

  Where candidate and baseline hold the same weights there is nothing to compare:
  the model that was blessed before is judged alone, and the verdict says so.
  """

  def Do(self, input_dict, output_dict, exec_properties) -> None:
    candidate = _export(input_dict[standard_component_specs.MODEL_KEY])
    in_service = input_dict.get(standard_component_specs.BASELINE_MODEL_KEY)
    baseline = _export(in_service) if in_service else None
    same = baseline is not None and _is_same(candidate, baseline)
    compared = dict(input_dict)
    if same:
      _log.info('candidate and baseline hold the same weights')
      compared.pop(standard_component_specs.BASELINE_MODEL_KEY)
    super().Do(compared, output_dict, exec_properties)
    (split,) = json_utils.loads(exec_properties[standard_component_specs.EXAMPLE_SPLITS_KEY])
    patterns = [
      io_utils.all_files_pattern(uri)
      for uri in artifact_utils.get_split_uris(
        input_dict[standard_component_specs.EXAMPLES_KEY], split
      )
    ]
    predicted = predictions.write(
      pathlib.Path(artifact_utils.get_single_uri(output_dict['predictions'])),
      patterns,
      candidate,
      None if same else baseline,
    )
    evaluation = pathlib.Path(
      artifact_utils.get_single_uri(output_dict[standard_component_specs.EVALUATION_KEY])
    )
    asked = verdict.Asked.read(exec_properties['asked'])
    ids = predictions.image_ids(predicted)
    simple = input_dict.get('floors')
    judged = verdict.judge(
      evaluation,
      predicted,
      predictions.labels(candidate),
      verdict.InService(
        artifact_utils.get_single_instance(in_service).id if in_service else None, same
      ),
      asked,
      images.read(
        artifact_utils.get_single_uri(input_dict['dataset']),
        ids,
        asked.slice_keys,
      ),
      floors.read(artifact_utils.get_single_uri(simple), ids) if simple else None,
      Decision.read(weights_hash.read_identity(candidate)),
    )
    judged.write(evaluation)
    if not judged.blessed:
      _refuse(
        artifact_utils.get_single_instance(output_dict[standard_component_specs.BLESSING_KEY])
      )
    _record(input_dict, output_dict, candidate, same, exec_properties['code_fingerprint'])


def _refuse(blessing) -> None:
  """Makes the blessing a refusal, as TFX writes one: it has judged by its thresholds alone."""
  folder = pathlib.Path(blessing.uri)
  (folder / constants.BLESSED_FILE_NAME).unlink(missing_ok=True)
  (folder / constants.NOT_BLESSED_FILE_NAME).touch()
  blessing.set_int_custom_property(
    constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.NOT_BLESSED_VALUE
  )


def _is_same(candidate: pathlib.Path, baseline: pathlib.Path) -> bool:
  """Whether both give the same answers: the same weights, names and decision."""
  of_candidate, of_baseline = map(weights_hash.read_identity, (candidate, baseline))
  return (
    weights_hash.weights_sha256(candidate) == weights_hash.weights_sha256(baseline)
    and of_candidate['labels'] == of_baseline['labels']
    and Decision.read(of_candidate) == Decision.read(of_baseline)
  )


def _export(artifacts) -> pathlib.Path:
  artifact = artifact_utils.get_single_instance(artifacts)
  return pathlib.Path(
    path_utils.serving_model_path(artifact.uri, path_utils.is_old_model_artifact(artifact))
  )


def _record(
  input_dict, output_dict, candidate: pathlib.Path, same: bool, code_fingerprint: str
) -> None:
  """Notes on the artifacts which model they speak of."""
  model = artifact_utils.get_single_instance(input_dict[standard_component_specs.MODEL_KEY])
  predicted = artifact_utils.get_single_instance(output_dict['predictions'])
  predicted.set_int_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY, model.id)
  predicted.set_string_custom_property('code_fingerprint', code_fingerprint)
  predicted.set_string_custom_property('weights_sha256', weights_hash.weights_sha256(candidate))
  if same:
    # TFX notes the baseline only where it compared with it.
    blessing = artifact_utils.get_single_instance(
      output_dict[standard_component_specs.BLESSING_KEY]
    )
    baseline = artifact_utils.get_single_instance(
      input_dict[standard_component_specs.BASELINE_MODEL_KEY]
    )
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BASELINE_MODEL_ID_KEY, baseline.id)
